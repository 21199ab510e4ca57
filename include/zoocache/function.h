// A cached function: what Cache::cacheable returns.
//
//   auto get_user = cache.cacheable("get_user", [&](int id) { return db.user(id); },
//                                   zoocache::deps("user:{0}"));
//   std::shared_ptr<const User> user = get_user(42);
//   get_user.visit(42, [](const User& user) { ... });
//
// Promises, for any number of threads: a call returns only what was current at some moment between
// its start and its return; callers of one key that is being loaded wait for that one load; an
// exception of the loader reaches the leader and everybody who waited, and is not cached.
// Keys: the decayed arguments; each has a std::hash and ==. A std::string_view is kept as a
// std::string, and a call takes either as a std::string_view; char pointers are refused. Values:
// anything movable. What a loader returns is the value: one that returns a shared_ptr<T> is cached
// as such, and a call gives a pointer to it. A pointer keeps the value alive, and the key that lies
// beside it, for as long as it is held. Errors: whatever the loader, the deps() and the
// options' callbacks throw; InvalidTag for what deps() computes; FlightTimeout only if the
// function's options ask for it. Thread-safety: everything may be called from any thread. Copies
// are the same cache. It may outlive the Cache object; the entries die with the last of them, which
// waits for loads of the function that still run in the background.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <zoocache/detail/boundary.h>
#include <zoocache/detail/function_base.h>
#include <zoocache/detail/key.h>
#include <zoocache/detail/signature.h>
#include <zoocache/load.h>

namespace zoocache {

template <class Value, class... Args>
class CachedFunction : public detail::FunctionBase<Value, Args...> {
  using Base = detail::FunctionBase<Value, Args...>;

 public:
  using typename Base::Key;
  using typename Base::Pointer;

  // The value for the arguments, loaded if need be.
  Pointer operator()(detail::TakenAs<Args>... args) const { return get(args...); }
  Pointer get(detail::TakenAs<Args>... args) const {
    Pointer value;
    const detail::Seen seen = this->look(Probe(args...), value);
    if (seen == detail::Seen::kMiss) return load(Key(args...));
    if (seen == detail::Seen::kLateHit) refresh_ahead(Key(args...));
    return value;
  }

  // Calls `use(const Value&)` and returns what it returns, by value. On a hit nothing is copied
  // and no reference is counted; so long as `use` runs, nothing that dies anywhere in the cache is
  // freed. For work that takes long, or waits, hold the value by get() instead.
  template <class Use>
  auto visit(detail::TakenAs<Args>... args, Use&& use) const {
    using Result = std::invoke_result_t<Use, const Value&>;
    const Probe key(args...);
    if constexpr (std::is_void_v<Result>) {
      if (!visit_hit(key, use)) std::invoke(use, *load(Key(key)));
    } else {
      static_assert(!std::is_reference_v<Result>, "what `use` returns would refer into the cache");
      std::optional<Result> result;
      const auto keep = [&](const Value& value) { result.emplace(std::invoke(use, value)); };
      if (!visit_hit(key, keep)) keep(*load(Key(key)));
      return Result(std::move(*result));
    }
  }

  // Kills the entry as invalidate does, then loads anew.
  Pointer refresh(detail::TakenAs<Args>... args) const {
    this->invalidate(args...);
    return get(args...);
  }

 private:
  friend class Cache;
  using typename Base::Deps;
  using typename Base::Probe;
  using Loader = std::function<Value(const Args&...)>;

  CachedFunction(detail::FunctionPtr function, Loader loader, Deps deps)
      : Base(std::move(function), std::move(deps)),
        loader_(std::make_shared<Loader>(std::move(loader))) {}

  // A loader that cannot be copied is as good; one that takes the Load gets it.
  template <class F>
  static Loader adapt(F loader) {
    auto shared = std::make_shared<F>(std::move(loader));
    return [shared](const Args&... args) -> Value {
      return detail::call_loader(*shared, Load::current(), args...);
    };
  }

  template <class Use>
  bool visit_hit(const Probe& key, Use& use) const {
    const auto trampoline = [](void* context, const detail::ValuePtr& value) {
      std::invoke(*static_cast<Use*>(context), *static_cast<const Value*>(value.get()));
    };
    using Plain = std::remove_const_t<Use>;
    const detail::Seen seen = this->look(key, trampoline, const_cast<Plain*>(std::addressof(use)));
    if (seen == detail::Seen::kLateHit) refresh_ahead(Key(key));
    return seen != detail::Seen::kMiss;
  }

  using KeyRequest = detail::KeyRequest<Key, Value>;

  detail::Fill loader_for(const KeyRequest& request) const {
    return [&loader = *loader_, &request](detail::Box& box) {
      detail::fill<Key, Value>(box, std::apply(loader, request.key()));
    };
  }

  Pointer load(Key key) const {
    KeyRequest request(std::move(key), this->deps_);
    const auto make_job = [this, &request] { return reload_job(request.key()); };
    return std::static_pointer_cast<const Value>(
        detail::run(*this->function_, request, loader_for(request), make_job));
  }

  detail::Job reload_job(const Key& key) const {
    CachedFunction own = *this;
    own.function_ = detail::for_job(*this->function_);
    return [function = std::move(own), key] {
      KeyRequest request(key, function.deps_);
      detail::reload(*function.function_, request, function.loader_for(request));
    };
  }

  void refresh_ahead(const Key& key) const {
    detail::start_background(*this->function_, KeyRequest(key, nullptr), reload_job(key));
  }

  std::shared_ptr<const Loader> loader_;
};

}  // namespace zoocache
