// One load among processes: who waits for whom, and how waits end.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache_pair.h"

namespace zoocache {
namespace {

using namespace std::chrono_literals;
using testing::wait_until;
using Options1 = CacheableOptions<int>;
using LevelFlights = testing::Levels;

TEST_F(LevelFlights, OneLoadForAHundredCallersOfTwoCaches) {
  const auto slow = [this](int id) {
    wait_until([&] { return first.stats().flights_joined + second.stats().flights_joined == 98; });
    return source.load(id);
  };
  const auto here = first.cacheable("get", slow);
  const auto there = second.cacheable("get", slow);
  std::barrier start(100);
  std::vector<std::thread> callers;
  for (int index = 0; index < 100; ++index) {
    callers.emplace_back([&, index] {
      start.arrive_and_wait();
      EXPECT_EQ(*(index % 2 == 0 ? here : there)(7), 7000);
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(source.loads, 1);
  EXPECT_EQ(first.stats().l2_hits + second.stats().l2_hits, 1U);
}

TEST_F(LevelFlights, ALoadThatFailsLeavesTheOthersToLoad) {
  std::atomic<bool> inside{false};
  std::atomic<bool> go{false};
  const auto here = first.cacheable("get", [&](int) -> int {
    inside = true;
    wait_until([&] { return go.load(); });
    throw std::domain_error("no such user");
  });
  const auto there = function(second);
  std::thread failing([&] { EXPECT_THROW(here(1), std::domain_error); });
  wait_until([&] { return inside.load(); });
  std::thread waiting([&] { EXPECT_EQ(*there(1), 1000); });
  wait_until([&] { return second.stats().flights == 1; });
  EXPECT_EQ(source.loads, 0) << "it waits for the other process";
  go = true;
  failing.join();
  waiting.join();
  EXPECT_EQ(*there(1), 1000);
  EXPECT_EQ(source.loads, 1);
  EXPECT_THROW(here(2), std::domain_error);
  EXPECT_EQ(*there(2), 2000) << "and the claim is free";
}

// Holds the claim of get(1) from `first` while `body` runs.
class Claimed {
 public:
  explicit Claimed(Cache& cache)
      : get_(cache.cacheable("get",
                             [this](int) {
                               inside_ = true;
                               wait_until([&] { return go_.load(); });
                               return -1;
                             })),
        thread_([this] { get_(1); }) {
    wait_until([&] { return inside_.load(); });
  }
  ~Claimed() {
    go_ = true;
    thread_.join();
  }
  Claimed(const Claimed&) = delete;
  Claimed& operator=(const Claimed&) = delete;

 private:
  std::atomic<bool> inside_{false};
  std::atomic<bool> go_{false};
  const CachedFunction<int, int> get_;
  std::thread thread_;
};

TEST_F(LevelFlights, AWaitThatTimesOutLoads) {
  const Claimed claimed(first);
  Options1 options;
  options.flight_timeout_s = 0.05;
  EXPECT_EQ(*function(second, "get", options)(1), 1000);
  EXPECT_EQ(second.stats().l2_stores, 1U) << "stored beside the other's claim";
}

TEST_F(LevelFlights, AWaitThatTimesOutThrowsIfAskedTo) {
  const Claimed claimed(first);
  Options1 options;
  options.flight_timeout_s = 0.05;
  options.throw_on_timeout = true;
  const auto there = function(second, "get", options);
  EXPECT_THROW(there(1), FlightTimeout);
  EXPECT_EQ(source.loads, 0);
  EXPECT_EQ(second.stats().flights, 0U);
}

// It would hold a claim that the other process may wait for.
TEST_F(LevelFlights, ANestedCallDoesNotWait) {
  const Claimed claimed(first);
  Options1 options;
  options.throw_on_timeout = true;
  options.flight_timeout_s = 1000;
  const auto inner = function(second, "get", options);
  const auto outer = second.cacheable("outer", [&](int id) { return *inner(id); });
  EXPECT_EQ(*outer(1), 1000);
}

// Each process holds one claim while it needs what the other one loads.
TEST_F(LevelFlights, TwoProcessesThatNeedEachOtherGoOn) {
  std::atomic<int> inside{0};
  const auto cross = [&](Cache& cache, const std::string& own, const std::string& other) {
    bool nested = false;
    std::function<int(int)> call_other;
    const auto load = [&](int id) {
      if (std::exchange(nested, true)) return 0;
      ++inside;
      wait_until([&] { return inside == 2; });
      return call_other(id);
    };
    const auto get = cache.cacheable(own, load);
    const auto needed = cache.cacheable(other, load);
    call_other = [&](int id) { return *needed(id); };
    EXPECT_EQ(*get(1), 0);
  };
  const auto begun = std::chrono::steady_clock::now();
  std::thread left([&] { cross(first, "left", "right"); });
  std::thread right([&] { cross(second, "right", "left"); });
  left.join();
  right.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s) << "ended by the time-out only";
}

}  // namespace
}  // namespace zoocache
