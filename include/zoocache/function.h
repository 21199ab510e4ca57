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
// Keys: the decayed arguments; each has a std::hash and ==. Values: anything movable.
// Errors: whatever the loader throws; InvalidTag for what deps() computes; FlightTimeout only if
// the function's options ask for it.
// Thread-safety: everything may be called from any thread. Copies are the same cache. It may
// outlive the Cache object; the entries die with the last of them.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <zoocache/detail/boundary.h>
#include <zoocache/detail/key.h>

namespace zoocache {

template <class Value, class... Args>
class CachedFunction {
 public:
  using Key = std::tuple<std::decay_t<Args>...>;
  using Probe = std::tuple<const std::decay_t<Args>&...>;
  using Pointer = std::shared_ptr<const Value>;

  // The value for the arguments, loaded if need be.
  Pointer operator()(const std::decay_t<Args>&... args) const { return get(args...); }
  Pointer get(const std::decay_t<Args>&... args) const {
    Pointer value;
    if (look(Probe(args...), value)) return value;
    return load(Key(args...));
  }

  // Calls `use(const Value&)` and returns what it returns. On a hit nothing is copied and no
  // reference is counted; `use` must then not block for long: what dies meanwhile is not freed.
  template <class Use>
  decltype(auto) visit(const std::decay_t<Args>&... args_then_use, Use&& use) const {
    const Probe key(args_then_use...);
    using Result = std::invoke_result_t<Use, const Value&>;
    if constexpr (std::is_void_v<Result>) {
      if (!visit_hit(key, use)) std::invoke(use, *load(Key(key)));
    } else {
      std::optional<Result> result;
      const auto keep = [&](const Value& value) { result.emplace(std::invoke(use, value)); };
      if (!visit_hit(key, keep)) keep(*load(Key(key)));
      return Result(std::move(*result));
    }
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

  // The same, then loads anew.
  Pointer refresh(const std::decay_t<Args>&... args) const {
    invalidate(args...);
    return get(args...);
  }

  // Kills all entries of the function, as invalidate does.
  void clear() const { detail::clear_function(*function_); }

 private:
  friend class Cache;
  using Loader = std::function<Value(const std::decay_t<Args>&...)>;
  using Deps = std::shared_ptr<const detail::DepsSource<Key>>;

  CachedFunction(detail::FunctionPtr function, Loader loader, Deps deps)
      : function_(std::move(function)),
        loader_(std::make_shared<Loader>(std::move(loader))),
        deps_(std::move(deps)) {}

  static void copy_pointer(void* context, const detail::ValuePtr& value) {
    *static_cast<Pointer*>(context) = std::static_pointer_cast<const Value>(value);
  }

  bool look(const Probe& key, Pointer& value) const {
    return detail::visit(*function_, detail::hash_of(key), &detail::key_equal<Key, Probe>, &key,
                         &copy_pointer, &value);
  }

  template <class Use>
  bool visit_hit(const Probe& key, Use& use) const {
    const auto trampoline = [](void* context, const detail::ValuePtr& value) {
      std::invoke(*static_cast<std::remove_reference_t<Use>*>(context),
                  *static_cast<const Value*>(value.get()));
    };
    using Plain = std::remove_const_t<std::remove_reference_t<Use>>;
    return detail::visit(*function_, detail::hash_of(key), &detail::key_equal<Key, Probe>, &key,
                         trampoline, const_cast<Plain*>(&use));
  }

  Pointer load(Key key) const {
    detail::KeyRequest<Key> request(std::move(key), deps_);
    const detail::ValuePtr value = detail::run(*function_, request, [&]() -> detail::ValuePtr {
      return std::make_shared<const Value>(std::apply(*loader_, request.key()));
    });
    return std::static_pointer_cast<const Value>(value);
  }

  detail::FunctionPtr function_;
  std::shared_ptr<const Loader> loader_;
  Deps deps_;
};

}  // namespace zoocache
