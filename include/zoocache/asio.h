// zoocache for Asio: loaders that are asio::awaitable coroutines, and async_get for any completion
// token. Define ZOOCACHE_BOOST_ASIO before the include to use Boost.Asio instead of Asio.
//
//   auto orders = zoocache::asio_cacheable(cache, executor, "orders", load_order,
//                                          zoocache::deps("order:{0}"));
//   auto order = co_await zoocache::async_get(orders, 7, asio::use_awaitable);
//
// asio::awaitable does not let itself be awaited by other coroutines, nor awaits what is not its
// own; so the loader is spawned on the executor, and callers complete through their token, on the
// executor that is associated with it and never inside async_get; a handler without one is called
// by the thread that ends the call, on a hit inside async_get. A wait for another load ends after
// flight_timeout_s by loading unshared, or with FlightTimeout.
// Inside a loader, cached calls name the load: `co_await async_get(users, load, id, token)`.
// Errors: what the loader throws. A context that is destroyed abandons the loads that it ran.
// REQUIRES: the context of `executor` lives as long as the function is called.
// Thread-safety: as CachedAsyncFunction.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

// After the standard headers: older releases use what they do not include.
#ifdef ZOOCACHE_BOOST_ASIO
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

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
  using Done = asio_library::awaitable<void, Executor>;
};
template <class F>
using AsioResultOf = AsioResult<typename Signature<F>::Result>;

// Destroyed with its context while suspended, it drops `lead`: abandoned.
template <class Value, class Loader, class Key>
typename AsioResultOf<Loader>::Done run_asio_loader(std::shared_ptr<Loader> loader,
                                                    std::shared_ptr<AsyncLead> lead, Key key) {
  std::exception_ptr error;
  try {
    const Load load(lead->frame());
    finish_with<Key, Value>(
        *lead, co_await std::apply(
                   [&](const auto&... args) { return call_loader(*loader, load, args...); }, key));
    co_return;
  } catch (...) {
    error = std::current_exception();
  }
  lead->finish(std::move(error));
}

// A call on its way to its handler, and the timer that ends its wait for another's load.
template <class Handler, class Pointer>
class AsioCall : public std::enable_shared_from_this<AsioCall<Handler, Pointer>> {
 public:
  using Executor = asio_library::associated_executor_t<Handler>;

  explicit AsioCall(Handler handler)
      : handler_(std::move(handler)), work_(asio_library::make_work_guard(handler_)) {}

  // Ends the initiation.
  void watch(PendingCall call, double seconds) {
    const bool waiting = call.waiting();
    const std::lock_guard lock(mutex_);
    initiating_ = false;
    if (ended_ || !waiting) return;
    constexpr double kLongestSeconds = 1e9;
    const std::chrono::duration<double> span(seconds < kLongestSeconds ? seconds : kLongestSeconds);
    if constexpr (kHasContext) {
      timer_.emplace(work_.get_executor());
    } else {
      timer_.emplace(TimerExecutor());
    }
    timer_->expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(span));
    timer_->async_wait([call = std::move(call)](const auto& failed) {
      if (!failed) call.expire();
    });
  }

  void complete(Pointer value, std::exception_ptr error) {
    bool initiating = false;
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      initiating = initiating_;
      timer_.reset();
    }
    auto deliver = [self = this->shared_from_this(), value = std::move(value),
                    error = std::move(error)]() mutable {
      Handler handler = std::move(self->handler_);
      self->work_.reset();
      std::move(handler)(std::move(error), std::move(value));
    };
    // A handler that ran inside its own initiation would begin the next call there, and so on: a
    // coroutine that meets hit after hit would exhaust the stack.
    if constexpr (kHasContext && !std::is_same_v<Executor, asio_library::system_executor>) {
      if (initiating) {
        asio_library::post(work_.get_executor(), std::move(deliver));
        return;
      }
    }
    asio_library::dispatch(work_.get_executor(), std::move(deliver));
  }

 private:
  // A future's executor, for one, has none: then the timer is Asio's own system_context's.
  static constexpr bool kHasContext =
      asio_library::can_query_v<Executor, asio_library::execution::context_t>;
  using TimerExecutor = std::conditional_t<kHasContext, Executor, asio_library::system_executor>;
  using Clock = std::chrono::steady_clock;
  using Timer =
      asio_library::basic_waitable_timer<Clock, asio_library::wait_traits<Clock>, TimerExecutor>;

  Handler handler_;
  asio_library::executor_work_guard<Executor> work_;
  std::mutex mutex_;  // guards: initiating_, ended_, timer_
  bool initiating_ = true;
  bool ended_ = false;
  std::optional<Timer> timer_;
};

