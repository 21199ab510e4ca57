// The LMDB home between real processes: the call rule holds while they are killed and started
// again, nothing acknowledged is lost, and nobody blocks for good.
#include <gtest/gtest.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "processes.h"
#include "seed.h"
#include "temporary_folder.h"

namespace zoocache::testing {
namespace {

constexpr std::uint32_t kSources = 32;

// What all processes see: the system of record, and what writers have been promised. A version is
// raised before its invalidation, and acknowledged after it.
struct Shared {
  std::atomic<std::uint64_t> versions[kSources];
  std::atomic<std::uint64_t> acknowledged[kSources];
  std::atomic<std::uint64_t> reads;
  std::atomic<std::uint64_t> hits;
  std::atomic<std::uint64_t> invalidations;
  std::atomic<std::uint64_t> refused;
  std::atomic<std::uint64_t> stale;
  std::atomic<std::uint64_t> loads;
};

using SharedCounts = SharedMemory<Shared>;

std::string tag_of(std::uint32_t source) {
  return "g:" + std::to_string(source % 4) + ":s:" + std::to_string(source);
}

// Reads, and now and then writes, as one worker of a program would.
int work(const std::string& folder, Shared& shared, std::uint64_t seed, std::uint64_t writes_in) {
  Cache cache({.home = lmdb_home(folder)});
  const auto get = cache.cacheable(
      "get",
      [&shared](std::uint32_t source) {
        shared.loads.fetch_add(1, std::memory_order_relaxed);
        return shared.versions[source].load();
      },
      deps([](std::uint32_t source) { return std::vector<std::string>{tag_of(source)}; }));
  std::mt19937_64 random(seed);
  for (;;) {
    const auto source = static_cast<std::uint32_t>(random() % kSources);
    if (random() % writes_in == 0) {
      const std::uint64_t version = shared.versions[source].fetch_add(1) + 1;
      try {
        cache.invalidate(tag_of(source));
      } catch (const HomeUnreachable&) {
        shared.refused.fetch_add(1);
        continue;
      }
      // Others may have acknowledged a later one already.
      std::uint64_t known = shared.acknowledged[source].load();
      while (known < version &&
             !shared.acknowledged[source].compare_exchange_weak(known, version)) {
      }
      shared.invalidations.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    const std::uint64_t promised = shared.acknowledged[source].load();
    const std::uint64_t seen = *get(source);
    if (seen < promised) shared.stale.fetch_add(1);
    shared.reads.fetch_add(1, std::memory_order_relaxed);
  }
}

TEST(LmdbProcesses, TheCallRuleHoldsInAStorm) {
  const TemporaryFolder folder;
  const SharedCounts shared;
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  Children children;
  for (std::uint64_t index = 0; index < 4; ++index) {
    children.start([&, index] { return work(folder.path(), *shared, seed + index, 20); });
  }
  std::this_thread::sleep_for(span_from("ZOOCACHE_STORM_MS", 2000));
  EXPECT_EQ(shared->stale.load(), 0U);
  EXPECT_EQ(shared->refused.load(), 0U);
  EXPECT_GT(shared->invalidations.load(), 100U);
  EXPECT_GT(shared->reads.load(), shared->loads.load()) << "nothing was ever a hit";
}

// ZOOCACHE_KILL_MS: how long; the soak and the fault table ask for more.
TEST(LmdbProcesses, NothingAcknowledgedIsLostWhenProcessesAreKilled) {
  const TemporaryFolder folder;
  const SharedCounts shared;
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  Children children;
  std::vector<pid_t> workers;
  std::uint64_t next_seed = seed;
  const auto start = [&] {
    const std::uint64_t own = next_seed++;
    return children.start([&, own] { return work(folder.path(), *shared, own, 5); });
  };
  for (int index = 0; index < 4; ++index) workers.push_back(start());
  const auto until = std::chrono::steady_clock::now() + span_from("ZOOCACHE_KILL_MS", 10'000);
  std::uint64_t kills = 0;
  std::uint64_t standstills = 0;
  while (std::chrono::steady_clock::now() < until) {
    const std::uint64_t reads = shared->reads.load();
    const auto began = std::chrono::steady_clock::now();
    pause_for(std::chrono::microseconds(random() % 8000));
    pid_t& victim = workers[random() % workers.size()];
    EXPECT_EQ(children.end(victim, SIGKILL), -1) << "a worker ended by itself";
    victim = start();
    ++kills;
    // With three others at work, something is read within a second or two, whoever died where.
    while (shared->reads.load() == reads) {
      pause_for(std::chrono::microseconds(500));
      if (std::chrono::steady_clock::now() - began > std::chrono::seconds(5)) {
        ++standstills;
        break;
      }
    }
  }
  EXPECT_EQ(shared->stale.load(), 0U);
  EXPECT_EQ(standstills, 0U);
  // A machine on which a process stands still for as long as a lock is waited for: it is said.
  EXPECT_LE(shared->refused.load(), kills / 100);
  EXPECT_GT(kills, 5U);
  EXPECT_GT(shared->invalidations.load(), 20U);
  std::printf("%lu kills, %lu invalidations acknowledged, %lu reads, %lu loads, %lu stale\n", kills,
              shared->invalidations.load(), shared->reads.load(), shared->loads.load(),
              shared->stale.load());
}

// A stopped process that holds the writers' lock must not hold up the others for good.
TEST(LmdbProcesses, AStoppedWriterIsATimeOutAndNothingIsLost) {
  const TemporaryFolder folder;
  Children children;
  const SharedCounts shared;
  const pid_t stopped = children.start([&] {
    Cache cache({.home = lmdb_home(folder.path())});
    for (std::uint64_t count = 0;; ++count) {
      cache.invalidate("own:" + std::to_string(count % 8));
      shared->invalidations.fetch_add(1);
    }
    return 0;
  });
  LmdbOptions options;
  options.lock_timeout_s = 0.05;
  Cache cache({.home = lmdb_home(folder.path(), options)});
  Cache other({.home = lmdb_home(folder.path(), options)});
  int loads = 0;
  const auto get = other.cacheable(
      "get", [&loads](int) { return ++loads; }, deps("user"));
  while (shared->invalidations.load() == 0) pause_for(std::chrono::microseconds(500));
  // It is within an invalidation most of the time: stop it until it is stopped inside the lock.
  bool refused = false;
  for (int tries = 0; tries < 400 && !refused; ++tries) {
    kill(stopped, SIGSTOP);
    try {
      cache.invalidate("something");
    } catch (const HomeUnreachable& error) {
      refused = true;
      EXPECT_NE(std::string(error.what()).find(std::to_string(stopped)), std::string::npos)
          << error.what();
    }
    if (!refused) kill(stopped, SIGCONT);
    pause_for(std::chrono::microseconds(300));
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(*get(1), 1);
  int own_loads = 0;
  const auto own = cache.cacheable(
      "own", [&own_loads](int) { return ++own_loads; }, deps("user"));
  EXPECT_EQ(*own(1), 1);
  EXPECT_THROW(cache.invalidate("user"), HomeUnreachable);
  EXPECT_EQ(*own(1), 2) << "it is done where it was declared";
  kill(stopped, SIGCONT);
  // It was not acknowledged, and is not forgotten: the next hits of its cache try again.
  const auto idle = cache.cacheable("idle", [](int id) { return id; });
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (*get(1) == 1 && std::chrono::steady_clock::now() < until) {
    static_cast<void>(*idle(1));
    pause_for(std::chrono::microseconds(1000));
  }
  EXPECT_EQ(*get(1), 2);
}

TEST(LmdbProcesses, AKilledWriterLeavesNoLock) {
  const TemporaryFolder folder;
  Children children;
  for (int round = 0; round < 20; ++round) {
    const SharedCounts shared;
    const pid_t pid = children.start([&] {
      Cache cache({.home = lmdb_home(folder.path())});
      for (;;) {
        cache.invalidate("x");
        shared->invalidations.fetch_add(1);
      }
      return 0;
    });
    while (shared->invalidations.load() < 20) pause_for(std::chrono::microseconds(200));
    children.end(pid, SIGKILL);
    Cache cache({.home = lmdb_home(folder.path())});
    EXPECT_GT(cache.invalidate("x"), shared->invalidations.load());
  }
}

// A server that loads its program before it forks its workers.
TEST(LmdbProcesses, WorkersOfAPreForkingServer) {
  const TemporaryFolder folder;
  const SharedCounts shared;
  const HomePtr home = lmdb_home(folder.path());
  Cache master({.home = home});
  master.invalidate("before:the:fork");
  Children children;
  std::vector<pid_t> workers;
  for (std::uint32_t index = 0; index < 3; ++index) {
    workers.push_back(children.start([&, index] {
      Cache cache({.home = home});
      int loads = 0;
      const auto get = cache.cacheable(
          "get", [&loads](int) { return ++loads; }, deps("all"));
      const bool hits = *get(1) == 1 && *get(1) == 1;
      shared->reads.fetch_add(1);
      if (!hits) return 1;
      while (shared->acknowledged[0].load() == 0) pause_for(std::chrono::microseconds(200));
      if (*get(1) != 2) return 2;
      cache.invalidate("worker:" + std::to_string(index));
      return 0;
    }));
  }
  while (shared->reads.load() < 3) pause_for(std::chrono::microseconds(200));
  master.invalidate("all");
  shared->acknowledged[0].store(1);
  for (const pid_t worker : workers) EXPECT_EQ(children.end(worker, 0), 0);
  for (int index = 0; index < 3; ++index) {
    EXPECT_GT(master.tag_version("worker:" + std::to_string(index)), 0U);
  }
}

}  // namespace
}  // namespace zoocache::testing
