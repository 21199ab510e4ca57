// Asio: a loader that is an asio::awaitable, awaited by many coroutines of one io_context.
#include <zoocache/asio.h>
#include <zoocache/zoocache.h>

#include <chrono>
#include <cstdio>

int main() {
  asio::io_context context;
  zoocache::Cache cache;
  int loads = 0;
  const auto prices = zoocache::asio_cacheable(
      cache, context.get_executor(), "prices",
      [&](int id) -> asio::awaitable<int> {
        ++loads;
        asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(20));
        co_await timer.async_wait(asio::use_awaitable);
        co_return id * 100;
      },
      zoocache::deps("price:{0}"));

  int sum = 0;
  for (int caller = 0; caller < 100; ++caller) {
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          sum += *co_await zoocache::async_get(prices, 7, asio::use_awaitable);
        },
        asio::detached);
  }
  context.run();
  std::printf("%d calls, %d load, sum %d\n", 100, loads, sum);
  return loads == 1 && sum == 70'000 ? 0 : 1;
}
