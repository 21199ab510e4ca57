// zoocache for Asio: loaders that are asio::awaitable coroutines, and async_get for any completion
// token. Define ZOOCACHE_BOOST_ASIO before the include to use Boost.Asio instead of Asio.
//
//   auto orders = zoocache::asio_cacheable(cache, executor, "orders", load_order,
//                                          zoocache::deps("order:{0}"));
//   auto order = co_await zoocache::async_get(orders, asio::use_awaitable, 7);
//
// asio::awaitable does not let itself be awaited by other coroutines, nor awaits what is not its
// own; so the loader is spawned on the executor, and callers complete through their token, on the
// executor that is associated with it.
// Errors: what the loader throws. An executor that goes away abandons the loads that it ran.
// Thread-safety: as CachedAsyncFunction.
#pragma once

#ifdef ZOOCACHE_BOOST_ASIO
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

#include <exception>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <zoocache/cache.h>

namespace zoocache {

#ifdef ZOOCACHE_BOOST_ASIO
namespace asio_library = boost::asio;
#else
namespace asio_library = ::asio;
#endif

namespace detail {

template <class A>
struct AsioResult;
template <class T, class Executor>
struct AsioResult<asio_library::awaitable<T, Executor>> {
  using Value = T;
};

}  // namespace detail

// As Cache::cacheable, for a loader that returns asio::awaitable<Value>, run on `executor`.
template <class Executor, class F, class D = NoDeps>
auto asio_cacheable(Cache& cache, Executor executor, std::string name, F loader,
                    D dependencies = {}) {
  using Signature = detail::Signature<F>;
  using Value = typename detail::AsioResult<typename Signature::Result>::Value;
  using Function = typename Signature::template Rebind<CachedAsyncFunction, Value>;
  using Key = typename Function::Key;
  auto shared = std::make_shared<const F>(std::move(loader));
  typename Function::Starter starter = [executor, shared](std::shared_ptr<detail::AsyncLead> lead,
                                                          const Key& key) {
    auto awaitable = std::apply(
        [&](const auto&... args) {
          if constexpr (Signature::kTakesLoad) {
            return (*shared)(Load(lead->frame()), args...);
          } else {
            return (*shared)(args...);
          }
        },
        key);
    asio_library::co_spawn(executor, std::move(awaitable),
                           [lead = std::move(lead), shared](std::exception_ptr error, Value value) {
                             if (error != nullptr) {
                               lead->finish(nullptr, std::move(error));
                             } else {
                               lead->finish(std::make_shared<const Value>(std::move(value)),
                                            nullptr);
                             }
                           });
  };
  return cache.async_function<Value, Key, Function>(std::move(name), std::move(starter),
                                                    std::move(dependencies));
}

// Completes with (std::exception_ptr, std::shared_ptr<const Value>).
template <class Value, class... Args, class Token>
auto async_get(const CachedAsyncFunction<Value, Args...>& function, Token&& token,
               const std::type_identity_t<std::decay_t<Args>>&... args) {
  using Pointer = std::shared_ptr<const Value>;
  return asio_library::async_initiate<Token, void(std::exception_ptr, Pointer)>(
      [function](auto handler, const std::decay_t<Args>&... arguments) {
        auto work = asio_library::make_work_guard(handler);
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        function.async_get(arguments..., [shared, work](Pointer value, std::exception_ptr error) {
          asio_library::dispatch(work.get_executor(), [shared, value = std::move(value),
                                                       error = std::move(error)]() mutable {
            (*shared)(std::move(error), std::move(value));
          });
        });
      },
      token, args...);
}

}  // namespace zoocache
