// A cached coroutine function: what Cache::cacheable returns for a loader whose result can be
// awaited.
//
//   auto orders = cache.cacheable("orders", [&](zoocache::Load load, int id) -> Task<Order> {
//     Order order = co_await db.order(id);
//     load.add_deps({"customer:" + order.customer});
//     co_return order;
//   }, zoocache::deps("order:{0}"));
//   std::shared_ptr<const Order> order = co_await orders.get(7);
//
// Promises: as CachedFunction. The load begins in the coroutine that finds the key missing and runs
// by itself from then on: whoever awaits it may go away. Who waits for it is resumed by the thread
// that ends it, or where `via` says.
// A suspended coroutine may go on in any thread, so there is no "load of this thread" in it: a
// loader that takes a Load declares dependencies through it, and hands it to the cached calls it
// makes: `co_await users.get(load, id)`. Calls without it are no dependencies of the load.
// A load that is destroyed before its end (its executor went away) is abandoned: one of those who
// wait loads anew. There are no timers here: flight_timeout_s does not end the waiting.
// Thread-safety: everything may be called from any thread; an awaiter by one coroutine.
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
#include <zoocache/detail/key.h>
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
Detached run_loader(std::shared_ptr<const Loader> loader, std::shared_ptr<AsyncLead> lead,
                    Key key) {
  ValuePtr value;
  std::exception_ptr error;
  try {
    const Load load(lead->frame());
    auto awaitable = std::apply([&](const auto&... args) { return (*loader)(load, args...); }, key);
    value = std::make_shared<const Value>(co_await std::move(awaitable));
  } catch (...) {
    error = std::current_exception();
  }
  lead->finish(std::move(value), error);
}

// How one call of an async function begins: the same for the awaiter and for callbacks.
using Begin = std::function<void(Done)>;

}  // namespace detail

// Moves the resumption of an awaiting coroutine to where the user wants it.
using Post = std::function<void(std::function<void()>)>;

template <class Value>
class GetAwaiter {
 public:
  using Pointer = std::shared_ptr<const Value>;

  explicit GetAwaiter(Pointer hit) : shared_(std::make_shared<Shared>()) {
    shared_->value = std::move(hit);
  }
  explicit GetAwaiter(detail::Begin begin)
      : begin_(std::move(begin)), shared_(std::make_shared<Shared>()) {}
  GetAwaiter(GetAwaiter&&) noexcept = default;
  GetAwaiter& operator=(GetAwaiter&&) = delete;
  ~GetAwaiter() {
    // The awaiting coroutine goes away: whatever ends later resumes nobody.
    if (shared_ != nullptr) shared_->stage.store(Stage::kGone, std::memory_order_release);
  }

  // Resumes by `post(resume)` instead of on the thread that ended the load.
  GetAwaiter&& via(Post post) && {
    shared_->post = std::move(post);
    return std::move(*this);
  }

