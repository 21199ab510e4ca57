// Coroutine loaders that nest, wait for each other, and run in several threads.
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

TEST(Async, CyclesAreBroken) {
  Cache cache;
  Gate gate;
  int loads = 0;
  std::optional<CachedAsyncFunction<int, int>> right;
  const auto left = cache.cacheable("left", [&](Load load, int x) -> Task<int> {
    if (++loads > 6) co_return 0;
    co_await gate;
    co_return *co_await right->get(load, x) + 1;
  });
  right = cache.cacheable("right", [&](Load load, int x) -> Task<int> {
    if (++loads > 6) co_return 0;
    co_await gate;
    co_return *co_await left.get(load, x) + 1;
  });
  auto one = ask(left);
  auto two = ask(*right);
  one.start();
  two.start();
  gate.open();
  EXPECT_TRUE(one.done());
  EXPECT_TRUE(two.done());
  EXPECT_EQ(cache.stats().flights, 0U);
}

TEST(Async, ATowerOfCoroutinesAndBlockingCalls) {
  Cache cache;
  const auto bottom = cache.cacheable(
      "bottom", [](int x) { return x; }, deps("bottom"));
  const auto middle = cache.cacheable("middle", [&](int x) -> Task<int> { co_return *bottom(x); });
  const auto top = cache.cacheable(
      "top", [&](Load load, int x) -> Task<int> { co_return *co_await middle.get(load, x); });
  auto task = ask(top);
  task.start();
  EXPECT_EQ(task.result(), 1);
  EXPECT_EQ(top.explain(1).deps, Tags{"bottom"});
}

// Loads that end in other threads while callers come, wait, expire and go away.
TEST(Async, ManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  Cache cache({.max_entries = 4});
  std::mutex mutex;
  std::deque<std::coroutine_handle<>> queue;  // guarded by mutex
  std::atomic<bool> stop{false};
  struct Hop {
    std::mutex& mutex;
    std::deque<std::coroutine_handle<>>& queue;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiting) {
      const std::lock_guard lock(mutex);
      queue.push_back(awaiting);
    }
    void await_resume() const noexcept {}
  };
  const auto get = cache.cacheable("get", [&](Load load, int x) -> Task<int> {
    load.add_deps({"t"});
    co_await Hop{mutex, queue};
    load.add_deps({"u"});
    co_return x;
  });
  std::vector<std::thread> workers;
  for (int index = 0; index < 2; ++index) {
    workers.emplace_back([&] {
      while (!stop) {
        std::coroutine_handle<> next;
        {
          const std::lock_guard lock(mutex);
          if (!queue.empty()) {
            next = queue.front();
            queue.pop_front();
          }
        }
        if (next) {
          next.resume();
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  std::atomic<int> ended{0};
  std::vector<std::thread> callers;
  for (int index = 0; index < kThreads; ++index) {
    callers.emplace_back([&, index] {
      for (int round = 0; round < kRounds; ++round) {
        const int key = (round * 7 + index) % 9;
        const PendingCall call = get.async_get(
            key, [&, key](std::shared_ptr<const int> value, std::exception_ptr error) {
              EXPECT_EQ(error, nullptr);
              EXPECT_EQ(*value, key);
              ++ended;
            });
        if (round % 5 == 0) call.expire();
        if (round % 11 == 0) cache.invalidate(index % 2 == 0 ? "t" : "u");
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (int spin = 0; ended < kThreads * kRounds && spin < 20'000; ++spin) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(ended.load(), kThreads * kRounds);
  EXPECT_EQ(cache.stats().flights, 0U);
}

}  // namespace
}  // namespace zoocache
