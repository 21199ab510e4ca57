// What a process tells of its LMDB home, and what it does when it has missed very much.
#include <gtest/gtest.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "lmdb/environment.h"
#include "processes.h"
#include "temporary_folder.h"

namespace zoocache::testing {
namespace {

namespace fs = std::filesystem;

class LmdbStatus : public ::testing::Test {
 protected:
  struct Process {
    explicit Process(const Options& options) : cache(options) {}
    int get() { return *function(1); }
    HomeCounters counters() const { return cache.home()->counters; }
    int loads = 0;
    Cache cache;
    CachedFunction<int, int> function = cache.cacheable(
        "get", [this](int) { return ++loads; }, deps("user"));
  };

  std::string path() const { return folder_.path() + "/cache"; }
  Options options(const LmdbOptions& home = {}) const { return {.home = lmdb_home(path(), home)}; }
  std::shared_ptr<lmdb::Environment> environment(const LmdbOptions& home = {}) const {
    return lmdb::Environment::open(path(), home.map_bytes, std::chrono::seconds(5));
  }

  const TemporaryFolder folder_;
};

TEST_F(LmdbStatus, AQuietTimeCountsNothingButItsBeginning) {
  Process process(options());
  Process other(options());
  for (int round = 0; round < 5; ++round) {
    other.cache.invalidate("user");
    process.get();
    process.cache.invalidate("x");
  }
  const HomeCounters told = process.counters();
  EXPECT_EQ(told.connects, 1U);
  for (const std::uint64_t one :
       {told.disconnects, told.timeouts, told.errors, told.flushes, told.generation_changes,
        told.replays, told.map_full, told.corruptions}) {
    EXPECT_EQ(one, 0U);
  }
}

TEST_F(LmdbStatus, AFolderThatIsAnotherOne) {
  Process process(options());
  process.get();
  fs::remove_all(path());
  EXPECT_GT(process.cache.invalidate("user"), 0U);
  const HomeCounters told = process.counters();
  EXPECT_EQ(told.connects, 2U);
  EXPECT_EQ(told.disconnects, 1U);
  EXPECT_EQ(told.generation_changes, 1U);
  EXPECT_GE(told.flushes, 1U);
  EXPECT_EQ(told.corruptions, 0U);
}

TEST_F(LmdbStatus, AWriterThatDoesNotLetGo) {
  const LmdbOptions home{.lock_timeout_s = 0.02};
  Process process(options(home));
  process.get();
  {
    const std::shared_ptr<lmdb::Environment> held = environment();
    const lmdb::Locked writing(held->writers(), std::chrono::seconds(1), "test");
    EXPECT_THROW(process.cache.invalidate("user"), HomeUnreachable);
  }
  EXPECT_EQ(process.counters().timeouts, 1U);
  EXPECT_EQ(process.counters().replays, 0U);
  EXPECT_GT(process.cache.invalidate("x"), 0U);
  EXPECT_EQ(process.counters().replays, 1U);
  EXPECT_EQ(process.counters().disconnects, 0U);
}

TEST_F(LmdbStatus, AMapThatIsFull) {
  const LmdbOptions home{.map_bytes = std::size_t{1} << 20};
  Process process(options(home));
  process.cache.invalidate("x");
  const SharedMemory<std::atomic<bool>> is_reading;
  Children children;
  const pid_t reader = children.start([&] {
    MDB_txn* reading = nullptr;
    const std::shared_ptr<lmdb::Environment> opened = environment(home);
    if (mdb_txn_begin(opened->env(), nullptr, MDB_RDONLY, &reading) != MDB_SUCCESS) return 1;
    is_reading->store(true);
    for (;;) pause_for(std::chrono::microseconds(1000));
    return 0;
  });
  while (!is_reading->load()) pause_for(std::chrono::microseconds(500));
  children.end(reader, SIGKILL);
  EXPECT_EQ(process.counters().map_full, 0U);
  for (int index = 0; index < 2000; ++index) {
    process.cache.invalidate("t:" + std::to_string(index % 50));
  }
  EXPECT_GE(process.counters().map_full, 1U);
}

TEST_F(LmdbStatus, AFileThatWasDamaged) {
  { Process(options()).cache.invalidate("user"); }
  std::ofstream(path() + "/log-v1.mdb") << std::string(8192, 'x');
  Process process(options());
  Process other(options());
  process.get();
  other.get();
  EXPECT_EQ(process.counters().corruptions + other.counters().corruptions, 1U);
}

// As many rows as the local log remembers are read; where there are more it begins anew.
TEST_F(LmdbStatus, WhoMissedMoreThanItRemembersForgetsEverything) {
  Options few = options();
  few.ring_records = 16;
  Process sleeper(few);
  Process writer(options());
  const auto invalidate = [&writer](int count) {
    for (int index = 0; index < count; ++index) {
      writer.cache.invalidate("t:" + std::to_string(index));
    }
  };
  EXPECT_EQ(sleeper.get(), 1);
  invalidate(16);
  EXPECT_EQ(sleeper.get(), 1) << "nothing that it has was named";
  EXPECT_EQ(sleeper.counters().flushes, 0U);
  invalidate(17);
  EXPECT_EQ(sleeper.get(), 2);
  EXPECT_EQ(sleeper.counters().flushes, 1U);
  EXPECT_EQ(sleeper.get(), 2) << "once";
  // What it needs to hear is the newest, which it does not come to.
  invalidate(17);
  writer.cache.invalidate("user");
  EXPECT_EQ(sleeper.get(), 3);
  // Its own declaration, behind more than it remembers.
  invalidate(17);
  EXPECT_GT(sleeper.cache.invalidate("user"), 0U);
  EXPECT_EQ(sleeper.get(), 4);
  EXPECT_EQ(sleeper.counters().flushes, 3U);
  writer.cache.invalidate("user");
  EXPECT_EQ(sleeper.get(), 5) << "it goes on from there";
  EXPECT_EQ(sleeper.counters().flushes, 3U);
}

// A load that began before such a leap is not kept: what it read may be older.
TEST_F(LmdbStatus, ALoadThatWasUnderWayThenIsNotKept) {
  Options few = options();
  few.ring_records = 16;
  Cache sleeper(few);
  Process writer(options());
  int loads = 0;
  const auto other = sleeper.cacheable("other", [](int id) { return id; });
  const auto slow = sleeper.cacheable(
      "slow",
      [&](int) {
        if (++loads > 1) return loads;
        for (int index = 0; index < 20; ++index) {
          writer.cache.invalidate(index == 19 ? "user" : "t:" + std::to_string(index));
        }
        static_cast<void>(*other(1));  // hears of it
        return loads;
      },
      deps("user"));
  EXPECT_EQ(*slow(1), 1);
  EXPECT_EQ(*slow(1), 2);
  EXPECT_EQ(*slow(1), 2);
}

}  // namespace
}  // namespace zoocache::testing
