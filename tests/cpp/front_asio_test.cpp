// The Asio adaptor. Without Asio, or with clang before 16, which it asks for a header that
// libstdc++ does not have, there is nothing to test.
#include <gtest/gtest.h>

#if __has_include(<asio.hpp>) && !(defined(__clang__) && __clang_major__ < 16)

#if defined(__SANITIZE_THREAD__)
#define ASIO_DISABLE_FENCED_BLOCK  // g++'s ThreadSanitizer does not know fences; locks are left
#endif
#include <zoocache/asio.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace zoocache {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using asio::use_awaitable;
using Tags = std::vector<std::string>;

awaitable<void> pause(std::chrono::milliseconds span) {
  asio::steady_timer timer(co_await asio::this_coro::executor, span);
  co_await timer.async_wait(use_awaitable);
}

// A value that cannot be made from nothing.
struct Order {
  explicit Order(int number) : id(number) {}
  int id;
};

TEST(Asio, OneLoadForAHundredCoroutinesOnSeveralThreads) {
  asio::thread_pool pool(3);
  Cache cache;
  std::atomic<int> loads{0};
  const auto get =
      asio_cacheable(cache, pool.get_executor(), "get", [&](int x) -> awaitable<Order> {
        ++loads;
        co_await pause(30ms);
        co_return Order(x);
      });
  std::atomic<int> sum{0};
  for (int caller = 0; caller < 100; ++caller) {
    const auto body = [&]() -> awaitable<void> {
      sum += (co_await async_get(get, 7, use_awaitable))->id;
    };
    asio::co_spawn(pool, body, asio::detached);
  }
  pool.join();
  EXPECT_EQ(sum.load(), 700);
  EXPECT_EQ(loads.load(), 1);
}

TEST(Asio, TokensOfSeveralKinds) {
  asio::io_context context;
  Cache cache;
  const auto get = asio_cacheable(
      cache, context.get_executor(), "get",
      [](const std::string& name, int x) -> awaitable<std::string> {
        co_return name + std::to_string(x);
      },
      deps("{0}:{1}"));
  std::shared_ptr<const std::string> by_callback;
  async_get(get, "a", 1,
            [&, unique = std::make_unique<int>(1)](std::exception_ptr error, auto value) {
              EXPECT_EQ(error, nullptr);
              by_callback = value;
            });
  std::future<std::shared_ptr<const std::string>> by_future =
      async_get(get, "a", 1, asio::use_future);
  context.run();
  EXPECT_EQ(*by_callback, "a1");
  EXPECT_EQ(by_future.get(), by_callback);
  cache.invalidate("a:1");
  EXPECT_EQ(get.peek("a", 1), nullptr);
}

TEST(Asio, HandlersNeverRunInsideTheirInitiation) {
  asio::io_context context;
  Cache cache;
  const auto get = asio_cacheable(cache, context.get_executor(), "get",
                                  [](int x) -> awaitable<int> { co_return x; });
  bool initiating = false;
  int handled = 0;
  const auto handler = [&](std::exception_ptr, auto) {
    EXPECT_FALSE(initiating);
    ++handled;
  };
  const auto call = [&] {
    initiating = true;
    async_get(get, 1, asio::bind_executor(context.get_executor(), handler));
    initiating = false;
  };
  asio::post(context, call);  // a load
  context.run();
  context.restart();
  asio::post(context, call);  // a hit
  context.run();
  EXPECT_EQ(handled, 2);
}

TEST(Asio, ManyCallsInARowDoNotExhaustTheStack) {
  constexpr int kCalls = 30'000;
  asio::io_context context;
  Cache cache(Options{.max_entries = 100});
  const auto get = asio_cacheable(cache, context.get_executor(), "get",
                                  [](int x) -> awaitable<int> { co_return x; });
  int sum = 0;
  const auto body = [&]() -> awaitable<void> {
    for (int call = 0; call < kCalls; ++call) sum += *co_await async_get(get, 1, use_awaitable);
    for (int call = 0; call < kCalls; ++call) co_await async_get(get, call, use_awaitable);
  };
  asio::co_spawn(context, body, asio::detached);
  context.run();
  EXPECT_EQ(sum, kCalls);
}

TEST(Asio, FailuresAndOptions) {
  asio::io_context context;
  Cache cache;
  CacheableOptions<int> options;
  options.store_if = [](const int&) { return false; };
  int loads = 0;
  const auto get = asio_cacheable(
      cache, context.get_executor(), "get",
      [&](int x) -> awaitable<int> {
        ++loads;
        co_await pause(1ms);
        if (x < 0) throw std::out_of_range("negative");
        co_return x;
      },
      NoDeps{}, options);
  int caught = 0;
  const auto body = [&]() -> awaitable<void> {
    EXPECT_EQ(*co_await async_get(get, 1, use_awaitable), 1);
    EXPECT_EQ(*co_await async_get(get, 1, use_awaitable), 1);
    try {
      co_await async_get(get, -1, use_awaitable);
    } catch (const std::out_of_range&) {
      ++caught;
    }
  };
  asio::co_spawn(context, body, asio::detached);
  context.run();
  EXPECT_EQ(loads, 3) << "store_if said no";
  EXPECT_EQ(caught, 1);
}

