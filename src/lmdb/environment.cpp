#include "lmdb/environment.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "lmdb/rows.h"

namespace zoocache::lmdb {

using FileNumber = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

// Environments by folder, and what fork() left of the parent's.
class Registry {
 public:
  static Registry& instance() {
    static auto* const registry = new Registry;  // outlives whatever uses it at exit
    return *registry;
  }

  std::shared_ptr<Environment> open(const std::string& path, std::size_t map_bytes,
                                    std::chrono::nanoseconds patience) {
    std::shared_ptr<Environment> known;  // dropped without the mutex: its end takes it
    std::unique_lock lock(mutex_);
    close_inherited();
    std::string folder = prepare_folder(path);
    Entry& entry = entries_[folder];
    // (1) the last user has let go  (2) the environment is closed: only then may it be opened anew.
    closed_.wait(lock, [&entry] { return entry.open == nullptr || !entry.shared.expired(); });
    known = entry.shared.lock();
    if (known != nullptr && known->is_same_file()) {
      const std::string trouble = unfit_neighbour(folder);
      if (!trouble.empty()) throw HomeUnreachable(trouble);
      return known;
    }
    if (known != nullptr) known->presence_.close();  // it is the new one's
    std::shared_ptr<Environment> made(new Environment(std::move(folder), map_bytes, patience));
    entry = {made, made.get()};
    made->is_registered_ = true;
    return made;
  }

  void close(Environment& one) noexcept {
    const std::lock_guard lock(mutex_);
    one.close_log();
    if (one.presence_) unlink(one.presence_path_.c_str());
    for (auto& [folder, entry] : entries_) {
      if (entry.open == &one) entry.open = nullptr;
    }
    closed_.notify_all();
  }

 private:
  struct Entry {
    std::weak_ptr<Environment> shared;
    Environment* open = nullptr;  // until it is closed
  };

  Registry() { pthread_atfork(&prepare, &in_parent, &in_child); }

  static void prepare() { instance().mutex_.lock(); }
  static void in_parent() { instance().mutex_.unlock(); }
  static void in_child() {
    Registry& self = instance();
    for (auto& [folder, entry] : self.entries_) {
      if (entry.open == nullptr) continue;
      Environment& one = *entry.open;
      one.inherited_.store(true);
      one.presence_.close();  // else the parent seems alive as long as the child
      self.inherited_.emplace_back(one.device_, one.inode_);
      self.inherited_.emplace_back(one.device_, one.lock_inode_);
    }
    self.entries_.clear();
    self.mutex_.unlock();
  }

  // Closing a file after it was opened anew would drop the new one's locks.
  void close_inherited() {
    if (inherited_.empty()) return;
    std::vector<int> mine;
    std::error_code error;
    for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd", error)) {
      const int descriptor = std::atoi(one.path().filename().c_str());
      struct stat about;
      if (fstat(descriptor, &about) != 0) continue;
      const FileNumber file{about.st_dev, about.st_ino};
      if (std::find(inherited_.begin(), inherited_.end(), file) != inherited_.end()) {
        mine.push_back(descriptor);
      }
    }
    for (const int descriptor : mine) ::close(descriptor);
    inherited_.clear();
  }

  std::mutex mutex_;  // guards everything here, and the opening and closing of environments
  std::condition_variable closed_;
  std::map<std::string, Entry> entries_;
  std::vector<FileNumber> inherited_;
};

namespace {

constexpr unsigned kMaxReaders = 4096;
constexpr std::chrono::seconds kOpenTimeout{5};

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

std::shared_ptr<Environment> Environment::open(const std::string& path, std::size_t map_bytes,
                                               std::chrono::nanoseconds patience) {
  return Registry::instance().open(path, map_bytes, patience);
}

Environment::Environment(std::string folder, std::size_t map_bytes,
                         std::chrono::nanoseconds patience)
    : folder_(std::move(folder)), map_bytes_(map_bytes) {
  FolderLife life = enter_folder(folder_, patience);
  try {
    open_log(life);
  } catch (const HomeUnreachable&) {
    // What nobody uses may be begun anew: a cache holds nothing that cannot be loaded again.
    if (life.is_shared) throw;
    renew_folder(folder_, life);
    open_log(life);
  }
  presence_ = std::move(life.presence);
  presence_path_ = std::move(life.presence_path);
}

Environment::~Environment() {
  if (!is_ours()) return;  // the parent's; its memory stays mapped
  if (is_registered_) {
    Registry::instance().close(*this);
  } else {
    close_log();
  }
}

void Environment::close_log() noexcept {
  if (env_ != nullptr) mdb_env_close(std::exchange(env_, nullptr));
}

void Environment::open_log(FolderLife& life) {
  const std::string path = log_path(folder_);
  writers_ = std::make_unique<TimedLock>(writers_path(folder_));
  readers_ = std::make_unique<TimedLock>(readers_path(folder_));
  try {
    check(mdb_env_create(&env_), "make an environment");
    check(mdb_env_set_mapsize(env_, map_bytes_), "set the size of the map");
    check(mdb_env_set_maxreaders(env_, kMaxReaders), "set the number of readers");
    // Nothing is synced: another boot finds another boot id and begins anew.
    constexpr unsigned kFlags = MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD;
    check(mdb_env_open(env_, path.c_str(), kFlags, 0600), ("open " + path).c_str());
    forget_dead_readers();
    const Locked writing(*writers_, kOpenTimeout, folder_);
    if (!open_rows(life)) {
      throw HomeUnreachable(path + " is not the log that " + folder_ +
                            "/boot-v1 names; remove the whole folder");
    }
  } catch (...) {
    close_log();
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
}

// Whether the file is the one that `life` names, or is new and now is.
bool Environment::open_rows(FolderLife& life) {
  Transaction transaction(env_);
  check(mdb_dbi_open(transaction.get(), nullptr, 0, &rows_), "open the rows");
  LogRows rows(transaction.get(), rows_, life.nonce);
  Meta meta;
  if (rows.read_meta(&meta)) {
    transaction.commit();  // keeps the handle
    return meta.nonce == life.nonce;
  }
  rows.write_meta({life.nonce, 0});
  transaction.commit();
  return true;
}

void Environment::forget_dead_readers() {
  const Locked reading(*readers_, kOpenTimeout, folder_);
  int dead = 0;
  check(mdb_reader_check(env_, &dead), "look for dead readers");
}

bool Environment::is_same_file() const noexcept {
  struct stat about;
  return stat(log_path(folder_).c_str(), &about) == 0 && about.st_ino == inode_ &&
         about.st_dev == device_;
}

bool Environment::is_intact(std::string* trouble) const {
  if (!is_ours()) {
    *trouble = folder_ + " was opened before fork()";
    return false;
  }
  if (!is_same_file()) {
    *trouble = log_path(folder_) + " was removed or replaced";
    return false;
  }
  struct stat about;
  if (stat(folder_.c_str(), &about) != 0) {
    *trouble = folder_ + " is gone";
    return false;
  }
  // Who came since is seen by the folder's time, unless that is too young to have changed again.
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t changed_ns = nanoseconds(about.st_mtim);
  const bool settled = nanoseconds(now) - changed_ns > 2'000'000'000;
  if (settled && folder_changed_ns_.load() == changed_ns) return true;
  try {
    *trouble = unfit_neighbour(folder_);
  } catch (const std::exception& error) {
    *trouble = error.what();
  }
  folder_changed_ns_.store(trouble->empty() ? changed_ns : -1);
  return trouble->empty();
}

}  // namespace zoocache::lmdb
