// The call rule in chosen interleavings: what was in flight when an invalidation came.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace zoocache {
namespace {

using namespace std::chrono_literals;

void wait_until(const std::function<bool()>& condition) {
  for (int spin = 0; spin < 20'000; ++spin) {
    if (condition()) return;
    std::this_thread::sleep_for(1ms);
  }
  FAIL() << "waited for 20 seconds in vain";
}

// A loader that reads a version and then waits to be let go, so that a test can put an
// invalidation in between. Only the first load waits.
struct SlowSource {
  std::atomic<int> version{1};
  std::atomic<int> loads{0};
  std::atomic<bool> go{false};

  int load() {
    const bool first = ++loads == 1;
    const int seen = version.load();
    if (first) wait_until([&] { return go.load(); });
    return seen;
  }
};

class CallRule : public ::testing::Test {
 protected:
  Cache cache;
  SlowSource source;

  // Runs `change` while a leader and `followers` early followers are in flight, then one late
  // caller; returns what each got, the late one last.
  std::vector<int> race(const std::function<int()>& call, int followers,
                        const std::function<void()>& change) {
    std::vector<int> got(static_cast<std::size_t>(followers) + 2);
    std::vector<std::thread> threads;
    threads.emplace_back([&] { got[0] = call(); });
    wait_until([&] { return source.loads == 1; });
    for (int index = 1; index <= followers; ++index) {
      threads.emplace_back([&, index] { got[static_cast<std::size_t>(index)] = call(); });
    }
    wait_until(
        [&] { return cache.stats().flights_joined == static_cast<std::uint64_t>(followers); });
    source.version = 2;
    change();
    threads.emplace_back([&] { got.back() = call(); });
    wait_until(
        [&] { return cache.stats().flights_joined == static_cast<std::uint64_t>(followers) + 1; });
    source.go = true;
    for (std::thread& thread : threads) thread.join();
    return got;
  }
};

TEST_F(CallRule, ALateCallerNeverGetsWhatWasLoadedBefore) {
  const auto get = cache.cacheable(
      "get", [&](int) { return source.load(); }, deps("org:t"));
  const auto got = race([&] { return *get(1); }, 2, [&] { cache.invalidate("org"); });
  EXPECT_EQ(got[0], 1) << "the leader's own call had begun before";
  EXPECT_EQ(got[1], 1);
  EXPECT_EQ(got.back(), 2);
  EXPECT_EQ(*get(1), 2);
  EXPECT_EQ(source.loads, 2) << "the old value was not stored, the new one was";
}

TEST_F(CallRule, WhatIsUnrelatedIsSharedWithLateCallers) {
  const auto get = cache.cacheable(
      "get", [&](int) { return source.load(); }, deps("org:t"));
  const auto got = race([&] { return *get(1); }, 1, [&] { cache.invalidate("org2", "org:u"); });
  EXPECT_EQ(got.back(), 1);
  EXPECT_EQ(source.loads, 1);
}

TEST_F(CallRule, DependenciesDeclaredDuringTheLoadCountForFollowers) {
  const auto get = cache.cacheable("get", [&](int) {
    const int seen = source.load();
    add_deps({"late"});
    return seen;
  });
  const auto got = race([&] { return *get(1); }, 0, [&] { cache.invalidate("late"); });
  EXPECT_EQ(got[0], 1);
  EXPECT_EQ(got.back(), 2);
}

TEST_F(CallRule, InnerDependenciesCountForFollowers) {
  const auto inner = cache.cacheable(
      "inner", [&](int) { return source.load(); }, deps("inner"));
  const auto outer = cache.cacheable("outer", [&](int x) { return *inner(x); });
  const auto got = race([&] { return *outer(1); }, 0, [&] { cache.invalidate("inner"); });
  EXPECT_EQ(got.back(), 2);
}

TEST_F(CallRule, InvalidatingTheKeyReachesTheLoadInFlight) {
  const auto get = cache.cacheable("get", [&](int) { return source.load(); });
  const auto got = race([&] { return *get(1); }, 1, [&] { get.invalidate(1); });
  EXPECT_EQ(got[0], 1);
  EXPECT_EQ(got.back(), 2);
  EXPECT_EQ(*get(1), 2);
}

TEST_F(CallRule, ClearingReachesTheLoadInFlight) {
  const auto get = cache.cacheable("get", [&](int) { return source.load(); });
  const auto got = race([&] { return *get(1); }, 0, [&] { cache.clear(); });
  EXPECT_EQ(got.back(), 2);
}

TEST_F(CallRule, ClearingTheFunctionReachesTheLoadInFlight) {
  const auto get = cache.cacheable("get", [&](int) { return source.load(); });
  const auto got = race([&] { return *get(1); }, 0, [&] { get.clear(); });
  EXPECT_EQ(got.back(), 2);
}

TEST_F(CallRule, AnOldFailureIsAsStaleAsAnOldValue) {
  const auto get = cache.cacheable(
      "get",
      [&](int) {
        const int seen = source.load();
        if (seen == 1) throw std::out_of_range("not there yet");
        return seen;
      },
      deps("t"));
  const auto call = [&] {
    try {
      return *get(1);
    } catch (const std::out_of_range&) {
      return -1;
    }
  };
  const auto got = race(call, 1, [&] { cache.invalidate("t"); });
  EXPECT_EQ(got[0], -1);
  EXPECT_EQ(got[1], -1);
  EXPECT_EQ(got.back(), 2);
}

TEST_F(CallRule, AHoldKeepsTheLoadFromBeingStored) {
  const auto get = cache.cacheable(
      "get", [&](int) { return source.load(); }, deps("t"));
  std::thread leader([&] { EXPECT_EQ(*get(1), 1); });
  wait_until([&] { return source.loads == 1; });
  {
    const auto block = cache.invalidating({"t"});
    source.go = true;
    leader.join();
    EXPECT_EQ(get.peek(1), nullptr);
    source.version = 2;
  }
  EXPECT_EQ(*get(1), 2);
}

// A load that ran during an invalidation of something it depends on is never found afterwards.
TEST_F(CallRule, AnOutdatedOuterEntryIsNotStored) {
  const auto inner = cache.cacheable(
      "inner", [](int x) { return x; }, deps("inner"));
  inner(1);
  const auto outer = cache.cacheable("outer", [&](int x) { return *inner(x) + source.load(); });
  std::thread leader([&] { outer(1); });
  wait_until([&] { return source.loads == 1; });
  cache.invalidate("inner");  // after the hit on `inner`, before the store of `outer`
  source.go = true;
  leader.join();
  EXPECT_EQ(outer.peek(1), nullptr);
  EXPECT_EQ(outer.explain(1).detail, "invalidated while it was loaded");
}

TEST(CancelledWrite, ALoadThatOutlivesACancelledWriteIsNotKept) {
  Cache cache;
  std::optional<Invalidating> held;
  int loads = 0;
  const auto get = cache.cacheable(
      "load",
      [&](int) {
        if (++loads == 1) held->cancel();
        return loads;
      },
      deps("user:{0}"));
  held.emplace(cache.invalidating({"user:1"}));
  EXPECT_EQ(*get(1), 1) << "it may have seen what was rolled back";
  EXPECT_EQ(*get(1), 2);
  EXPECT_EQ(*get(1), 2);
}

}  // namespace
}  // namespace zoocache
