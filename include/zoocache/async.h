// A cached coroutine function: what Cache::cacheable returns for a loader whose result can be
// awaited.
//
//   auto orders = cache.cacheable("orders", [&](zoocache::Load load, int id) -> Task<Order> {
//     Order order = co_await db.order(id);
//     load.add_deps({"customer:" + order.customer});
//     auto user = co_await users.get(load, order.user_id);
//     co_return order;
//   }, zoocache::deps("order:{0}"));
//   std::shared_ptr<const Order> order = co_await orders.get(7);
//
// Promises: as CachedFunction. The load begins in the coroutine that finds the key missing and runs
// by itself from then on: whoever awaits it may go away. Who waits for it is resumed by the thread
// that ends it, or where `via` says. With a storage (Options::storage) that is asked before the
// load, and gets the value before its call ends; both in the background (Options::background), from
// where the call goes on: the load begins in a thread of it.
//
// A load and its dependencies. A suspended coroutine may go on in any thread, so once it has
// suspended on something else than a cached call, "the load of this thread" is not its own any
// more: what add_deps() or a cached call without a Load declares there is lost to the load. A
// loader that declares dependencies or makes cached calls therefore takes a Load, and hands it
// on: `load.add_deps(...)`, `users.get(load, id)`.
//
// A load that is destroyed before its end (its executor went away) is abandoned: one of those who
// wait loads anew; its own caller gets an Error. There are no timers here: a program that has some
// ends the wait for a load that it cannot see the end of by PendingCall::expire; the Asio adaptor
// does so after flight_timeout_s.
// Thread-safety: everything may be called from any thread; an awaiter by one coroutine.
// REQUIRES: a coroutine that is suspended in an awaiter is destroyed only where it would be
// resumed (the thread that ends the load, or the executor of `via`).
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include <zoocache/detail/boundary.h>
#include <zoocache/detail/function_base.h>
#include <zoocache/detail/signature.h>
#include <zoocache/load.h>

namespace zoocache {

namespace detail {

// Runs by itself and answers to nobody.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

// Runs a coroutine loader to its end. Destroyed while suspended, it drops `lead`: abandoned.
template <class Value, class Loader, class Key>
Detached run_loader(std::shared_ptr<Loader> loader, std::shared_ptr<AsyncLead> lead, Key key) {
  std::exception_ptr error;
  try {
    const Load load(lead->frame());
    auto awaitable =
        std::apply([&](const auto&... args) { return call_loader(*loader, load, args...); }, key);
    finish_with<Key, Value>(*lead, co_await std::move(awaitable));
    co_return;
  } catch (...) {
    error = std::current_exception();
  }
  lead->finish(std::move(error));
}

// How one call of an async function begins: the same for the awaiter and for callbacks.
using Begin = std::function<std::weak_ptr<AsyncPending>(Done)>;

}  // namespace detail

// Moves the resumption of an awaiting coroutine to where the user wants it.
using Post = std::function<void(std::function<void()>)>;

// A call begun by async_get, for a program with timers. Outlives the call harmlessly.
class PendingCall {
 public:
  PendingCall() = default;
  // For CachedAsyncFunction.
  explicit PendingCall(std::weak_ptr<detail::AsyncPending> call) : call_(std::move(call)) {}

  // Whether the call waits for another caller's load now.
  bool waiting() const {
    const auto call = call_.lock();
    return call != nullptr && call->waiting();
  }
  // Ends that wait: the call goes on by loading by itself, in this thread, or ends with
  // FlightTimeout if the function's options say so. Does nothing to a call that does not wait.
  void expire() const {
    if (const auto call = call_.lock()) call->expire();
  }

 private:
  std::weak_ptr<detail::AsyncPending> call_;
};

// What CachedAsyncFunction::get gives: to be awaited once, at once.
template <class Value>
class GetAwaiter {
 public:
  using Pointer = std::shared_ptr<const Value>;  // what awaiting gives

  // For CachedAsyncFunction: a hit.
  explicit GetAwaiter(Pointer hit) : hit_(std::move(hit)) {}
  // For CachedAsyncFunction: a call that is still to begin.
  explicit GetAwaiter(detail::Begin begin) : begin_(std::move(begin)) {}
  GetAwaiter(GetAwaiter&&) noexcept = default;
  GetAwaiter& operator=(GetAwaiter&&) = delete;
  ~GetAwaiter() {
    // The awaiting coroutine goes away: whatever ends later resumes nobody.
    if (shared_ != nullptr) shared_->stage.store(Stage::kGone, std::memory_order_release);
  }

  // Resumes by `post(resume)` instead of on the thread that ended the load.
  GetAwaiter&& via(Post post) && {
    post_ = std::move(post);
    return std::move(*this);
  }

  // For co_await: whether it is a hit.
  bool await_ready() const noexcept { return hit_ != nullptr; }
  // For co_await: begins the call.
  bool await_suspend(std::coroutine_handle<> awaiting) {
    shared_ = std::make_shared<Shared>();
    shared_->awaiting = awaiting;
    shared_->post = std::move(post_);
    const std::shared_ptr<Shared> shared = shared_;
    begin_([shared](detail::ValuePtr value, std::exception_ptr error) {
      shared->value = std::static_pointer_cast<const Value>(std::move(value));
      shared->error = std::move(error);
      Stage seen = Stage::kBegun;
      if (shared->stage.compare_exchange_strong(seen, Stage::kEnded, std::memory_order_acq_rel)) {
        return;  // await_suspend is still running: it goes on without suspending
      }
      if (seen == Stage::kSuspended) resume(shared);
    });
    Stage seen = Stage::kBegun;
    return shared->stage.compare_exchange_strong(seen, Stage::kSuspended,
                                                 std::memory_order_acq_rel);
  }
  // For co_await: the value. Throws what the load threw.
  Pointer await_resume() {
    if (hit_ != nullptr) return std::move(hit_);
    if (shared_->error != nullptr) std::rethrow_exception(shared_->error);
    return std::move(shared_->value);
  }

