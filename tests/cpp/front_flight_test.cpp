// Single flight: one execution, failures, abandonment, cycles, time-outs.
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace zoocache {
namespace {

using namespace std::chrono_literals;

void run_threads(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int index = 0; index < count; ++index) threads.emplace_back(body, index);
  for (std::thread& thread : threads) thread.join();
}

TEST(Flight, OneExecutionForAHundredThreads) {
  Cache cache;
  std::atomic<int> loads{0};
  const auto get = cache.cacheable("get", [&](int x) {
    ++loads;
    std::this_thread::sleep_for(50ms);
    return x * 2;
  });
  std::barrier start(100);
  run_threads(100, [&](int) {
    start.arrive_and_wait();
    EXPECT_EQ(*get(21), 42);
  });
  EXPECT_EQ(loads.load(), 1);
  EXPECT_EQ(cache.stats().hits + cache.stats().misses, 100U);
}

// Callers arrive while the load ends: nobody may find neither entry nor flight.
TEST(Flight, OneExecutionWhileTheLoadEnds) {
  for (int round = 0; round < 400; ++round) {
    Cache cache;
    std::atomic<int> loads{0};
    const auto get = cache.cacheable("get", [&](int x) {
      ++loads;
      return x;
    });
    std::barrier start(4);
    run_threads(4, [&](int index) {
      start.arrive_and_wait();
      for (int spin = 0; spin < index * 40; ++spin)
        std::atomic_signal_fence(std::memory_order_seq_cst);
      for (int call = 0; call < 4; ++call) EXPECT_EQ(*get(7), 7);
    });
    ASSERT_EQ(loads.load(), 1) << "round " << round;
  }
}

TEST(Flight, FailuresReachEverybodyAndAreNotCached) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "libstdc++ counts shared exceptions where ThreadSanitizer does not see it";
#endif
  Cache cache;
  std::atomic<int> loads{0};
  // Kept to the end: libstdc++'s count of it is invisible to ThreadSanitizer.
  const auto failure = std::make_exception_ptr(std::out_of_range("no 1"));
  const auto get = cache.cacheable("get", [&](int) -> int {
    ++loads;
    while (cache.stats().flights_joined < 9) std::this_thread::sleep_for(1ms);
    std::rethrow_exception(failure);
  });
  std::atomic<int> caught{0};
  run_threads(10, [&](int) {
    try {
      get(1);
    } catch (const std::out_of_range& error) {
      EXPECT_STREQ(error.what(), "no 1");
      ++caught;
    }
  });
  EXPECT_EQ(caught.load(), 10);
  EXPECT_EQ(loads.load(), 1);
  EXPECT_THROW(get(1), std::out_of_range);
  EXPECT_EQ(loads.load(), 2);
  EXPECT_EQ(cache.stats().entries, 0U);
}

TEST(Flight, ACycleOfWaitsIsBroken) {
  Cache cache;
  std::atomic<int> inside{0};
  std::function<int(int)> call_left;
  std::function<int(int)> call_right;
  const auto meet = [&] {  // both loads run before either calls the other
    ++inside;
    for (int spin = 0; inside.load() < 2 && spin < 1000; ++spin) std::this_thread::sleep_for(1ms);
  };
  const auto left = cache.cacheable("left", [&](int depth) {
    if (depth == 0) return 1;
    meet();
    return call_right(depth) + 1;
  });
  const auto right = cache.cacheable("right", [&](int depth) {
    if (depth == 0) return 1;
    meet();
    return call_left(depth) + 1;
  });
  std::atomic<int> unshared{0};
  call_left = [&](int depth) { return unshared++ > 3 ? 0 : *left(depth); };
  call_right = [&](int depth) { return unshared++ > 3 ? 0 : *right(depth); };
  const auto begun = std::chrono::steady_clock::now();
  run_threads(2, [&](int index) { index == 0 ? *left(1) : *right(1); });
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s) << "ended by the time-out only";
}

// Three loads in a ring, across two caches; nobody names anybody directly.
TEST(Flight, ACycleAcrossCachesIsBroken) {
  Cache one;
  Cache other;
  std::atomic<int> inside{0};
  std::atomic<int> loads{0};
  std::function<int(int)> calls[3];
  const auto load = [&](int index) {
    if (++loads > 20) return 0;
    ++inside;
    for (int spin = 0; inside.load() < 3 && spin < 1000; ++spin) std::this_thread::sleep_for(1ms);
    return loads > 12 ? 0 : calls[(index + 1) % 3](1) + 1;
  };
  const auto first = one.cacheable("first", [&](int) { return load(0); });
  const auto second = other.cacheable("second", [&](int) { return load(1); });
  const auto third = one.cacheable("third", [&](int) { return load(2); });
  calls[0] = [&](int x) { return *first(x); };
  calls[1] = [&](int x) { return *second(x); };
  calls[2] = [&](int x) { return *third(x); };
  const auto begun = std::chrono::steady_clock::now();
  run_threads(3, [&](int index) { calls[index](1); });
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s) << "ended by the time-out only";
  EXPECT_EQ(one.stats().flights + other.stats().flights, 0U);
}