  bool await_ready() const noexcept { return shared_->value != nullptr; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    shared_->awaiting = awaiting;
    const std::shared_ptr<Shared> shared = shared_;  // *this may be gone when begin_ returns
    const detail::Begin begin = std::move(begin_);
    begin([shared](detail::ValuePtr value, std::exception_ptr error) {
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
  Pointer await_resume() const {
    if (shared_->error != nullptr) std::rethrow_exception(shared_->error);
    return shared_->value;
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

  detail::Begin begin_;
  std::shared_ptr<Shared> shared_;
};

template <class Value, class... Args>
class CachedAsyncFunction {
 public:
  using Key = std::tuple<std::decay_t<Args>...>;
  using Probe = std::tuple<const std::decay_t<Args>&...>;
  using Pointer = std::shared_ptr<const Value>;

  // To be awaited: the value for the arguments. The look-up happens here, the load when awaited.
  GetAwaiter<Value> get(const std::decay_t<Args>&... args) const {
    return get(Load::current(), args...);
  }
  // The same from inside another load, which then depends on it.
  GetAwaiter<Value> get(const Load& outer, const std::decay_t<Args>&... args) const {
    Pointer hit;
    const Load::Scope scope(outer);
    if (look(Probe(args...), hit)) return GetAwaiter<Value>(std::move(hit));
    return GetAwaiter<Value>(begin(outer, Key(args...)));
  }

  // The primitive below it: `done(value, error)` is called exactly once, perhaps before this
  // returns, perhaps by another thread; exactly one of the two is set.
  void async_get(const std::decay_t<Args>&... args,
                 std::function<void(Pointer, std::exception_ptr)> done) const {
    Pointer hit;
    if (look(Probe(args...), hit)) {
      done(std::move(hit), nullptr);
      return;
    }
    begin(Load::current(),
          Key(args...))([done = std::move(done)](detail::ValuePtr value, std::exception_ptr error) {
      done(std::static_pointer_cast<const Value>(std::move(value)), std::move(error));
    });
  }

  // The value if there is a valid entry, else nullptr; loads and counts nothing.
  Pointer peek(const std::decay_t<Args>&... args) const {
    Pointer value;
    const detail::KeyRequest<Key> request(Key(args...), nullptr);
    detail::peek(*function_, request, &copy_pointer, &value);
    return value;
  }

  // Kills the entry, loads of it in flight, and entries of other functions that used it.
  void invalidate(const std::decay_t<Args>&... args) const {
    detail::invalidate_key(*function_, detail::KeyRequest<Key>(Key(args...), nullptr));
  }
  // The same, then loads anew when awaited.
  GetAwaiter<Value> refresh(const std::decay_t<Args>&... args) const {
    invalidate(args...);
    return get(args...);
  }
  void clear() const { detail::clear_function(*function_); }

  // Begins a load of its own kind, for adaptors: called with the load's end and the key.
  using Starter = std::function<void(std::shared_ptr<detail::AsyncLead>, const Key&)>;
  using Deps = std::shared_ptr<const detail::DepsSource<Key>>;
  CachedAsyncFunction(detail::FunctionPtr function, Starter starter, Deps deps)
      : function_(std::move(function)),
        starter_(std::make_shared<Starter>(std::move(starter))),
        deps_(std::move(deps)) {}

 private:
  friend class Cache;

  template <class F>
  requires(!std::convertible_to<F, Starter>)
      CachedAsyncFunction(detail::FunctionPtr function, F loader, Deps deps)
      : CachedAsyncFunction(std::move(function), starter_of(std::move(loader)), std::move(deps)) {}

  template <class F>
  static Starter starter_of(F loader) {
    auto with_load = [loader = std::move(loader)](const Load& load,
                                                  const std::decay_t<Args>&... args) {
      if constexpr (detail::Signature<F>::kTakesLoad) {
        return loader(load, args...);
      } else {
        return loader(args...);
      }
    };
    auto shared = std::make_shared<const decltype(with_load)>(std::move(with_load));
    return [shared](std::shared_ptr<detail::AsyncLead> lead, const Key& key) {
      detail::run_loader<Value, decltype(with_load), Key>(shared, std::move(lead), key);
    };
  }

  static void copy_pointer(void* context, const detail::ValuePtr& value) {
    *static_cast<Pointer*>(context) = std::static_pointer_cast<const Value>(value);
  }

  bool look(const Probe& key, Pointer& value) const {
    return detail::visit(*function_, detail::hash_of(key), &detail::key_equal<Key, Probe>, &key,
                         &copy_pointer, &value);
  }

  detail::Begin begin(const Load& outer, Key key) const {
    auto request = std::make_shared<detail::KeyRequest<Key>>(std::move(key), deps_);
    return [function = function_, starter = starter_, request,
            frame = outer.frame()](detail::Done done) {
      const auto start = [starter, request](std::shared_ptr<detail::AsyncLead> lead) {
        (*starter)(std::move(lead), request->key());
      };
      detail::run_async(function, request, frame, start, std::move(done));
    };
  }

  detail::FunctionPtr function_;
  std::shared_ptr<const Starter> starter_;
  Deps deps_;
};

}  // namespace zoocache
