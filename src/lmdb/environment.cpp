#include "lmdb/environment.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <memory>
#include <utility>

#include "lmdb/file_check.h"
#include "lmdb/registry.h"
#include "lmdb/table.h"

namespace zoocache::lmdb {
namespace {

constexpr unsigned kMaxReaders = 4096;
constexpr std::chrono::milliseconds kReaderWait{250};  // for others who begin to read just now

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

std::shared_ptr<Environment> Environment::open(const std::string& path, std::size_t map_bytes,
                                               std::chrono::nanoseconds patience) {
  return Registry::instance().open(path, Part::kLog, [&](const std::string& folder) {
    return std::shared_ptr<Environment>(new Environment({Part::kLog, folder, map_bytes, patience}));
  });
}

Environment::Environment(const Opening& opening)
    : part_(opening.part), folder_(opening.folder), names_(names_of(folder_, part_)) {
  FolderLife life = enter_folder(folder_, part_, opening.patience);
  const auto begin_anew = [&] {
    corruptions_.fetch_add(1);
    renew_part(folder_, part_, life);
  };
  if (!life.is_shared && !damage_of(names_.file).empty()) begin_anew();
  try {
    open_file(opening, life);
  } catch (const HomeUnreachable&) {
    // What nobody uses may be begun anew: a cache holds nothing that cannot be loaded again.
    if (life.is_shared) throw;
    begin_anew();
    open_file(opening, life);
  }
  presence_ = std::move(life.presence);
  presence_path_ = std::move(life.presence_path);
}

Environment::~Environment() {
  if (!is_ours()) return;  // the parent's; its memory stays mapped
  if (is_registered_) {
    Registry::instance().close(*this);
  } else {
    close_file();
  }
}

void Environment::give_up() noexcept {
  is_lost_.store(true);
  Registry::instance().close(*this);
}

void Environment::close_file() noexcept {
  if (env_ != nullptr) mdb_env_close(std::exchange(env_, nullptr));
}

void Environment::open_file(const Opening& opening, FolderLife& life) {
  const std::string& path = names_.file;
  writers_ = std::make_unique<TimedLock>(names_.writers);
  readers_ = std::make_unique<TimedLock>(names_.readers);
  try {
    check(mdb_env_create(&env_), "make an environment");
    check(mdb_env_set_mapsize(env_, opening.map_bytes), "set the size of the map");
    check(mdb_env_set_maxreaders(env_, kMaxReaders), "set the number of readers");
    // Nothing is synced: another boot finds another boot id and begins anew.
    constexpr unsigned kFlags = MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD;
    check(mdb_env_open(env_, path.c_str(), kFlags, 0600), ("open " + path).c_str());
    if (!open_rows(life, opening.patience)) {
      throw HomeUnreachable(path + " is not the file that " + names_.boot +
                            " names; remove the whole folder");
    }
  } catch (...) {
    close_file();
    throw;
  }
  struct stat about;
  if (stat((path + "-lock").c_str(), &about) != 0)
    fail("cannot look at the lock of " + path, errno);
  lock_inode_ = about.st_ino;
  if (stat(path.c_str(), &about) != 0) fail("cannot look at " + path, errno);
  device_ = about.st_dev;
  inode_ = about.st_ino;
  nonce_ = life.nonce;
  space_ = life.space;
}

// Whether the file is the one that `life` names, or is new and now is. Only who finds it new waits
// for those who write.
bool Environment::open_rows(const FolderLife& life, std::chrono::nanoseconds patience) {
  Meta meta;
  {
    const Locked reading(*readers_, patience, folder_);
    int dead = 0;
    check(mdb_reader_check(env_, &dead), "look for dead readers");
    if (read_meta(&meta)) return meta.nonce == life.nonce;
  }
  const Locked writing(*writers_, patience, folder_);
  Transaction transaction(env_);
  Table table(transaction.get(), rows_);
  if (table.read_meta(&meta)) return meta.nonce == life.nonce;
  table.write_meta({life.nonce, 0});
  transaction.commit();
  return true;
}

// REQUIRES: the readers' lock is held, and nobody uses the environment yet.
bool Environment::read_meta(Meta* meta) {
  MDB_txn* reading = nullptr;
  int result = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reading);
  if (result == MDB_MAP_RESIZED && part_ == Part::kEntries) {
    // Somebody made it larger since this one's map was made.
    check(mdb_env_set_mapsize(env_, 0), "set the size of the map");
    result = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reading);
  }
  check(result, "begin to read");
  const std::unique_ptr<MDB_txn, decltype(&mdb_txn_abort)> end(reading, &mdb_txn_abort);
  check(mdb_dbi_open(reading, nullptr, 0, &rows_), "open the rows");
  return Table(reading, rows_).read_meta(meta);
}

int Environment::begin_reading(MDB_txn** transaction) {
  const Locked beginning(*readers_, kReaderWait, folder_);
  const auto try_it = [&] { return mdb_txn_begin(env_, nullptr, MDB_RDONLY, transaction); };
  int result = try_it();
  if (result == MDB_READERS_FULL) {
    int dead = 0;
    mdb_reader_check(env_, &dead);
    result = try_it();
  }
  return result;
}

void Environment::forget_dead_readers(std::chrono::nanoseconds patience) {
  const Locked reading(*readers_, patience, folder_);
  int dead = 0;
  check(mdb_reader_check(env_, &dead), "look for dead readers");
}

bool Environment::is_same_file() const noexcept {
  struct stat about;
  return !is_lost_.load() && stat(names_.file.c_str(), &about) == 0 && about.st_ino == inode_ &&
         about.st_dev == device_;
}

bool Environment::is_intact(std::string* trouble) const {
  if (!is_ours()) {
    *trouble = folder_ + " was opened before fork()";
    return false;
  }
  if (!is_same_file()) {
    *trouble = names_.file + " was removed or replaced";
    return false;
  }
  struct stat about;
  if (stat(folder_.c_str(), &about) != 0) {
    *trouble = folder_ + " is gone";
    return false;
  }
  const std::int64_t changed_ns = nanoseconds(about.st_ctim);
  if (certain_until_changed_ns_.load() == changed_ns) return true;
  // The clock is read between the folder's time and its names: who comes after them comes after it.
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  Neighbours found;
  try {
    found = look_at_neighbours(folder_, part_, space_);
  } catch (const std::exception& error) {
    found = {error.what(), false};
  }
  const bool is_certain = found.is_certain && is_settled(changed_ns, nanoseconds(now));
  certain_until_changed_ns_.store(is_certain ? changed_ns : -1);
  if (found.trouble.empty()) return true;
  *trouble = std::move(found.trouble);
  return false;
}

}  // namespace zoocache::lmdb
