// Values past their time, and those about to be, in C++: grace, errors, soft time-outs, refreshing
// ahead. The clock of the entries is moved by hand.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cache_access.h"
#include "task.h"

namespace zoocache {
namespace {

using namespace std::chrono_literals;
using testing::Gate;
using testing::Task;

class HandClock final : public core::TimeSource {
 public:
  std::int64_t now_ns() noexcept override { return now_ns_.load(); }
  void advance(double seconds) { now_ns_ += static_cast<std::int64_t>(seconds * 1e9); }

 private:
  std::atomic<std::int64_t> now_ns_{1'000'000'000'000};
};

class Aging : public ::testing::Test {
 protected:
  Aging() { detail::CacheAccess::engine(cache).set_time_source(&clock); }

  // Counts its loads; fails or waits when told so.
  int load() {
    const int mine = ++loads;
    while (mine > 1 && blocked) std::this_thread::sleep_for(1ms);
    if (fails) throw std::runtime_error("gone");
    return mine;
  }
  auto make(const AgingOptions& aging, double ttl_s = 10) {
    CacheableOptions<int> options;
    options.bounds.ttl_s = ttl_s;
    options.bounds.aging = aging;
    return cache.cacheable(
        "f", [this](int) { return load(); }, deps("t"), options);
  }
  static void eventually(const std::function<bool()>& true_at_last) {
    for (int spin = 0; !true_at_last(); ++spin) {
      ASSERT_LT(spin, 20'000) << "it never came true";
      std::this_thread::sleep_for(1ms);
    }
  }

  HandClock clock;
  Cache cache;
  std::atomic<int> loads{0};
  std::atomic<bool> fails{false};
  std::atomic<bool> blocked{false};
};

enum class Ending { kExpired, kLongExpired, kInvalidated, kLongInvalidated, kBoth, kCleared };

void bring_about(Ending ending, Cache& cache, HandClock& clock) {
  if (ending == Ending::kExpired || ending == Ending::kBoth) clock.advance(12);
  if (ending == Ending::kLongExpired) clock.advance(16);
  const bool invalidates = ending == Ending::kInvalidated || ending == Ending::kLongInvalidated ||
                           ending == Ending::kBoth;
  if (invalidates) cache.invalidate("t");
  if (ending == Ending::kLongInvalidated) clock.advance(6);
  if (ending == Ending::kCleared) cache.clear();
}

TEST_F(Aging, GraceByHowTheValueEnded) {
  struct Row {
    Ending ending;
    AgingOptions aging;
    bool served;
  };
  const AgingOptions grace{.grace_s = 5};
  const AgingOptions by_name{.grace_s = 5, .stale_while_revalidate = true};
  const std::vector<Row> rows = {
      {Ending::kExpired, {}, false},        {Ending::kExpired, grace, true},
      {Ending::kLongExpired, grace, false}, {Ending::kInvalidated, grace, false},
      {Ending::kBoth, grace, false},        {Ending::kInvalidated, by_name, true},
      {Ending::kBoth, by_name, true},       {Ending::kLongInvalidated, by_name, false},
      {Ending::kCleared, by_name, false},   {Ending::kExpired, {.stale_if_error_s = 5}, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(&row - rows.data());
    loads = 0;
    const auto get = make(row.aging);
    ASSERT_EQ(*get(1), 1);
    bring_about(row.ending, cache, clock);
    blocked = true;
    std::thread leader([&] { EXPECT_EQ(*get(1), 2); });
    eventually([&] { return loads == 2; });
    std::atomic<int> answer{0};
    std::thread follower([&] { answer = *get(1); });
    if (row.served) {
      eventually([&] { return answer == 1; });
      EXPECT_EQ(get.stats().stale_hits, 1U);
    } else {
      eventually([&] { return get.stats().flights_joined == 1; });
      EXPECT_EQ(answer, 0);
    }
    blocked = false;
    leader.join();
    follower.join();
    EXPECT_EQ(answer, row.served ? 1 : 2);
    EXPECT_EQ(*get(1), 2);
  }
}

TEST_F(Aging, AnOldValueInsteadOfAnError) {
  struct Row {
    Ending ending;
    AgingOptions aging;
    bool served;
  };
  const AgingOptions forgiving{.stale_if_error_s = 5};
  const AgingOptions by_name{.stale_if_error_s = 5, .stale_if_error_invalidated = true};
  const std::vector<Row> rows = {
      {Ending::kExpired, {}, false},
      {Ending::kExpired, forgiving, true},
      {Ending::kInvalidated, forgiving, false},
      {Ending::kBoth, forgiving, false},
      {Ending::kLongExpired, forgiving, false},
      {Ending::kInvalidated, by_name, true},
      {Ending::kLongInvalidated, by_name, false},
      {Ending::kExpired, {.grace_s = 5}, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(&row - rows.data());
    loads = 0;
    const auto get = make(row.aging);
    ASSERT_EQ(*get(1), 1);
    bring_about(row.ending, cache, clock);
    fails = true;
    if (row.served) {
      EXPECT_EQ(*get(1), 1);
    } else {
      EXPECT_THROW(get(1), std::runtime_error);
    }
    fails = false;
    EXPECT_EQ(*get(1), 3);
  }
}

TEST_F(Aging, WhatIsMadeOfAnOldValueIsNotKept) {
  const auto inner = make({.stale_if_error_s = 5});
  const auto middle = cache.cacheable("middle", [&](int key) { return *inner(key) * 10; });
  const auto outer = cache.cacheable("outer", [&](int key) { return *middle(key) + 1; });
  inner(1);
  clock.advance(11);
  fails = true;
  EXPECT_EQ(*outer(1), 11);
  fails = false;
  EXPECT_EQ(*outer(1), 31);
  EXPECT_NE(outer.peek(1), nullptr);
}

TEST_F(Aging, ASoftTimeOutHandsOutTheOldValueAndTheLoadGoesOn) {
  const auto get = make({.grace_s = 5, .soft_timeout_s = 0.02});
  EXPECT_EQ(*get(1), 1);
  clock.advance(11);
  blocked = true;
  for (int call = 0; call < 3; ++call) EXPECT_EQ(*get(1), 1);
  EXPECT_EQ(loads, 2) << "one load for all of them";
  EXPECT_EQ(get.stats().refreshes, 1U);
  blocked = false;
  eventually([&] { return *get(1) == 2; });
}

TEST_F(Aging, AQuickLoadBeatsTheSoftTimeOut) {
  const auto get = make({.grace_s = 5, .soft_timeout_s = 20});
  const auto outer = cache.cacheable("outer", [&](int key) { return *get(key); });
  get(1);
  clock.advance(11);
  EXPECT_EQ(*outer(1), 2);
  EXPECT_EQ(get.stats().stale_hits, 0U);
  get.invalidate(1);
  EXPECT_EQ(*outer(1), 3) << "the outer load depends on what the background loaded";
}

TEST_F(Aging, ALateHitStartsOneLoad) {
  const auto get = make({.refresh_ahead_s = 3});
  EXPECT_EQ(*get(1), 1);
  clock.advance(6);
  EXPECT_EQ(*get(1), 1);
  EXPECT_EQ(get.stats().refreshes, 0U);
  clock.advance(2);
  blocked = true;
  for (int call = 0; call < 3; ++call) EXPECT_EQ(*get(1), 1);
  EXPECT_EQ(get.visit(1, [](int value) { return value; }), 1);
  EXPECT_EQ(get.stats().refreshes, 1U);
  blocked = false;
  eventually([&] { return *get(1) == 2; });
  EXPECT_EQ(get.stats().misses, 1U);
}

TEST_F(Aging, AFailedRefreshIsTriedAgain) {
  const auto get = make({.refresh_ahead_s = 9});
  get(1);
  clock.advance(2);
  fails = true;
  EXPECT_EQ(*get(1), 1);
  eventually([&] { return get.stats().load_errors >= 1; });
  fails = false;
  eventually([&] { return *get(1) > 1; });
}

TEST_F(Aging, AnInvalidationDuringARefreshCounts) {
  const auto get = make({.refresh_ahead_s = 9});
  get(1);
  clock.advance(2);
  blocked = true;
  EXPECT_EQ(*get(1), 1);
  eventually([&] { return loads == 2; });
  cache.invalidate("t");
  blocked = false;
  EXPECT_EQ(*get(1), 3);
}

// What the loader uses ends right after the function: a load that went on would touch freed memory.
TEST_F(Aging, TheEndOfAFunctionWaitsForItsLoadsInTheBackground) {
  std::atomic<bool> inside{false};
  std::atomic<bool> ended{false};
  {
    auto counter = std::make_unique<int>(0);
    CacheableOptions<int> options;
    options.bounds.ttl_s = 10;
    options.bounds.aging = {.refresh_ahead_s = 9};
    const auto get = cache.cacheable(
        "f",
        [&](int) {
          if (++*counter == 1) return 1;
          inside = true;
          std::this_thread::sleep_for(20ms);
          ended = true;
          return ++*counter;
        },
        NoDeps{}, options);
    const auto copy = get;
    get(1);
    clock.advance(2);
    get(1);
    eventually([&] { return inside.load(); });
  }
  EXPECT_TRUE(ended);
}

TEST_F(Aging, JobsThatWaitForAThreadEndWithTheFunction) {
  std::vector<std::function<void()>> jobs;
  Cache own({.background = [&](std::function<void()> job) { jobs.push_back(std::move(job)); }});
  detail::CacheAccess::engine(own).set_time_source(&clock);
  CacheableOptions<int> options;
  options.bounds.ttl_s = 10;
  options.bounds.aging = {.refresh_ahead_s = 9};
  const auto used = std::make_shared<int>(0);
  {
    const auto get = own.cacheable(
        "f", [used](int) { return ++*used; }, NoDeps{}, options);
    get(1);
    clock.advance(2);
    get(1);
    ASSERT_EQ(jobs.size(), 1U);
  }
  EXPECT_EQ(used.use_count(), 1) << "the loader is gone with its function";
  jobs[0]();
  EXPECT_EQ(*used, 1);
}

// By the system's clock: nothing of the test may be needed when the cache ends in the worker.
TEST(AgingAlone, ALoadInTheBackgroundMayLetGoOfItsOwnFunction) {
  std::atomic<bool> given{false};
  std::atomic<bool> ended{false};
  std::optional<CachedFunction<int, int>> held;
  int calls = 0;
  auto own = std::make_unique<Cache>();
  CacheableOptions<int> options;
  options.bounds.ttl_s = 1000;
  options.bounds.aging = {.refresh_ahead_s = 999.999};
  held = own->cacheable(
      "f",
      [&](int) {
        if (++calls == 1) return 1;
        while (!given) std::this_thread::sleep_for(1ms);
        held.reset();
        ended = true;
        return 2;
      },
      NoDeps{}, options);
  while (held->stats().refreshes == 0) EXPECT_EQ(*held->get(1), 1);
  own.reset();
  given = true;
  while (!ended) std::this_thread::sleep_for(1ms);
}

TEST_F(Aging, CoroutinesRefreshByThemselves) {
  CacheableOptions<int> options;
  options.bounds.ttl_s = 10;
  options.bounds.aging = {.grace_s = 5, .soft_timeout_s = 1, .refresh_ahead_s = 3};
  Gate first;
  Gate second;
  Gate* gate = nullptr;
  const auto get = cache.cacheable(
      "f",
      [&](Load, int) -> Task<int> {
        const int mine = ++loads;
        if (gate != nullptr) co_await *gate;
        co_return mine;
      },
      NoDeps{}, options);
  const auto now = [&] {
    int got = 0;
    get.async_get(1, [&](const std::shared_ptr<const int>& value, const std::exception_ptr&) {
      got = value == nullptr ? -1 : *value;
    });
    return got;
  };
  EXPECT_EQ(now(), 1);
  clock.advance(8);
  gate = &first;
  EXPECT_EQ(now(), 1);
  EXPECT_EQ(now(), 1);
  EXPECT_EQ(loads, 2) << "one load in the background";
  first.open();
  EXPECT_EQ(now(), 2);
  clock.advance(12);
  gate = &second;
  EXPECT_EQ(now(), 2) << "in its grace: there are no timers, so the soft time-out is over at once";
  EXPECT_EQ(now(), 2);
  EXPECT_EQ(loads, 3);
  EXPECT_EQ(get.stats().refreshes, 2U);
  second.open();
  EXPECT_EQ(now(), 3);
}

TEST_F(Aging, TheProgramsExecutorRunsBackgroundLoads) {
  std::vector<std::function<void()>> jobs;
  Cache own({.background = [&](std::function<void()> job) { jobs.push_back(std::move(job)); }});
  detail::CacheAccess::engine(own).set_time_source(&clock);
  CacheableOptions<int> options;
  options.bounds.ttl_s = 10;
  options.bounds.aging.refresh_ahead_s = 9;
  const auto get = own.cacheable(
      "f", [&](int) { return load(); }, NoDeps{}, options);
  get(1);
  clock.advance(2);
  EXPECT_EQ(*get(1), 1);
  EXPECT_EQ(*get(1), 1);
  ASSERT_EQ(jobs.size(), 1U);
  jobs[0]();
  EXPECT_EQ(*get(1), 2);
}

TEST_F(Aging, ACacheThatGoesAwayWaitsForNothing) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> runs{0};
    {
      HandClock time;
      Cache own;
      detail::CacheAccess::engine(own).set_time_source(&time);
      CacheableOptions<int> options;
      options.bounds.ttl_s = 10;
      options.bounds.aging.refresh_ahead_s = 9;
      const auto get = own.cacheable(
          "f", [&runs](int) { return ++runs; }, NoDeps{}, options);
      get(1);
      time.advance(2);
      get(1);
      eventually([&] { return runs == 2 && own.stats().flights == 0; });
    }
  }
}

TEST_F(Aging, JitterShortensTimesToLive) {
  const auto get = make({.jitter = 0.5}, 100);
  for (int key = 0; key < 200; ++key) get(key);
  const auto left = [&] {
    int count = 0;
    for (int key = 0; key < 200; ++key) count += get.peek(key) != nullptr ? 1 : 0;
    return count;
  };
  clock.advance(49);
  EXPECT_EQ(left(), 200);
  clock.advance(26);
  EXPECT_GT(left(), 40);
  EXPECT_LT(left(), 160);
  clock.advance(26);
  EXPECT_EQ(left(), 0);
}

TEST_F(Aging, OptionsThatAreRefused) {
  EXPECT_THROW(make({.grace_s = -1}), InvalidOption);
  EXPECT_THROW(make({.stale_while_revalidate = true}), InvalidOption);
  EXPECT_THROW(make({.soft_timeout_s = 1}), InvalidOption);
  EXPECT_THROW(make({.stale_if_error_invalidated = true}), InvalidOption);
  EXPECT_THROW(make({.jitter = 1}), InvalidOption);
}

}  // namespace
}  // namespace zoocache