// Code in another thread that carries the load waits for what waits for the load.
TEST(Flight, ACycleThroughACarriedLoadIsBroken) {
  Cache cache;
  std::atomic<int> loads{0};
  std::function<int(int)> call_outer;
  const auto inner = cache.cacheable("inner", [&](int x) { return call_outer(x); });
  const auto outer = cache.cacheable("outer", [&](int x) {
    if (++loads > 1) return 7;
    int got = 0;
    std::thread helper([&, load = Load::current()] {
      const Load::Scope scope(load);
      got = *inner(x);
    });
    helper.join();
    return got;
  });
  call_outer = [&](int x) { return *outer(x); };
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(*outer(1), 7);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

TEST(Flight, ALoaderThatCallsItselfLoadsUnshared) {
  Cache cache;
  std::atomic<int> depth{0};
  std::function<int(int)> call;
  const auto get = cache.cacheable("get", [&](int x) { return ++depth < 3 ? call(x) : 9; });
  call = [&](int x) { return *get(x); };
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(*get(1), 9);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

TEST(Flight, ACancelledLeaderIsReplaced) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer loses count of locks when a thread is unwound by cancellation";
#endif
  Cache cache;
  std::atomic<int> loads{0};
  std::atomic<bool> inside{false};
  const auto get = cache.cacheable("get", [&](int x) {
    if (++loads == 1) {
      inside = true;
      for (;;) sleep(1);  // a cancellation point
    }
    return x;
  });
  pthread_t leader;
  const auto lead = [](void* function) -> void* {
    (*static_cast<const decltype(get)*>(function))(1);
    return nullptr;
  };
  auto copy = get;
  ASSERT_EQ(pthread_create(&leader, nullptr, lead, &copy), 0);
  while (!inside) std::this_thread::sleep_for(1ms);
  std::thread follower([&] { EXPECT_EQ(*get(1), 1); });
  while (cache.stats().flights_joined == 0) std::this_thread::sleep_for(1ms);
  pthread_cancel(leader);
  pthread_join(leader, nullptr);
  follower.join();
  EXPECT_EQ(loads.load(), 2);
  EXPECT_EQ(cache.stats().flights, 0U);
}

TEST(Flight, AnUnseenWaitEndsByTheTimeOut) {
  Cache cache({.flight_timeout_s = 0.2});
  std::atomic<int> loads{0};
  std::atomic<bool> release{false};
  const auto get = cache.cacheable("get", [&](int x) {
    if (++loads == 1) {
      while (!release) std::this_thread::sleep_for(1ms);
    }
    return x;
  });
  std::thread leader([&] { get(1); });
  while (loads == 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(*get(1), 1) << "loads by itself";
  release = true;
  leader.join();
  EXPECT_EQ(loads.load(), 2);
}

TEST(Flight, TheTimeOutIsAnErrorIfAskedFor) {
  Cache cache;
  std::atomic<bool> inside{false};
  std::atomic<bool> release{false};
  CacheableOptions<int> options;
  options.flight_timeout_s = 0.1;
  options.throw_on_timeout = true;
  const auto get = cache.cacheable(
      "get",
      [&](int x) {
        inside = true;
        while (!release) std::this_thread::sleep_for(1ms);
        return x;
      },
      NoDeps{}, options);
  std::thread leader([&] { get(1); });
  while (!inside) std::this_thread::sleep_for(1ms);
  EXPECT_THROW(get(1), FlightTimeout);
  release = true;
  leader.join();
}

// A storm of invalidations must not keep followers waiting for ever: after two rounds they load
// unshared.
TEST(Flight, StormsMakeProgress) {
  Cache cache;
  std::atomic<bool> stop{false};
  const auto get = cache.cacheable(
      "get",
      [&](int x) {
        std::this_thread::sleep_for(1ms);
        return x;
      },
      deps("t"));
  std::thread storm([&] {
    while (!stop) cache.invalidate("t");
  });
  run_threads(8, [&](int) {
    for (int call = 0; call < 20; ++call) EXPECT_EQ(*get(1), 1);
  });
  stop = true;
  storm.join();
}

TEST(Flight, RecursionLoadsItsOwnKeys) {
  Cache cache;
  std::function<long(int)> call;
  std::atomic<int> loads{0};
  const auto fib = cache.cacheable("fib", [&](int n) -> long {
    ++loads;
    return n < 2 ? n : call(n - 1) + call(n - 2);
  });
  call = [&](int n) { return *fib(n); };
  EXPECT_EQ(*fib(60), 1548008755920L);
  EXPECT_EQ(loads.load(), 61);
}

}  // namespace
}  // namespace zoocache
