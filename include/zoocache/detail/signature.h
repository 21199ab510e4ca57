// Argument and result types of a loader, and what awaiting its result gives. Not for direct use.
#pragma once

#include <concepts>
#include <coroutine>
#include <functional>
#include <type_traits>
#include <utility>

#include <zoocache/detail/key.h>
#include <zoocache/load.h>

namespace zoocache {

template <class Value, class... Args>
class CachedFunction;
template <class Value, class... Args>
class CachedAsyncFunction;

namespace detail {

template <class A>
decltype(auto) awaiter_of(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}

template <class A>
concept Awaitable = requires(A awaitable) {
  { awaiter_of(std::move(awaitable)).await_ready() } -> std::convertible_to<bool>;
  awaiter_of(std::move(awaitable)).await_resume();
};

template <class R>
struct Loaded {
  static constexpr bool kAsync = false;
  using Value = std::remove_cv_t<std::remove_reference_t<R>>;
};
template <Awaitable R>
struct Loaded<R> {
  static constexpr bool kAsync = true;
  using Value = std::remove_cvref_t<decltype(awaiter_of(std::declval<R>()).await_resume())>;
};

template <class R, class... Args>
struct PlainSignature {
  static_assert(!std::is_void_v<R>, "a cached function returns a value");
  using Result = R;
  template <template <class, class...> class To, class Value>
  using Rebind = To<Value, typename KeyPart<Args>::Type...>;
};

template <class F>
struct Signature : Signature<decltype(std::function(std::declval<F>()))> {};

template <class R, class... Args>
struct Signature<std::function<R(Args...)>> : PlainSignature<R, Args...> {
  static constexpr bool kTakesLoad = false;
};

// A loader may take the load it runs in as its first parameter; it is no part of the key.
template <class R, class First, class... Args>
requires std::same_as<std::decay_t<First>, Load>
struct Signature<std::function<R(First, Args...)>> : PlainSignature<R, Args...> {
  static constexpr bool kTakesLoad = true;
};

// Calls a loader of either kind.
template <class F, class... Args>
decltype(auto) call_loader(F& loader, const Load& load, const Args&... args) {
  if constexpr (Signature<F>::kTakesLoad) {
    return loader(load, args...);
  } else {
    return loader(args...);
  }
}

template <class F>
using ValueOf = typename Loaded<typename Signature<F>::Result>::Value;

template <class F, bool kAsync>
struct FunctionChoice {
  using Type = typename Signature<F>::template Rebind<CachedFunction, ValueOf<F>>;
};
template <class F>
struct FunctionChoice<F, true> {
  using Type = typename Signature<F>::template Rebind<CachedAsyncFunction, ValueOf<F>>;
};
template <class F>
using FunctionFor = typename FunctionChoice<F, Loaded<typename Signature<F>::Result>::kAsync>::Type;

}  // namespace detail
}  // namespace zoocache