TEST(Asio, InnerCallsThroughTheLoad) {
  asio::io_context context;
  Cache cache;
  const auto executor = context.get_executor();
  const auto inner = asio_cacheable(
      cache, executor, "inner",
      [](int x) -> awaitable<int> {
        co_await pause(1ms);
        co_return x;
      },
      deps("inner:{0}"));
  const auto outer =
      asio_cacheable(cache, executor, "outer", [&](Load load, int x) -> awaitable<int> {
        co_await pause(1ms);
        load.add_deps({"own"});
        co_return *co_await async_get(inner, load, x, use_awaitable);
      });
  asio::co_spawn(
      context,
      [&]() -> awaitable<void> { EXPECT_EQ(*co_await async_get(outer, 1, use_awaitable), 1); },
      asio::detached);
  context.run();
  EXPECT_EQ(outer.explain(1).deps, (Tags{"inner:1", "own"}));
}

TEST(Asio, HandlersRunOnTheirOwnExecutor) {
  asio::io_context loading;
  asio::io_context calling;
  Cache cache;
  const auto get = asio_cacheable(cache, loading.get_executor(), "get",
                                  [](int x) -> awaitable<int> { co_return x; });
  std::thread::id ran_in;
  async_get(get, 1, asio::bind_executor(calling, [&](std::exception_ptr, auto) {
              ran_in = std::this_thread::get_id();
            }));
  std::thread loader([&] { loading.run(); });
  loader.join();
  EXPECT_EQ(ran_in, std::thread::id());
  EXPECT_EQ(calling.run(), 1U) << "it had work outstanding all the time";
  EXPECT_EQ(ran_in, std::this_thread::get_id());
}

// Loads that wait for each other without saying so: only the time-out can end that.
TEST(Asio, AnUnseenWaitEndsByTheTimeOut) {
  asio::io_context context;
  Cache cache({.flight_timeout_s = 0.1});
  int loads = 0;
  std::optional<CachedAsyncFunction<int, int>> right;
  const auto executor = context.get_executor();
  const auto left = asio_cacheable(cache, executor, "left", [&](int x) -> awaitable<int> {
    if (++loads > 6) co_return 0;
    co_await pause(10ms);
    co_return *co_await async_get(*right, Load(), x, use_awaitable) + 1;
  });
  right = asio_cacheable(cache, executor, "right", [&](int x) -> awaitable<int> {
    if (++loads > 6) co_return 0;
    co_await pause(10ms);
    co_return *co_await async_get(left, Load(), x, use_awaitable) + 1;
  });
  int ended = 0;
  for (const CachedAsyncFunction<int, int>* function : {&left, &std::as_const(*right)}) {
    asio::co_spawn(
        context,
        [&, function]() -> awaitable<void> {
          co_await async_get(*function, 1, use_awaitable);
          ++ended;
        },
        asio::detached);
  }
  context.run_for(20s);
  EXPECT_EQ(ended, 2);
  EXPECT_TRUE(context.stopped()) << "no timer is left behind";
}

// A context that is destroyed in the middle of a load takes its callers along, and abandons the
// load: a caller elsewhere leads.
TEST(Asio, AContextThatIsDestroyedAbandonsItsLoads) {
  asio::io_context elsewhere;
  Cache cache;
  int loads = 0;
  auto context = std::make_unique<asio::io_context>();
  const auto body = [&](int x) -> awaitable<int> {
    ++loads;
    co_await pause(1h);
    co_return x;
  };
  const auto get = asio_cacheable(cache, context->get_executor(), "get", body);
  std::string told;
  for (int caller = 0; caller < 3; ++caller) {
    async_get(get, 1, asio::bind_executor(*context, [](std::exception_ptr, auto) {
                ADD_FAILURE() << "its context is gone";
              }));
  }
  context->poll();
  EXPECT_EQ(loads, 1);
  get.async_get(1, [&](auto, std::exception_ptr error) { told = error ? "error" : "value"; });
  EXPECT_EQ(cache.stats().flights_joined, 3U);
  context.reset();
  EXPECT_EQ(told, "error") << "every load that was tried was destroyed";
  EXPECT_EQ(cache.stats().flights, 0U);
}

}  // namespace
}  // namespace zoocache

#else

TEST(Asio, IsNotUsableHere) { GTEST_SKIP() << "no Asio, or a compiler that it does not support"; }

#endif
