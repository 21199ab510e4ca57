// The call rule across caches that share a home and a storage, as linearizability_test.cpp has it
// within one: whatever is found, loaded, stored, invalidated and evicted at once, no call returns a
// value from before an invalidation that had returned when it began.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache_pair.h"
#include "history.h"
#include "seed.h"
#include "task.h"

namespace zoocache::testing {
namespace {

constexpr std::uint32_t kSources = 8;
constexpr int kThreads = 4;
constexpr std::size_t kMostReads = 200'000;
using Versions = std::array<std::atomic<std::uint64_t>, kSources>;

// One process: `get`, what is made of it, and the same as a coroutine.
struct Process {
  Process(const Options& options, Versions& versions)
      : cache(options),
        get(cache.cacheable(
            "get", [&versions](std::uint32_t source) { return versions[source].load(); },
            deps("s:{0}"))),
        twice(cache.cacheable("twice", [this](std::uint32_t source) { return 2 * *get(source); })),
        slow(cache.cacheable(
            "slow",
            [&versions](std::uint32_t source) -> Task<std::uint64_t> {
              co_return versions[source].load();
            },
            deps("s:{0}"))) {}

  std::uint64_t read(std::uint32_t source, unsigned how) {
    if (how == 0) return *twice(source) / 2;
    if (how > 1) return *get(source);
    std::atomic<std::uint64_t> value{0};
    std::atomic<bool> ended{false};
    slow.async_get(source,
                   [&](const std::shared_ptr<const std::uint64_t>& got, std::exception_ptr) {
                     value = *got;
                     ended = true;
                     ended.notify_one();
                   });
    ended.wait(false);
    return value;
  }
  void invalidate(std::uint32_t source, unsigned how) {
    if (how == 0) {
      get.invalidate(source);
      slow.invalidate(source);
    } else if (how == 1) {
      get.clear();
      slow.clear();
    } else {
      cache.invalidate("s:" + std::to_string(source));
    }
  }

  Cache cache;
  CachedFunction<std::uint64_t, std::uint32_t> get;
  CachedFunction<std::uint64_t, std::uint32_t> twice;
  CachedAsyncFunction<std::uint64_t, std::uint32_t> slow;
};

struct Counts {
  std::uint64_t found = 0;
  std::uint64_t stored = 0;
};

void act(Process& process, Versions& versions, Recorder& recorder, std::mt19937_64& random) {
  const auto source = static_cast<std::uint32_t>(random() % kSources);
  if (random() % 50 == 0) {
    const std::uint64_t version = versions[source].fetch_add(1) + 1;
    process.invalidate(source, static_cast<unsigned>(random() % 6));
    recorder.acknowledged.push_back({tick(), source, version});
  } else {
    const std::uint64_t began = tick();
    const std::uint64_t seen = process.read(source, static_cast<unsigned>(random() % 8));
    recorder.reads.push_back({began, source, seen});
  }
}

TEST(LevelCallRule, ReadsAreNeverStale) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  Options options = Processes().options();
  options.max_entries = 12;  // less than there is: what is evicted is found again
  Versions versions{};
  std::vector<std::unique_ptr<Process>> processes;
  for (int index = 0; index < 2; ++index) {
    processes.push_back(std::make_unique<Process>(options, versions));
  }
  std::atomic<bool> stop{false};
  std::vector<Recorder> recorders(kThreads);
  std::vector<std::thread> threads;
  for (int index = 0; index < kThreads; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937_64 random(seed + static_cast<std::uint64_t>(index));
      Recorder& recorder = recorders[static_cast<std::size_t>(index)];
      Process& process = *processes[static_cast<std::size_t>(index % 2)];
      while (!stop && recorder.reads.size() < kMostReads) act(process, versions, recorder, random);
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  Counts counts;
  for (const auto& process : processes) {
    const Stats stats = process->cache.stats();
    counts.found += stats.l2_hits;
    counts.stored += stats.l2_stores;
  }
  const Verdict verdict = check(recorders);
  EXPECT_EQ(verdict.stale, 0U) << verdict.first;
  EXPECT_GT(verdict.reads, 500U);
  EXPECT_GT(verdict.invalidations, 20U);
  EXPECT_GT(counts.found, 50U) << "else nothing was tried";
  EXPECT_GT(counts.stored, 50U);
  ::testing::Test::RecordProperty("reads", std::to_string(verdict.reads));
  ::testing::Test::RecordProperty("found", std::to_string(counts.found));
  ::testing::Test::RecordProperty("stored", std::to_string(counts.stored));
}

}  // namespace
}  // namespace zoocache::testing
