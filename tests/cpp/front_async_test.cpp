// Coroutine loaders: leaders, followers, failures, dependencies, expiry, abandonment.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "task.h"

namespace zoocache {
namespace {

using testing::Gate;
using testing::Task;
using Tags = std::vector<std::string>;

// Awaits `function(1)` and hands over the value.
template <class Function>
Task<int> ask(const Function& function) {
  const auto value = co_await function.get(1);
  co_return *value;
}

TEST(Async, LeaderAndFollowersShareOneLoad) {
  Cache cache;
  Gate gate;
  int loads = 0;
  const auto get = cache.cacheable("get", [&](int x) -> Task<std::string> {
    ++loads;
    co_await gate;
    co_return std::to_string(x);
  });
  const auto caller = [&]() -> Task<std::shared_ptr<const std::string>> {
    co_return co_await get(7);
  };
  std::vector<Task<std::shared_ptr<const std::string>>> callers;
  for (int index = 0; index < 100; ++index) callers.push_back(caller());
  for (auto& one : callers) one.start();
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(cache.stats().flights_joined, 99U);
  EXPECT_FALSE(callers[0].done());
  gate.open();
  const auto first = callers[0].result();
  EXPECT_EQ(*first, "7");
  for (std::size_t index = 1; index < callers.size(); ++index) {
    ASSERT_TRUE(callers[index].done());
    EXPECT_EQ(callers[index].result(), first);
  }
  auto late = caller();
  late.start();
  EXPECT_EQ(late.result(), first) << "a hit does not suspend";
  EXPECT_EQ(loads, 1);
}

TEST(Async, ALoaderThatNeverSuspends) {
  Cache cache;
  const auto get = cache.cacheable("get", [](int x) -> Task<int> { co_return x; });
  for (int round = 0; round < 2; ++round) {
    auto task = ask(get);
    task.start();
    ASSERT_TRUE(task.done());
    EXPECT_EQ(task.result(), 1);
  }
  EXPECT_EQ(cache.stats().loads, 1U);
}

TEST(Async, FailuresReachEverybodyAndAreNotCached) {
  Cache cache;
  Gate gate;
  int loads = 0;
  const auto get = cache.cacheable("get", [&](int x) -> Task<int> {
    ++loads;
    co_await gate;
    throw std::out_of_range("no " + std::to_string(x));
    co_return 0;
  });
  std::vector<Task<int>> callers;
  for (int index = 0; index < 3; ++index) callers.push_back(ask(get));
  for (auto& one : callers) one.start();
  gate.open();
  for (auto& one : callers) {
    ASSERT_TRUE(one.done());
    EXPECT_THROW(one.result(), std::out_of_range);
  }
  EXPECT_EQ(loads, 1);
  auto again = ask(get);
  again.start();
  EXPECT_THROW(again.result(), std::out_of_range);
  EXPECT_EQ(loads, 2);
}

TEST(Async, ALoaderMayThrowBeforeItIsACoroutine) {
  Cache cache;
  const auto get =
      cache.cacheable("get", [](int) -> Task<int> { throw std::out_of_range("at once"); });
  auto task = ask(get);
  task.start();
  EXPECT_THROW(task.result(), std::out_of_range);
  EXPECT_EQ(cache.stats().flights, 0U);
}

TEST(Async, ALateCallerNeverGetsWhatWasLoadedBefore) {
  Cache cache;
  std::deque<Gate> gates(2);
  int loads = 0;
  const auto get = cache.cacheable(
      "get",
      [&](int) -> Task<int> {
        const int load = ++loads;
        co_await gates[static_cast<std::size_t>(load - 1)];
        co_return load;
      },
      deps("t"));
  auto early = ask(get);
  early.start();
  cache.invalidate("t");
  auto late = ask(get);
  late.start();
  gates[0].open();
  EXPECT_EQ(early.result(), 1);
  ASSERT_FALSE(late.done()) << "it loads anew";
  EXPECT_EQ(get.peek(1), nullptr);
  gates[1].open();
  EXPECT_EQ(late.result(), 2);
  EXPECT_EQ(*get.peek(1), 2);
}

TEST(Async, ALoadDeclaresThroughItsHandle) {
  Cache cache;
  Gate gate;
  const auto inner = cache.cacheable(
      "inner", [](int x) -> Task<int> { co_return x; }, deps("inner:{0}"));
  const auto plain = cache.cacheable(
      "plain", [](int x) { return x; }, deps("plain:{0}"));
  const auto outer = cache.cacheable("outer", [&](Load load, int x) -> Task<int> {
    co_await gate;
    load.add_deps({"own"});
    const auto found = co_await inner.get(load, x);
    const Load::Scope scope(load);
    co_return *found + *plain(x);
  });
  auto task = ask(outer);
  task.start();
  gate.open();
  EXPECT_EQ(task.result(), 2);
  EXPECT_EQ(outer.explain(1).deps, (Tags{"inner:1", "own", "plain:1"}));
  inner.invalidate(1);
  EXPECT_EQ(outer.peek(1), nullptr) << "the hidden dependency";
  auto again = ask(outer);
  again.start();  // the inner one is loaded, not hit
  EXPECT_EQ(again.result(), 2);
  EXPECT_EQ(outer.explain(1).deps, (Tags{"inner:1", "own", "plain:1"}));
}

TEST(Async, UntilItSuspendsElsewhereTheLoadIsTheThreads) {
  Cache cache;
  Gate gate;
  Gate other;
  const auto inner = cache.cacheable(
      "inner",
      [&](int x) -> Task<int> {
        co_await other;
        co_return x;
      },
      deps("inner:{0}"));
  const auto outer = cache.cacheable("outer", [&](int x) -> Task<int> {
    add_deps({"before"});
    const auto found = co_await inner.get(x);  // suspends within the cache
    add_deps({"between"});
    co_await gate;
    add_deps({"after"});  // lost, as the documentation says
    co_return *found;
  });
  auto task = ask(outer);
  task.start();
  EXPECT_FALSE(Load::current()) << "the thread is its own again";
  other.open();
  EXPECT_FALSE(Load::current());
  gate.open();
  EXPECT_EQ(task.result(), 1);
  EXPECT_EQ(outer.explain(1).deps, (Tags{"before", "between", "inner:1"}));
}

// A blocking load that happens to end a coroutine's load is not disturbed by it.
TEST(Async, WhatIsResumedInsideAnotherLoadIsNoPartOfIt) {
  Cache cache;
  Gate gate;
  const auto slow = cache.cacheable("slow", [&](int x) -> Task<int> {
    co_await gate;
    co_return x;
  });
  const auto tagged = cache.cacheable(
      "tagged", [](int x) { return x; }, deps("tagged"));
  const auto caller = [&]() -> Task<int> {
    co_await slow.get(1);
    co_return *tagged(1);
  };
  auto task = caller();
  task.start();
  const auto blocking = cache.cacheable("blocking", [&](int x) { return gate.open(), x; });
  blocking(1);
  EXPECT_TRUE(task.done());
  EXPECT_EQ(blocking.explain(1).deps, Tags{});
}

TEST(Async, MovableOnlyValuesAndAnyKeyType) {
  Cache cache;
  const auto get = cache.cacheable("get", [](std::string_view name) -> Task<std::unique_ptr<int>> {
    co_return std::make_unique<int>(static_cast<int>(name.size()));
  });
  const auto caller = [&]() -> Task<int> {
    const auto value = co_await get("four");
    co_return **value;
  };
  auto task = caller();
  task.start();
  EXPECT_EQ(task.result(), 4);
}

TEST(Async, OptionsHoldHereToo) {
  Cache cache;
  int loads = 0;
  CacheableOptions<int> options;
  options.store_if = [](const int& value) { return value > 1; };
  const auto get = cache.cacheable(
      "get", [&](int) -> Task<int> { co_return ++loads; }, NoDeps{}, options);
  for (const int expected : {1, 2, 2}) {
    auto task = ask(get);
    task.start();
    EXPECT_EQ(task.result(), expected);
  }
  options.store_if = [](const int&) -> bool { throw std::domain_error("mine"); };
  const auto failing = cache.cacheable(
      "failing", [&](int) -> Task<int> { co_return ++loads; }, NoDeps{}, options);
  auto task = ask(failing);
  task.start();
  EXPECT_THROW(task.result(), std::domain_error);
}

TEST(Async, RefreshAndInvalidate) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable("get", [&](int) -> Task<int> { co_return ++loads; });
  const auto refreshed = [&]() -> Task<int> { co_return *co_await get.refresh(1); };
  auto first = ask(get);
  first.start();
  auto second = refreshed();
  second.start();
  EXPECT_EQ(second.result(), 2);
  EXPECT_EQ(*get.peek(1), 2);
  get.clear();
  EXPECT_EQ(get.peek(1), nullptr);
}

TEST(Async, WhoWaitsMayGoAway) {
  Cache cache;
  Gate gate;
  const auto get = cache.cacheable("get", [&](int x) -> Task<int> {
    co_await gate;
    co_return x;
  });
  std::optional<Task<int>> leader(ask(get));
  std::optional<Task<int>> follower(ask(get));
  auto other = ask(get);
  leader->start();
  follower->start();
  other.start();
  leader.reset();
  follower.reset();
  gate.open();
  EXPECT_EQ(other.result(), 1);
  EXPECT_EQ(*get.peek(1), 1) << "the load went on by itself";
}

TEST(Async, ResumedWhereViaSays) {
  Cache cache;
  Gate gate;
  const auto get = cache.cacheable("get", [&](int x) -> Task<int> {
    co_await gate;
    co_return x;
  });
  std::deque<std::function<void()>> queue;
  const auto caller = [&]() -> Task<int> {
    co_return *co_await get(1).via(
        [&](std::function<void()> go) { queue.push_back(std::move(go)); });
  };
  auto stays = caller();
  std::optional<Task<int>> goes(caller());
  stays.start();
  goes->start();
  gate.open();
  EXPECT_FALSE(stays.done());
  ASSERT_EQ(queue.size(), 2U);
  goes.reset();  // destroyed where it would be resumed
  for (const auto& go : queue) go();
  EXPECT_EQ(stays.result(), 1);
}

TEST(Async, TheCallbackBelowIsCalledOnce) {
  Cache cache;
  Gate gate;
  const auto get = cache.cacheable("get", [&](int x) -> Task<int> {
    co_await gate;
    if (x < 0) throw std::out_of_range("negative");
    co_return x;
  });
  std::vector<std::string> told;
  const auto tell = [&](std::shared_ptr<const int> value, std::exception_ptr error) {
    EXPECT_EQ(value == nullptr, error != nullptr) << "exactly one of the two";
    told.push_back(error ? "error" : std::to_string(*value));
  };
  const PendingCall leading = get.async_get(1, tell);
  const PendingCall waiting = get.async_get(1, tell);
  get.async_get(-1, tell);
  EXPECT_FALSE(leading.waiting());
  EXPECT_TRUE(waiting.waiting());
  EXPECT_TRUE(told.empty());
  gate.open();
  EXPECT_FALSE(waiting.waiting());
  const PendingCall hit = get.async_get(1, tell);
  EXPECT_FALSE(hit.waiting());
  EXPECT_EQ(told, (std::vector<std::string>{"1", "1", "error", "1"}));
  hit.expire(), waiting.expire(), leading.expire(), PendingCall().expire();
  EXPECT_EQ(told.size(), 4U);
}

TEST(Async, AWaitThatExpiresLoadsByItself) {
  Cache cache;
  std::deque<Gate> gates(2);
  int loads = 0;
  const auto get = cache.cacheable("get", [&](int) -> Task<int> {
    const int load = ++loads;
    co_await gates[static_cast<std::size_t>(load - 1)];
    co_return load;
  });
  std::vector<int> told;
  const auto tell = [&](std::shared_ptr<const int> value, std::exception_ptr) {
    told.push_back(*value);
  };
  get.async_get(1, tell);
  const PendingCall waiting = get.async_get(1, tell);
  waiting.expire();
  EXPECT_EQ(loads, 2);
  EXPECT_FALSE(waiting.waiting());
  gates[1].open();
  EXPECT_EQ(told, std::vector<int>{2});
  gates[0].open();
  EXPECT_EQ(told, (std::vector<int>{2, 1}));
}

TEST(Async, AnExpiredWaitIsAnErrorIfAskedFor) {
  Cache cache;
  Gate gate;
  CacheableOptions<int> options;
  options.throw_on_timeout = true;
  options.flight_timeout_s = 12;
  const auto get = cache.cacheable(
      "get",
      [&](int x) -> Task<int> {
        co_await gate;
        co_return x;
      },
      NoDeps{}, options);
  EXPECT_EQ(get.flight_timeout_s(), 12);
  get.async_get(1, [](auto, auto) {});
  std::exception_ptr told;
  get.async_get(1, [&](auto, std::exception_ptr error) { told = error; }).expire();
  ASSERT_NE(told, nullptr);
  EXPECT_THROW(std::rethrow_exception(told), FlightTimeout);
  gate.open();
}

// A starter that keeps the ends of its loads, as an adaptor of a foreign executor would.
struct Ends {
  std::vector<std::shared_ptr<detail::AsyncLead>> leads;
};

TEST(Async, AnAbandonedLoadIsLedByAFollower) {
  Cache cache;
  Ends ends;
  using Function = CachedAsyncFunction<int, int>;
  const auto get = cache.async_function<Function>(
      "get",
      [&](std::shared_ptr<detail::AsyncLead> lead, const Function::Key&) {
        ends.leads.push_back(std::move(lead));
      },
      deps("t"), CacheableOptions<int>{});
  std::vector<std::string> told(3);
  for (std::size_t caller = 0; caller < 3; ++caller) {
    get.async_get(1, [&, caller](std::shared_ptr<const int> value, std::exception_ptr error) {
      told[caller] = error ? "error" : std::to_string(*value);
    });
  }
  ASSERT_EQ(ends.leads.size(), 1U);
  ends.leads[0].reset();
  EXPECT_EQ(told, (std::vector<std::string>{"error", "", ""}));
  ASSERT_EQ(ends.leads.size(), 2U) << "exactly one of the two others leads";
  detail::finish_with<Function::Key, int>(*ends.leads[1], 5);
  EXPECT_EQ(told, (std::vector<std::string>{"error", "5", "5"}));
  detail::finish_with<Function::Key, int>(*ends.leads[1], 6);  // too late
  EXPECT_EQ(*get.peek(1), 5);
  EXPECT_EQ(cache.stats().flights, 0U);
}

}  // namespace
}  // namespace zoocache
