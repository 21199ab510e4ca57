// What may be wrong with the folder of an LMDB home, and what becomes of it: said clearly, nothing
// stale, nothing wiped under somebody who uses it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "cache_access.h"
#include "core/home.h"
#include "lmdb/environment.h"
#include "temporary_folder.h"

namespace zoocache::testing {
namespace {

namespace fs = std::filesystem;

// What is thrown, and that it says so.
template <class Call>
void expect_unreachable(Call&& call, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; expected: " << words;
  } catch (const HomeUnreachable& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

template <class Call>
void expect_invalid(Call&& call, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; expected: " << words;
  } catch (const InvalidOption& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

struct Reader {
  explicit Reader(const HomePtr& home) : cache({.home = home}) {}
  int get() { return *function(1); }
  int loads = 0;
  Cache cache;
  CachedFunction<int, int> function = cache.cacheable(
      "get", [this](int) { return ++loads; }, deps("user"));
};

TEST(LmdbFolder, BadOptionsAreNamed) {
  const TemporaryFolder folder;
  expect_invalid([] { lmdb_home(""); }, "path=''");
  expect_invalid([] { lmdb_home(std::string("a\0b", 3)); }, "path=");
  const std::string too_long(65, 'a');
  for (const std::string& bad :
       std::vector<std::string>{"a/b", "..", ".", "sp ace", "\xC3\xA9", too_long}) {
    expect_invalid([&] { lmdb_home(folder.path(), {.prefix = bad}); }, "prefix='" + bad + "'");
  }
  expect_invalid([&] { lmdb_home(folder.path(), {.max_log_tags = 15}); }, "max_log_tags=15");
  expect_invalid([&] { lmdb_home(folder.path(), {.map_bytes = 1000}); }, "map_bytes=1000");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double endless = std::numeric_limits<double>::infinity();
  for (const double bad : {0.0, -1.0, nan, endless}) {
    expect_invalid([&] { lmdb_home(folder.path(), {.lock_timeout_s = bad}); }, "lock_timeout_s=");
  }
}

TEST(LmdbFolder, IsMadeForItsOwnerAlone) {
  const TemporaryFolder above;
  const std::string path = above.path() + "/a/b/cache";
  const HomePtr home = lmdb_home(path);
  struct stat about;
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0700U);
  for (const auto& entry : fs::directory_iterator(path)) {
    ASSERT_EQ(stat(entry.path().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600U) << entry.path();
  }
}

TEST(LmdbFolder, FoldersThatCannotBeUsedAreNamed) {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/file";
  write_file(file, "text");
  expect_unreachable([&] { lmdb_home(file); }, "is not a folder");
  expect_unreachable([&] { lmdb_home(file + "/below"); }, "cannot make");
  const std::string open_to_all = folder.path() + "/open";
  fs::create_directory(open_to_all);
  chmod(open_to_all.c_str(), 0777);
  expect_unreachable([&] { lmdb_home(open_to_all); }, "chmod 700");
  expect_unreachable([] { lmdb_home("/proc/self"); }, "cannot open /proc/");
}

TEST(LmdbFolder, AnotherLifeOfTheSystemBeginsAnew) {
  const TemporaryFolder folder;
  std::uint64_t before = 0;
  for (int count = 0; count < 5; ++count) {
    Reader reader(lmdb_home(folder.path()));
    before = reader.cache.invalidate("user");
  }
  const fs::path boot = fs::path(folder.path()) / "boot-v1";
  const std::string text = read_file(boot);
  {
    Reader reader(lmdb_home(folder.path()));
    EXPECT_GT(reader.cache.invalidate("user"), before) << "the same life goes on";
  }
  write_file(boot, "00000000-0000-0000-0000-000000000000" + text.substr(text.find(' ')));
  {
    Reader reader(lmdb_home(folder.path()));
    EXPECT_LT(reader.cache.invalidate("user"), before) << "the log of another boot was kept";
  }
  EXPECT_NE(read_file(boot), text);
}

TEST(LmdbFolder, DamagedFilesBeginAnewWhenNobodyUsesThem) {
  const TemporaryFolder folder;
  const fs::path at(folder.path());
  for (const char* name : {"log-v1.mdb", "boot-v1", "writers-v1.lock"}) {
    SCOPED_TRACE(name);
    {
      Reader reader(lmdb_home(folder.path()));
      reader.cache.invalidate("user");
    }
    write_file(at / name, std::string(8192, 'x'));
    Reader reader(lmdb_home(folder.path()));
    EXPECT_EQ(reader.get(), 1);
    reader.cache.invalidate("user");
    EXPECT_EQ(reader.get(), 2);
  }
}

// A child that uses the folder until the pipe closes.
class OtherProcess {
 public:
  template <class Work>
  explicit OtherProcess(Work&& work) {
    int to_child[2];
    int from_child[2];
    if (pipe(to_child) != 0 || pipe(from_child) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      close(to_child[1]);
      close(from_child[0]);
      const bool ready = work();
      char letter = ready ? 'r' : 'x';
      static_cast<void>(!write(from_child[1], &letter, 1));
      static_cast<void>(!read(to_child[0], &letter, 1));  // until the parent closes it
      _exit(0);
    }
    close(to_child[0]);
    close(from_child[1]);
    life_ = to_child[1];
    char letter = 0;
    ready_ = read(from_child[0], &letter, 1) == 1 && letter == 'r';
    close(from_child[0]);
  }
  ~OtherProcess() { end(); }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  bool ready() const { return ready_; }
  void end() {
    if (pid_ <= 0) return;
    close(life_);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  int life_ = -1;
  bool ready_ = false;
};

// As a process that uses the folder holds its file; until the descriptor, which is returned, goes.
int hold_file(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? descriptor : -1;
}

TEST(LmdbFolder, NothingIsWipedUnderALiveProcess) {
  const TemporaryFolder folder;
  const fs::path at(folder.path());
  OtherProcess other([&] {
    static auto* const cache = new Cache({.home = lmdb_home(folder.path())});
    return cache->invalidate("user") > 0;
  });
  ASSERT_TRUE(other.ready());
  const std::string text = read_file(at / "boot-v1");
  fs::remove(at / "boot-v1");
  expect_unreachable([&] { lmdb_home(folder.path()); }, "while processes use the folder");
  EXPECT_TRUE(fs::exists(at / "log-v1.mdb"));
  write_file(at / "boot-v1", text);
  EXPECT_NO_THROW(lmdb_home(folder.path()));
}

TEST(LmdbFolder, ALiveProcessOfAnotherVersionMeansNoHitsHere) {
  const TemporaryFolder folder;
  Reader reader(lmdb_home(folder.path()));
  EXPECT_EQ(reader.get(), 1);
  EXPECT_EQ(reader.get(), 1);
  {
    OtherProcess other([&] { return hold_file(folder.path() + "/process-v2-1-77") >= 0; });
    ASSERT_TRUE(other.ready());
    expect_unreachable([&] { reader.cache.invalidate("x"); }, "another version");
    const int seen = reader.get();
    EXPECT_EQ(reader.get(), seen + 1) << "served what the other cannot invalidate";
    EXPECT_EQ(reader.get(), seen + 2);
    expect_unreachable([&] { lmdb_home(folder.path()); }, "another version");
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  const int seen = reader.get();
  EXPECT_EQ(reader.get(), seen) << "it is gone";
}

// The time of a folder may stay as it is when somebody comes right after it moved.
TEST(LmdbFolder, ATimeIsBelievedOnceTheNextOneDiffers) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t kChanged = 1000 * kSecond + 1;
  EXPECT_FALSE(lmdb::is_settled(kChanged, kChanged));
  EXPECT_FALSE(lmdb::is_settled(kChanged, kChanged + kSecond / 100));
  EXPECT_TRUE(lmdb::is_settled(kChanged, kChanged + kSecond / 25));
  EXPECT_FALSE(lmdb::is_settled(kChanged, kChanged - 9 * kSecond)) << "the clock was set back";
  EXPECT_FALSE(lmdb::is_settled(1000 * kSecond, 1001 * kSecond)) << "whole seconds are kept";
  EXPECT_TRUE(lmdb::is_settled(1000 * kSecond, 1003 * kSecond));
}

TEST(LmdbFolder, AnotherVersionIsNoticedHoweverYoungTheFolderIs) {
  const TemporaryFolder folder;
  Cache cache({.home = lmdb_home(folder.path())});
  const std::string other = folder.path() + "/process-v2-1-77";
  for (int round = 0; round < 30; ++round) {
    EXPECT_GT(cache.invalidate("x"), 0U);
    const int descriptor = hold_file(other);
    ASSERT_GE(descriptor, 0);
    expect_unreachable([&] { cache.invalidate("x"); }, "another version");
    fs::remove(other);
    close(descriptor);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(40));  // the folder's time is settled
  EXPECT_GT(cache.invalidate("x"), 0U);
  const int descriptor = hold_file(other);
  expect_unreachable([&] { cache.invalidate("x"); }, "another version");
  close(descriptor);
}

// It makes its file and locks it a moment later, which the folder's time does not tell.
TEST(LmdbFolder, AnotherVersionThatIsAboutToComeIsNoticed) {
  const TemporaryFolder folder;
  Cache cache({.home = lmdb_home(folder.path())});
  const std::string other = folder.path() + "/process-v2-1-77";
  write_file(other, "");
  std::this_thread::sleep_for(std::chrono::milliseconds(40));  // the folder's time is settled
  EXPECT_GT(cache.invalidate("x"), 0U);
  EXPECT_GT(cache.invalidate("x"), 0U);
  const int descriptor = hold_file(other);
  ASSERT_GE(descriptor, 0);
  expect_unreachable([&] { cache.invalidate("x"); }, "another version");
  close(descriptor);
}

TEST(LmdbFolder, AHitNoticesWithinASecond) {
  const TemporaryFolder folder;
  Reader reader(lmdb_home(folder.path()));
  reader.get();
  OtherProcess other([&] { return hold_file(folder.path() + "/process-v2-1-77") >= 0; });
  ASSERT_TRUE(other.ready());
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  EXPECT_EQ(reader.get(), 2) << "the very first call after it";
}

TEST(LmdbFolder, AProcessOfAnotherPidNamespaceIsRefused) {
  const TemporaryFolder folder;
  OtherProcess other([&] { return hold_file(folder.path() + "/process-v1-1-77") >= 0; });
  ASSERT_TRUE(other.ready());
  expect_unreachable([&] { lmdb_home(folder.path()); }, "PID namespace");
}

TEST(LmdbFolder, FilesOfDeadProcessesGo) {
  const TemporaryFolder folder;
  const std::string dead = folder.path() + "/process-v1-1-77";
  write_file(dead, "");
  const HomePtr home = lmdb_home(folder.path());
  EXPECT_FALSE(fs::exists(dead));
}

TEST(LmdbFolder, AnotherCopyOfTheLibraryInThisProcessIsRefused) {
  const TemporaryFolder folder;
  std::string mine;
  {
    const HomePtr home = lmdb_home(folder.path());
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      if (entry.path().filename().string().starts_with("process-")) mine = entry.path();
    }
  }
  EXPECT_FALSE(fs::exists(mine)) << "it goes with the home";
  const int descriptor = hold_file(mine);
  ASSERT_GE(descriptor, 0);
  expect_unreachable([&] { lmdb_home(folder.path()); }, "another copy");
  close(descriptor);
  EXPECT_NO_THROW(lmdb_home(folder.path()));
}

TEST(LmdbFolder, ARemovedFolderIsANewLogForEverybody) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/cache";
  Reader reader(lmdb_home(path));
  Reader writer(lmdb_home(path));
  EXPECT_EQ(reader.get(), 1);
  for (int round = 0; round < 4; ++round) {
    fs::remove_all(round % 2 == 0 ? path : path + "/log-v1.mdb");
    EXPECT_GT(writer.cache.invalidate("user"), 0U);
    EXPECT_TRUE(fs::exists(path + "/log-v1.mdb")) << "a writer sees it at once";
    const int before = reader.loads;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (reader.get() == before && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // a reader within a second
    }
    EXPECT_EQ(reader.loads, before + 1);
    const int seen = reader.get();
    writer.cache.invalidate("user");
    EXPECT_EQ(reader.get(), seen + 1);
    EXPECT_EQ(reader.get(), seen + 1);
  }
}

TEST(LmdbFolder, AFolderThatComesBackIsUsedAgain) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/cache";
  Reader reader(lmdb_home(path));
  reader.get();
  fs::remove_all(path);
  write_file(path, "in the way");
  expect_unreachable([&] { reader.cache.invalidate("user"); }, "not acknowledged");
  const int seen = reader.get();
  EXPECT_EQ(reader.get(), seen + 1) << "served without knowing";
  fs::remove(path);
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  const int later = reader.get();
  EXPECT_EQ(reader.get(), later);
  EXPECT_GT(reader.cache.invalidate("user"), 0U);
  EXPECT_EQ(reader.get(), later + 1);
}

TEST(LmdbFolder, PrefixesAreLogsOfTheirOwn) {
  const TemporaryFolder folder;
  Reader reader(lmdb_home(folder.path(), {.prefix = "a"}));
  Reader same(lmdb_home(folder.path(), {.prefix = "a"}));
  Reader other(lmdb_home(folder.path(), {.prefix = "b"}));
  reader.get();
  other.get();
  other.cache.invalidate("user");
  EXPECT_EQ(reader.get(), 1);
  same.cache.invalidate("user");
  EXPECT_EQ(reader.get(), 2);
}

TEST(LmdbFolder, ManyWaysToOneFolderAreOne) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/cache";
  Reader reader(lmdb_home(path));
  fs::create_symlink(path, folder.path() + "/link");
  Reader writer(lmdb_home(folder.path() + "/./link/"));
  reader.get();
  writer.cache.invalidate("user");
  EXPECT_EQ(reader.get(), 2);
}

TEST(LmdbFolder, CachesThatComeAndGoLeaveNothingOpen) {
  const TemporaryFolder folder;
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_files();
  for (int round = 0; round < 50; ++round) {
    Reader reader(lmdb_home(folder.path()));
    reader.get();
    EXPECT_GT(reader.cache.invalidate("user"), 0U);
  }
  EXPECT_EQ(open_files(), before);
}

TEST(LmdbFolder, TheOldestTagsAreForgottenAndCachesThatSleptBeginAnew) {
  const TemporaryFolder folder;
  const LmdbOptions options{.max_log_tags = 64};
  Reader sleeper(lmdb_home(folder.path(), options));
  Reader writer(lmdb_home(folder.path(), options));
  sleeper.get();
  for (int index = 0; index < 40; ++index) writer.cache.invalidate("t:" + std::to_string(index));
  EXPECT_EQ(sleeper.get(), 1) << "nothing that it has was named, and nothing was forgotten";
  for (int index = 0; index < 200; ++index) writer.cache.invalidate("t:" + std::to_string(index));
  EXPECT_EQ(sleeper.get(), 2) << "what it missed may have been forgotten";
  EXPECT_EQ(sleeper.get(), 2);
  EXPECT_EQ(writer.cache.tag_version("t:0"), 0U);
  EXPECT_GT(writer.cache.tag_version("t:199"), 0U);
}

TEST(LmdbFolder, ATagThatIsInvalidatedAgainAndAgainTakesOneRow) {
  const TemporaryFolder folder;
  const LmdbOptions options{.max_log_tags = 16};
  Reader sleeper(lmdb_home(folder.path(), options));
  Reader writer(lmdb_home(folder.path(), options));
  sleeper.get();
  for (int index = 0; index < 1000; ++index) {
    writer.cache.invalidate("t:" + std::to_string(index % 10));
  }
  EXPECT_EQ(sleeper.get(), 1) << "rows were forgotten that others had need of";
}

TEST(LmdbFolder, AFullMapForgetsTheOldestAndLosesNothing) {
  const TemporaryFolder folder;
  const LmdbOptions options{.map_bytes = std::size_t{1} << 21};
  Reader reader(lmdb_home(folder.path(), options));
  Cache writer({.max_tag_length = 4096, .home = lmdb_home(folder.path(), options)});
  reader.get();
  const std::string filling(2000, 'x');
  std::uint64_t last = 0;
  for (int index = 0; index < 2000; ++index) {
    const std::uint64_t epoch = writer.invalidate(filling + std::to_string(index));
    EXPECT_GT(epoch, last);
    last = epoch;
    if (index % 100 == 0) {
      const int seen = reader.get();
      writer.invalidate("user");
      EXPECT_GT(reader.get(), seen);
    }
  }
}

// It would keep LMDB from using any page again that was written since.
TEST(LmdbFolder, AReaderThatDiedAtWorkDoesNotFillTheMap) {
  const TemporaryFolder folder;
  const LmdbOptions options{.map_bytes = std::size_t{1} << 21};
  OtherProcess other([&] {
    static std::shared_ptr<lmdb::Environment> environment;
    environment =
        lmdb::Environment::open(folder.path(), options.map_bytes, std::chrono::seconds(5));
    MDB_txn* reading = nullptr;
    return mdb_txn_begin(environment->env(), nullptr, MDB_RDONLY, &reading) == MDB_SUCCESS;
  });
  ASSERT_TRUE(other.ready());
  Cache writer({.home = lmdb_home(folder.path(), options)});
  writer.invalidate("x");
  other.end();
  for (int index = 0; index < 2000; ++index) {
    ASSERT_NO_THROW(writer.invalidate("t:" + std::to_string(index % 50))) << index;
  }
}

TEST(LmdbFolder, ADiskThatIsFullIsSaidAndLosesNothing) {
  const TemporaryFolder folder;
  Reader reader(lmdb_home(folder.path()));
  Reader writer(lmdb_home(folder.path()));
  reader.get();
  const pid_t child = fork();  // the limit is a process's
  if (child == 0) {
    Reader own(lmdb_home(folder.path()));
    signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_FSIZE, &none);
    try {
      own.cache.invalidate("user");
    } catch (const HomeUnreachable&) {
      _exit(own.get() == 1 ? 0 : 2);
    }
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(reader.get(), 1);
  writer.cache.invalidate("user");
  EXPECT_EQ(reader.get(), 2);
}

}  // namespace
}  // namespace zoocache::testing