 private:
  enum class Stage { kBegun, kSuspended, kEnded, kGone };
  struct Shared {
    std::atomic<Stage> stage{Stage::kBegun};
    std::coroutine_handle<> awaiting;
    Post post;
    Pointer value;
    std::exception_ptr error;
  };

  static void resume(const std::shared_ptr<Shared>& shared) {
    if (!shared->post) {
      shared->awaiting.resume();
      return;
    }
    shared->post([shared] {
      if (shared->stage.load(std::memory_order_acquire) != Stage::kGone) {
        shared->awaiting.resume();
      }
    });
  }

  Pointer hit_;
  detail::Begin begin_;
  Post post_;
  std::shared_ptr<Shared> shared_;  // once it is awaited
};

// A cached coroutine function; the head of this file says what it promises.
template <class Value, class... Args>
class CachedAsyncFunction : public detail::FunctionBase<Value, Args...> {
  using Base = detail::FunctionBase<Value, Args...>;

 public:
  using typename Base::Key;
  using typename Base::Pointer;
  // Gets the outcome of a call: exactly one of the two is set. Must not throw.
  using Callback = std::function<void(Pointer, std::exception_ptr)>;
  // Begins a load of its own kind, for adaptors: called with the load's end and the key, which
  // lives as long as the AsyncLead is neither finished nor destroyed.
  using Starter = std::function<void(std::shared_ptr<detail::AsyncLead>, const Key&)>;

  // As get().
  GetAwaiter<Value> operator()(detail::TakenAs<Args>... args) const { return get(args...); }
  // To be awaited: the value for the arguments. The look-up happens here, the load when awaited.
  GetAwaiter<Value> get(detail::TakenAs<Args>... args) const {
    return get(Load::current(), args...);
  }
  // The same from inside another load, which then depends on it.
  GetAwaiter<Value> get(const Load& outer, detail::TakenAs<Args>... args) const {
    if (Pointer hit = find(outer, args...)) return GetAwaiter<Value>(std::move(hit));
    return GetAwaiter<Value>(begin(outer, Key(args...)));
  }

  // The primitive below it: `done` is called exactly once, perhaps before this returns, perhaps by
  // another thread.
  PendingCall async_get(detail::TakenAs<Args>... args, Callback done) const {
    return async_get(Load::current(), args..., std::move(done));
  }
  // The same from inside another load, which then depends on it.
  PendingCall async_get(const Load& outer, detail::TakenAs<Args>... args, Callback done) const {
    if (Pointer hit = find(outer, args...)) {
      done(std::move(hit), nullptr);
      return {};
    }
    auto typed = [done = std::move(done)](detail::ValuePtr value, std::exception_ptr error) {
      done(std::static_pointer_cast<const Value>(std::move(value)), std::move(error));
    };
    return PendingCall(begin(outer, Key(args...))(std::move(typed)));
  }

  // Kills the entry as invalidate does, then loads anew when awaited.
  GetAwaiter<Value> refresh(detail::TakenAs<Args>... args) const {
    this->invalidate(args...);
    return get(args...);
  }

  // How long a wait for another caller's load should last at the most, in seconds.
  double flight_timeout_s() const { return detail::flight_timeout_s(*this->function_); }

 private:
  friend class Cache;
  using typename Base::Deps;
  using typename Base::Probe;

  CachedAsyncFunction(detail::FunctionPtr function, Starter starter, Deps deps)
      : Base(std::move(function), std::move(deps)),
        starter_(std::make_shared<Starter>(std::move(starter))) {}

  template <class F>
  static Starter adapt(F loader) {
    auto shared = std::make_shared<F>(std::move(loader));
    return [shared](std::shared_ptr<detail::AsyncLead> lead, const Key& key) {
      detail::run_loader<Value, F, Key>(shared, std::move(lead), key);
    };
  }

  using KeyRequest = detail::KeyRequest<Key, Value>;

  // A hit, for the load `outer`; one that is late starts a load in the background.
  Pointer find(const Load& outer, detail::TakenAs<Args>... args) const {
    Pointer hit;
    const Load::Scope scope(outer);
    if (this->look(Probe(args...), hit) == detail::Seen::kLateHit) {
      auto request = std::make_shared<KeyRequest>(Key(args...), this->deps_);
      detail::reload_async(this->function_, request, start_of(request));
    }
    return hit;
  }

  detail::Start start_of(const std::shared_ptr<KeyRequest>& request) const {
    return [starter = starter_, request](std::shared_ptr<detail::AsyncLead> lead) {
      (*starter)(std::move(lead), request->key());
    };
  }

  detail::Begin begin(const Load& outer, Key key) const {
    auto request = std::make_shared<KeyRequest>(std::move(key), this->deps_);
    return [function = this->function_, start = start_of(request), request,
            frame = outer.frame()](detail::Done done) {
      return detail::run_async(function, request, frame, start, std::move(done));
    };
  }

  std::shared_ptr<const Starter> starter_;
};

}  // namespace zoocache
