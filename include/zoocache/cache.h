// The cache: where functions, tags and invalidations meet.
//
// Promises: after invalidate() has returned, no call that starts later returns a value that was
// loaded before it and depends on one of the tags or on anything below one. Its cost does not
// depend on the number of entries. Caches know nothing of each other: dependencies do not cross.
// Caches of one home (home.h) hear of each other's invalidations, and those that also have one
// storage (storage.h) load what is missing once for all.
// Errors: InvalidTag, InvalidOption (see each member).
// Thread-safety: everything may be called from any thread. No background threads
// but what Options::background speaks of.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <zoocache/async.h>
#include <zoocache/deps.h>
#include <zoocache/detail/boundary.h>
#include <zoocache/detail/signature.h>
#include <zoocache/errors.h>
#include <zoocache/function.h>
#include <zoocache/home.h>
#include <zoocache/options.h>
#include <zoocache/stats.h>

namespace zoocache {

// Whether a function's values are kept in the cache's storage (Options::storage) too.
enum class StorageUse {
  kIfPossible,  // where the function has a name, and its arguments and value have codecs (codec.h)
  kNever,       // in this process alone
  kRequired     // InvalidOption where it is not possible
};

// What `cacheable` may be told besides the loader and its dependencies. For a function of values
// of type `Value`, which store_if and the others get. What they throw reaches the callers, and the
// value is not stored.
template <class Value>
struct CacheableOptions {
  FunctionOptions bounds;                      // see options.h
  std::function<bool(const Value&)> store_if;  // false: returned and not stored
  // Instead of bounds.ttl_s; 0: not stored, and neither is the value of a load that used it.
  std::function<double(const Value&)> ttl_s;
  std::function<std::size_t(const Value&)> size_bytes;  // counted against max_bytes; else sizeof
  double flight_timeout_s = -1;                         // < 0: the cache's
  bool throw_on_timeout = false;                        // FlightTimeout; else loads by itself
  StorageUse storage = StorageUse::kIfPossible;         // whether processes share its values
  // Of the loader: another one does not meet what was stored under this one. For what its name and
  // types do not tell.
  std::string version = {};
};

class Invalidating;

// A cache. Copies of it are the same one.
class Cache {
 public:
  // Throws InvalidOption.
  explicit Cache(const Options& options = {});

  // Caches `loader`, any callable with one signature. A coroutine loader, one that returns
  // something that can be awaited, gives a CachedAsyncFunction (async.h), else it is a
  // CachedFunction (function.h). If its first parameter is a Load (load.h), it gets the load it
  // runs in. `dependencies`: see deps.h. Throws InvalidTag, InvalidOption.
  // `name` is for people, in explain and stats; two functions never share entries of this process.
  // With a storage it is for processes, too: functions of one name, version and types share what is
  // stored, wherever they run, and have to compute the same. With a home, invalidating a function,
  // or a key of it, reaches functions of its name in other processes, but no other one in this.
  template <class F, class D = NoDeps>
  auto cacheable(std::string name, F loader, D dependencies = {}) {
    using Value = detail::ValueOf<F>;
    return cacheable(std::move(name), std::move(loader), std::move(dependencies),
                     CacheableOptions<Value>{});
  }
  // The same with options.
  template <class F, class D>
  auto cacheable(std::string name, F loader, D dependencies,
                 CacheableOptions<detail::ValueOf<F>> options) {
    using Function = detail::FunctionFor<F>;
    auto source = make_deps<typename Function::Key>(std::move(dependencies));
    auto function = add_function<Function>(std::move(name), std::move(options));
    return Function(std::move(function), Function::adapt(std::move(loader)), std::move(source));
  }

  // Declares that what the tags name has changed. Several tags are one invalidation.
  // Returns its epoch. Throws InvalidTag; then nothing was invalidated.
  std::uint64_t invalidate(std::string_view tag);
  // The same for several.
  template <std::convertible_to<std::string_view>... More>
  requires(sizeof...(More) > 0) std::uint64_t
      invalidate(std::string_view tag, const More&... more) {
    return invalidate({tag, std::string_view(more)...});
  }
  // The same for several.
  std::uint64_t invalidate(std::initializer_list<std::string_view> tags) {
    return invalidate(std::vector<std::string_view>(tags));
  }
  // The same for several.
  std::uint64_t invalidate(const std::vector<std::string_view>& tags);
  // The same for several.
  std::uint64_t invalidate(const std::vector<std::string>& tags) {
    return invalidate(std::vector<std::string_view>(tags.begin(), tags.end()));
  }