// `given`: what async_get was given; the arguments begin at kFirst, the token is the last.
template <std::size_t kFirst, class Value, class... Args, class Given, std::size_t... kIndex>
auto asio_initiate(const CachedAsyncFunction<Value, Args...>& function, const Load& outer,
                   const Given& given, std::index_sequence<kIndex...>) {
  using Pointer = std::shared_ptr<const Value>;
  using Last = std::tuple_element_t<kFirst + sizeof...(Args), Given>;  // T& or T&&
  using Token =
      std::conditional_t<std::is_lvalue_reference_v<Last>, Last, std::remove_reference_t<Last>>;
  auto& token = std::get<kFirst + sizeof...(Args)>(given);
  std::tuple<Args...> key(std::get<kFirst + kIndex>(given)...);
  return asio_library::async_initiate<Token, void(std::exception_ptr, Pointer)>(
      [function, outer, key = std::move(key)](auto handler) {
        using Call = AsioCall<decltype(handler), Pointer>;
        const auto call = std::make_shared<Call>(std::move(handler));
        auto done = [call](Pointer value, std::exception_ptr error) {
          call->complete(std::move(value), std::move(error));
        };
        call->watch(function.async_get(outer, std::get<kIndex>(key)..., std::move(done)),
                    function.flight_timeout_s());
      },
      token);
}

}  // namespace detail

// As Cache::cacheable, for a loader that returns asio::awaitable<Value>, run on `executor`.
template <class Executor, class F, class D>
auto asio_cacheable(Cache& cache, Executor executor, std::string name, F loader, D dependencies,
                    CacheableOptions<typename detail::AsioResultOf<F>::Value> options) {
  using Value = typename detail::AsioResultOf<F>::Value;
  using Function = typename detail::Signature<F>::template Rebind<CachedAsyncFunction, Value>;
  using Key = typename Function::Key;
  auto shared = std::make_shared<F>(std::move(loader));
  typename Function::Starter starter = [executor, shared](std::shared_ptr<detail::AsyncLead> lead,
                                                          const Key& key) {
    asio_library::co_spawn(executor,
                           detail::run_asio_loader<Value, F, Key>(shared, std::move(lead), key),
                           asio_library::detached);
  };
  return cache.async_function<Function>(std::move(name), std::move(starter),
                                        std::move(dependencies), std::move(options));
}
// The same without options.
template <class Executor, class F, class D = NoDeps>
auto asio_cacheable(Cache& cache, Executor executor, std::string name, F loader,
                    D dependencies = {}) {
  using Value = typename detail::AsioResultOf<F>::Value;
  return asio_cacheable(cache, std::move(executor), std::move(name), std::move(loader),
                        std::move(dependencies), CacheableOptions<Value>{});
}

// async_get(function, arguments..., token)
// async_get(function, load, arguments..., token)     inside of that load
// Completes with (std::exception_ptr, std::shared_ptr<const Value>).
template <class Value, class... Args, class... Given>
auto async_get(const CachedAsyncFunction<Value, Args...>& function, Given&&... given) {
  constexpr std::size_t kExtra = sizeof...(Given) - sizeof...(Args);
  static_assert(sizeof...(Given) > sizeof...(Args) && kExtra <= 2,
                "async_get takes the function, perhaps a Load, its arguments and a token");
  const auto all = std::forward_as_tuple(std::forward<Given>(given)...);
  if constexpr (kExtra == 1) {
    return detail::asio_initiate<0>(function, Load::current(), all,
                                    std::index_sequence_for<Args...>());
  } else {
    return detail::asio_initiate<1>(function, std::get<0>(all), all,
                                    std::index_sequence_for<Args...>());
  }
}

}  // namespace zoocache
