// The second level under coroutine functions: what waits for it runs in the background.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache_pair.h"
#include "task.h"

namespace zoocache {
namespace {

using testing::Gate;
using testing::Processes;
using testing::Source;
using testing::Task;
using testing::wait_until;

// Runs jobs when it is told to.
class Queue {
 public:
  std::function<void(std::function<void()>)> executor() {
    return [this](std::function<void()> job) {
      if (refuses_) throw std::runtime_error("no more jobs");
      jobs_.push_back(std::move(job));
    };
  }
  std::size_t size() const { return jobs_.size(); }
  void run() {
    ASSERT_FALSE(jobs_.empty());
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    job();
  }
  void drop() { jobs_.pop_front(); }
  void refuse() { refuses_ = true; }

 private:
  std::deque<std::function<void()>> jobs_;
  bool refuses_ = false;
};

// What a call came to.
struct Outcome {
  bool ended = false;
  std::shared_ptr<const int> value;
  std::exception_ptr error;
};
using OutcomePtr = std::shared_ptr<Outcome>;

using Function = CachedAsyncFunction<int, int>;

class AsyncLevels : public ::testing::Test {
 protected:
  AsyncLevels() {
    Options options = processes.options();
    options.background = queue.executor();
    cache.emplace(options);
    options.background = other_queue.executor();
    other.emplace(options);
  }
  Function function(Cache& of, const CacheableOptions<int>& options = {}) {
    return of.cacheable(
        "get", [this](int id) -> Task<int> { co_return source.load(id); }, deps("t:{0}"), options);
  }
  // Its loads are in `leads`, to be ended by the test.
  Function by_hand(Cache& of, const CacheableOptions<int>& options = {}) {
    return of.async_function<Function>(
        "get",
        [this](std::shared_ptr<detail::AsyncLead> lead, const Function::Key&) {
          leads.push_back(std::move(lead));
        },
        NoDeps{}, options);
  }
  static OutcomePtr ask(const Function& get, int id) {
    auto outcome = std::make_shared<Outcome>();
    get.async_get(id, [outcome](std::shared_ptr<const int> value, std::exception_ptr error) {
      outcome->value = std::move(value);
      outcome->error = std::move(error);
      outcome->ended = true;
    });
    return outcome;
  }
  // The other process loads get(1) until the test ends that.
  void claim_elsewhere() {
    ask(by_hand(*other), 1);
    other_queue.run();
    ASSERT_EQ(leads.size(), 1U);
  }
  auto plain(Cache& of) {
    return of.cacheable("get", [this](int id) { return source.load(id); });
  }