  // Holds the tags while a write that commits inside runs: nothing that depends on them is stored
  // meanwhile; the end of the returned object's life invalidates them, also by an exception. With a
  // home that other processes share they are told to it before, so that they are invalidated also
  // when this process dies after the commit. Waits as invalidate() does. Throws InvalidTag;
  // HomeUnreachable: the home was not told, and the write must not begin.
  [[nodiscard]] Invalidating invalidating(std::vector<std::string> tags);

  // Drops every entry; loads in flight are returned and not stored.
  void clear();

  // Counts since it was made, and what it holds now.
  Stats stats() const;
  // How its home does; a call later it may be otherwise. Empty: it has none.
  std::optional<HomeStatus> home() const;
  // How its storage does: it is asked, and may be waited for. Empty: it has none.
  std::optional<StorageStatus> storage() const;
  // Every function of it that lives, in the order in which they were made.
  std::vector<FunctionInfo> functions() const;
  // The newest invalidations, the newest first.
  std::vector<InvalidationInfo> invalidations() const;
  // The tags that something depends on: `prefix` and what is below it (all if empty), sorted.
  std::vector<TagInfo> tags(std::string_view prefix = {}) const;
  // Epoch of the newest known invalidation of the tag or an ancestor; 0 if none. Throws InvalidTag.
  std::uint64_t tag_version(std::string_view tag) const;
  // Why a call of `function` would be answered from the cache or not.
  template <class Function, class... Args>
  Explanation explain(const Function& function, const Args&... args) const {
    return function.explain(args...);
  }

  // For adaptors of other coroutine types (asio.h): a function whose loads `starter` begins.
  template <class Function, class D, class Value>
  Function async_function(std::string name, typename Function::Starter starter, D dependencies,
                          CacheableOptions<Value> options) {
    auto source = make_deps<typename Function::Key>(std::move(dependencies));
    return Function(add_function<Function>(std::move(name), std::move(options)), std::move(starter),
                    std::move(source));
  }

 private:
  template <class Key, class D>
  std::shared_ptr<const detail::DepsSource<Key>> make_deps(D dependencies) const {
    if constexpr (std::is_same_v<D, NoDeps>) {
      return nullptr;
    } else if constexpr (std::is_same_v<D, TagDeps>) {
      auto source = std::make_shared<detail::TemplateDeps<Key>>(dependencies.texts,
                                                                detail::max_tag_length(*state_));
      for (const detail::TagTemplate& one : source->templates()) {
        detail::check_tag(*state_, one.sample());
      }
      return source;
    } else {
      using F = decltype(dependencies.compute);
      return std::make_shared<detail::CallableDeps<Key, F>>(std::move(dependencies.compute));
    }
  }

  template <class Function, class Value>
  detail::FunctionPtr add_function(std::string name, CacheableOptions<Value> options) {
    detail::FunctionSettings settings;
    if (options.storage != StorageUse::kNever) {
      using Types = detail::LevelTypes<typename Function::Key, Value>;
      if constexpr (Types::kStorable) {
        if (!name.empty()) settings.level_identity = Types::identity(name, options.version);
      }
      const bool required = options.storage == StorageUse::kRequired;
      if (required && settings.level_identity.empty()) detail::refuse_storage(name);
    }
    settings.bounds = options.bounds;
    settings.flight_timeout_s = options.flight_timeout_s;
    settings.throw_on_timeout = options.throw_on_timeout;
    if (options.store_if) settings.value.store_if = typed<bool, Value>(options.store_if);
    if (options.ttl_s) settings.value.ttl_s = typed<double, Value>(options.ttl_s);
    settings.value.size_bytes = [](const void*) { return sizeof(Value); };
    if (options.size_bytes) {
      settings.value.size_bytes = typed<std::size_t, Value>(options.size_bytes);
    }
    return detail::add_function(state_, std::move(name), std::move(settings));
  }

  template <class Result, class Value>
  static std::function<Result(const void*)> typed(std::function<Result(const Value&)> callback) {
    return [callback = std::move(callback)](const void* value) {
      return callback(*static_cast<const Value*>(value));
    };
  }

  friend struct detail::CacheAccess;  // for tests, which move the clock
  detail::CachePtr state_;
};

// Made by Cache::invalidating; movable, ends once.
class Invalidating {
 public:
  Invalidating(Invalidating&&) noexcept = default;
  Invalidating& operator=(Invalidating&&) = delete;
  ~Invalidating() = default;

  // Nothing was committed: ends now, and invalidates nothing. After the rollback.
  void cancel() noexcept;

 private:
  friend class Cache;
  class Hold;
  explicit Invalidating(std::shared_ptr<Hold> hold) noexcept : hold_(std::move(hold)) {}
  std::shared_ptr<Hold> hold_;  // the only reference; empty once moved from, or cancelled
};

}  // namespace zoocache
