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

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <zoocache/detail/boundary.h>
#include <zoocache/detail/function_base.h>
#include <zoocache/detail/key.h>
#include <zoocache/detail/signature.h>
#include <zoocache/load.h>

namespace zoocache {

namespace detail {

// The arguments of a call as one thing.
template <class... Args>
struct ItemOf {
  using type = std::tuple<Args...>;
  static std::tuple<Args...> key(const type& item) { return item; }
};
template <class Arg>
struct ItemOf<Arg> {
  using type = Arg;
  static std::tuple<Arg> key(const type& item) { return std::tuple<Arg>(item); }
};

}  // namespace detail

// A cached function; the head of this file says what it promises.
template <class Value, class... Args>
class CachedFunction : public detail::FunctionBase<Value, Args...> {
  using Base = detail::FunctionBase<Value, Args...>;

 public:
  using typename Base::Key;
  using typename Base::Pointer;

  // As get().
  Pointer operator()(detail::TakenAs<Args>... args) const { return get(args...); }
  // The value for the arguments, loaded if need be.
  Pointer get(detail::TakenAs<Args>... args) const {
    Pointer value;
    const detail::Seen seen = this->look(Probe(args...), value);
    if (seen == detail::Seen::kMiss) return load(Key(args...));
    if (seen == detail::Seen::kLateHit) refresh_ahead(Key(args...));
    return value;
  }

  // What `get_many` takes for one call: the argument, or a tuple of several.
  using Item = typename detail::ItemOf<Args...>::type;

  // The values for the items, in their order, which may repeat: as the calls one after another
  // would give them, but the storage is asked for all of them at once. `load(const
  // std::vector<Item>&)` returns a std::vector<Value>, and loads by one call all that is found
  // nowhere, each item once; without it, each is loaded by the function. What it declares by
  // add_deps, and what cached functions it calls, every item depends on. Another number of values
  // is a std::length_error. If it throws, so does get_many, and nothing is kept; who waited for one
  // of the items loads it by the function.
  std::vector<Pointer> get_many(const std::vector<Item>& items) const {
    return get_many_by(items, nullptr);
  }
  // The same with a loader of many.
  template <class LoadMany>
  std::vector<Pointer> get_many(const std::vector<Item>& items, LoadMany&& load) const {
    const ManyLoader loader = [&load](const std::vector<Item>& missing) -> std::vector<Value> {
      return std::invoke(load, missing);
    };
    return get_many_by(items, &loader);
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
  using ManyLoader = std::function<std::vector<Value>(const std::vector<Item>&)>;

  std::vector<Pointer> get_many_by(const std::vector<Item>& items, const ManyLoader* load) const {
    std::vector<Pointer> values(items.size());
    std::vector<std::size_t> misses;  // numbers of items
    std::vector<std::unique_ptr<KeyRequest>> requests;
    std::vector<detail::Request*> asked;
    for (std::size_t index = 0; index < items.size(); ++index) {
      const Key key = detail::ItemOf<Args...>::key(items[index]);
      const Probe probe = std::apply([](const Args&... args) { return Probe(args...); }, key);
      const detail::Seen seen = this->look(probe, values[index]);
      if (seen == detail::Seen::kLateHit) refresh_ahead(key);
      if (seen != detail::Seen::kMiss) continue;
      misses.push_back(index);
      requests.push_back(std::make_unique<KeyRequest>(key, this->deps_));
      asked.push_back(requests.back().get());
    }
    if (misses.empty()) return values;
    const auto fill = [&](std::span<const std::size_t> missing,
                          std::span<detail::Box* const> boxes) {
      std::vector<Item> wanted;
      for (const std::size_t number : missing) wanted.push_back(items[misses[number]]);
      std::vector<Value> loaded = (*load)(wanted);
      if (loaded.size() != boxes.size()) detail::refuse_values(boxes.size(), loaded.size());
      for (std::size_t at = 0; at < boxes.size(); ++at) {
        detail::fill<Key, Value>(*boxes[at], std::move(loaded[at]));
      }
    };
    std::vector<detail::ValuePtr> found(misses.size());
    detail::run_many(*this->function_, asked, found,
                     load == nullptr ? detail::FillMany() : detail::FillMany(fill));
    for (std::size_t at = 0; at < misses.size(); ++at) {
      Pointer& value = values[misses[at]];
      if (found[at] != nullptr) value = std::static_pointer_cast<const Value>(found[at]);
      if (found[at] == nullptr) value = this->load(requests[at]->key());
    }
    return values;
  }

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