  Processes processes;
  Source source;
  Queue queue;
  std::optional<Cache> cache;  // its jobs are in `queue`
  Queue other_queue;
  std::optional<Cache> other;  // as another process
  std::vector<std::shared_ptr<detail::AsyncLead>> leads;
};

TEST_F(AsyncLevels, LookAndStoreAreJobs) {
  const auto get = function(*cache);
  const OutcomePtr outcome = ask(get, 1);
  EXPECT_EQ(source.loads, 0);
  ASSERT_EQ(queue.size(), 1U) << "the look";
  queue.run();
  EXPECT_EQ(source.loads, 1);
  EXPECT_FALSE(outcome->ended) << "it is stored before the call ends";
  EXPECT_EQ(*get.peek(1), 1000) << "but nobody else waits for that";
  EXPECT_EQ(get.stats().l2_stores, 0U);
  ASSERT_EQ(queue.size(), 1U);
  queue.run();
  ASSERT_TRUE(outcome->ended);
  EXPECT_EQ(*outcome->value, 1000);
  EXPECT_EQ(get.stats().l2_stores, 1U);
  EXPECT_EQ(*plain(processes.second)(1), 1000);
  EXPECT_EQ(source.loads, 1) << "functions of both kinds share what is stored";
}

TEST_F(AsyncLevels, WhatIsFoundIsNotLoaded) {
  plain(processes.second)(1);
  const auto get = function(*cache);
  const OutcomePtr first = ask(get, 1);
  const OutcomePtr follower = ask(get, 1);
  ASSERT_EQ(queue.size(), 1U) << "one looks for both";
  queue.run();
  ASSERT_TRUE(first->ended && follower->ended);
  EXPECT_EQ(*first->value, 1000);
  EXPECT_EQ(follower->value, first->value);
  EXPECT_EQ(source.loads, 1);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(get.stats().l2_hits, 1U);
}

TEST_F(AsyncLevels, CoroutinesGetItTheSameWay) {
  const auto here = function(processes.first);
  const auto there = function(processes.second);
  const auto sum = [](const Function& get) -> Task<int> {
    co_return *co_await get(1) + *co_await get(2);
  };
  for (const Function* get : {&here, &there}) {
    std::atomic<bool> ended{false};
    int got = 0;
    const auto run = [&]() -> detail::Detached {
      got = co_await sum(*get);
      ended = true;
    };
    run();
    wait_until([&] { return ended.load(); });
    EXPECT_EQ(got, 3000);
  }
  EXPECT_EQ(source.loads, 2);
}

TEST_F(AsyncLevels, OneLoadForAHundredCallersOfTwoCaches) {
  constexpr int kCallers = 100;
  std::atomic<int> ended{0};
  Gate gate;
  const auto load = [&](int id) -> Task<int> {
    co_await gate;
    co_return source.load(id);
  };
  const auto here = processes.first.cacheable("get", load);
  const auto there = processes.second.cacheable("get", load);
  for (int index = 0; index < kCallers; ++index) {
    (index % 2 == 0 ? here : there)
        .async_get(7, [&](const std::shared_ptr<const int>& value, std::exception_ptr error) {
          EXPECT_EQ(error, nullptr);
          EXPECT_EQ(*value, 7000);
          ++ended;
        });
  }
  wait_until([&] { return gate.waiting() == 1; });
  gate.open();
  wait_until([&] { return ended == kCallers; });
  EXPECT_EQ(source.loads, 1);
}

TEST_F(AsyncLevels, AWaitGoesToTheBackAndLetsOthersRun) {
  claim_elsewhere();
  const OutcomePtr outcome = ask(function(*cache), 1);
  for (int round = 0; round < 3; ++round) {
    queue.run();
    ASSERT_EQ(queue.size(), 1U) << "it waits for the other's load";
    EXPECT_FALSE(outcome->ended);
  }
  detail::finish_with<Function::Key, int>(*leads.front(), 5);
  other_queue.run();
  queue.run();
  ASSERT_TRUE(outcome->ended);
  EXPECT_EQ(*outcome->value, 5);
}

TEST_F(AsyncLevels, AWaitThatTimesOutLoads) {
  claim_elsewhere();
  CacheableOptions<int> options;
  options.flight_timeout_s = 0.05;
  const OutcomePtr outcome = ask(function(*cache, options), 1);
  while (!outcome->ended && queue.size() > 0) queue.run();
  ASSERT_TRUE(outcome->ended);
  EXPECT_EQ(*outcome->value, 1000);
}

TEST_F(AsyncLevels, FlightTimeoutIfAskedFor) {
  claim_elsewhere();
  CacheableOptions<int> options;
  options.flight_timeout_s = 0.05;
  options.throw_on_timeout = true;
  const OutcomePtr outcome = ask(function(*cache, options), 1);
  while (!outcome->ended && queue.size() > 0) queue.run();
  ASSERT_NE(outcome->error, nullptr);
  EXPECT_THROW(std::rethrow_exception(outcome->error), FlightTimeout);
  EXPECT_EQ(source.loads, 0);
  EXPECT_EQ(cache->stats().flights, 0U);
}

TEST_F(AsyncLevels, ANestedCallDoesNotWait) {
  claim_elsewhere();
  const auto inner = function(*cache);
  const Function outer = cache->cacheable("outer", [&](const Load& load, int id) -> Task<int> {
    co_return *co_await inner.get(load, id);
  });
  const OutcomePtr outcome = ask(outer, 1);
  queue.run();  // the outer look, then its load up to the inner look
  queue.run();  // the inner look, and its load
  EXPECT_EQ(source.loads, 1);
  while (queue.size() > 0) queue.run();
  ASSERT_TRUE(outcome->ended);
  EXPECT_EQ(*outcome->value, 1000);
}

TEST_F(AsyncLevels, AFailureLeavesTheOthersToLoad) {
  const auto get = by_hand(*cache);
  const OutcomePtr outcome = ask(get, 1);
  queue.run();
  leads.front()->finish(std::make_exception_ptr(std::domain_error("no")));
  EXPECT_FALSE(outcome->ended);
  queue.run();
  EXPECT_NE(outcome->error, nullptr);
  EXPECT_EQ(*plain(processes.second)(1), 1000) << "the claim is free";
}

TEST_F(AsyncLevels, ALoadThatIsDestroyedFreesItsClaim) {
  const auto get = by_hand(*cache);
  const OutcomePtr outcome = ask(get, 1);
  queue.run();
  leads.clear();
  while (queue.size() > 0) queue.run();
  ASSERT_TRUE(outcome->ended);
  EXPECT_THROW(std::rethrow_exception(outcome->error), Error);
  EXPECT_EQ(*plain(processes.second)(1), 1000);
}

TEST_F(AsyncLevels, ACallWhoseCoroutineIsGoneGoesOn) {
  const auto get = by_hand(*cache);
  {
    const auto wait = [&]() -> Task<int> { co_return *co_await get(1); };
    auto gone = wait();
    gone.start();
    EXPECT_FALSE(gone.done());
  }
  queue.run();
  ASSERT_EQ(leads.size(), 1U);
  detail::finish_with<Function::Key, int>(*leads.front(), 5);
  queue.run();
  EXPECT_EQ(*plain(processes.second)(1), 5);
}

TEST_F(AsyncLevels, AJobThatIsDroppedAbandonsTheCall) {
  const auto get = function(*cache);
  const OutcomePtr outcome = ask(get, 1);
  queue.drop();
  ASSERT_TRUE(outcome->ended);
  EXPECT_THROW(std::rethrow_exception(outcome->error), Error);
  EXPECT_EQ(cache->stats().flights, 0U);

  const OutcomePtr loaded = ask(get, 1);
  queue.run();
  queue.drop();
  ASSERT_TRUE(loaded->ended) << "it was loaded";
  EXPECT_EQ(*loaded->value, 1000);
  EXPECT_EQ(get.stats().l2_stores, 0U);
  EXPECT_EQ(*plain(processes.second)(1), 1000) << "and the claim is free";
  EXPECT_EQ(source.loads, 2);
}

TEST_F(AsyncLevels, WithoutABackgroundItGoesOnByItself) {
  const auto get = function(*cache);
  queue.refuse();
  const OutcomePtr outcome = ask(get, 1);
  ASSERT_TRUE(outcome->ended);
  EXPECT_EQ(*outcome->value, 1000);
  EXPECT_EQ(get.stats().l2_stores, 1U);
}

TEST_F(AsyncLevels, InvalidationsReachIt) {
  const auto here = function(*cache);
  for (int version = 1; version < 4; ++version) {
    const OutcomePtr outcome = ask(here, 1);
    while (queue.size() > 0) queue.run();
    EXPECT_EQ(*outcome->value, 1000 + source.version.load());
    source.version = version;
    if (version == 1) processes.second.invalidate("t");
    if (version == 2) function(processes.second).invalidate(1);
    if (version == 3) here.clear();
    EXPECT_EQ(here.peek(1), nullptr);
  }
  EXPECT_EQ(source.loads, 3);
}

// Loads that are begun in the background, and the last handle that goes with one of them.
TEST_F(AsyncLevels, TheFunctionMayEndMeanwhile) {
  std::atomic<int> ended{0};
  for (int round = 0; round < 50; ++round) {
    Cache passing(processes.options());
    const auto get = function(passing);
    get.async_get(round, [&](const auto&, const auto&) { ++ended; });
  }
  wait_until([&] { return ended == 50; });
  EXPECT_EQ(source.loads, 50);
}

}  // namespace
}  // namespace zoocache
