// What functions of both kinds, plain and coroutine, have in common. Not for direct use; its
// public members are part of CachedFunction and CachedAsyncFunction.
// Thread-safety: everything may be called from any thread.
#pragma once

#include <memory>
#include <tuple>
#include <utility>

#include <zoocache/detail/boundary.h>
#include <zoocache/detail/key.h>
#include <zoocache/explanation.h>
#include <zoocache/stats.h>

namespace zoocache::detail {

// The base of both kinds.
template <class Value, class... Args>
class FunctionBase {
 public:
  using Key = std::tuple<Args...>;               // the arguments
  using Pointer = std::shared_ptr<const Value>;  // what a call gives

  // The value if there is a valid entry, else nullptr; loads and counts nothing. Inside a load it
  // is a dependency of that load, whatever it gives.
  Pointer peek(TakenAs<Args>... args) const {
    Pointer value;
    detail::peek(*function_, Request(Key(args...), nullptr), &copy_pointer, &value);
    return value;
  }

  // Kills the entry, loads of it in flight, and entries of other functions that used it.
  void invalidate(TakenAs<Args>... args) const {
    detail::invalidate_key(*function_, Request(Key(args...), nullptr));
  }

  // Kills all entries of the function, as invalidate does.
  void clear() const { detail::clear_function(*function_); }

  // Why a call would be answered from the cache or not; loads and counts nothing.
  Explanation explain(TakenAs<Args>... args) const {
    return detail::explain(*function_, Request(Key(args...), nullptr));
  }

  // Counts since the function was made.
  FunctionStats stats() const { return detail::function_stats(*function_); }

 protected:
  using Probe = std::tuple<TakenAs<Args>...>;
  using Request = KeyRequest<Key, Value>;
  using Deps = std::shared_ptr<const DepsSource<Key>>;

  FunctionBase(FunctionPtr function, Deps deps)
      : function_(std::move(function)), deps_(std::move(deps)) {}
  ~FunctionBase() = default;
  FunctionBase(const FunctionBase&) = default;
  FunctionBase& operator=(const FunctionBase&) = default;
  FunctionBase(FunctionBase&&) noexcept = default;
  FunctionBase& operator=(FunctionBase&&) noexcept = default;

  static void copy_pointer(void* context, const ValuePtr& value) {
    *static_cast<Pointer*>(context) = std::static_pointer_cast<const Value>(value);
  }

  // The hit path: one call behind the boundary.
  Seen look(const Probe& key, Use use, void* context) const {
    return detail::visit(*function_, hash_of(key), &key_equal<Key, Probe>, &key, use, context);
  }
  Seen look(const Probe& key, Pointer& value) const { return look(key, &copy_pointer, &value); }

  FunctionPtr function_;
  Deps deps_;
};

}  // namespace zoocache::detail
