// The cache: where functions, tags and invalidations meet.
//
// Promises: after invalidate() has returned, no call that starts later returns a value that was
// loaded before it and depends on one of the tags or on anything below one. Its cost does not
// depend on the number of entries. Caches know nothing of each other: dependencies do not cross.
// Errors: InvalidTag, InvalidOption (see each member).
// Thread-safety: everything may be called from any thread. No background threads.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
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
#include <zoocache/options.h>

namespace zoocache {

// Counts since the cache was made, and what it holds now.
struct Stats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t loads = 0;        // loader runs, those that threw included
  std::uint64_t load_errors = 0;  // loader runs that threw
  std::uint64_t stores = 0;
  std::uint64_t not_stored = 0;  // loaded values that were not kept
  std::uint64_t evictions = 0;
  std::uint64_t expirations = 0;     // entries found expired
  std::uint64_t dead_entries = 0;    // entries found invalidated
  std::uint64_t flights_joined = 0;  // calls that waited for another caller's load
  std::uint64_t clock = 0;           // the newest epoch
  std::size_t entries = 0;
  std::size_t bytes = 0;    // accounted
  std::size_t tags = 0;     // tags that something depends on, and their ancestors
  std::size_t flights = 0;  // loads that run now
};

struct TagInfo {
  std::string tag;
  std::uint64_t version = 0;  // epoch of the newest invalidation that named exactly this tag
  std::size_t entries = 0;    // entries and running loads that depend on exactly this tag
};

// What `cacheable` may be told besides the loader and its dependencies. For a function of values
// of type `Value`, which store_if and the others get.
template <class Value>
struct CacheableOptions {
  FunctionOptions bounds;                               // see options.h
  std::function<bool(const Value&)> store_if;           // false: returned and not stored
  std::function<double(const Value&)> ttl_s;            // instead of bounds.ttl_s; 0: not stored
  std::function<std::size_t(const Value&)> size_bytes;  // counted against max_bytes; else sizeof
  double flight_timeout_s = -1;                         // < 0: the cache's
  bool throw_on_timeout = false;                        // FlightTimeout; else loads by itself
};

class Invalidating;

class Cache {
 public:
  // Throws InvalidOption.
  explicit Cache(const Options& options = {});

  // Caches `loader`, any callable with one signature. A coroutine loader, one that returns
  // something that can be awaited, gives a CachedAsyncFunction (async.h), else it is a
  // CachedFunction (function.h). `name` is for people, in explain and stats.
  // `dependencies`: see deps.h. Throws InvalidTag, InvalidOption.
  template <class F, class D = NoDeps>
  auto cacheable(std::string name, F loader, D dependencies = {}) {
    using Value = detail::ValueOf<F>;
    return cacheable(std::move(name), std::move(loader), std::move(dependencies),
                     CacheableOptions<Value>{});
  }
  template <class F, class D>
  auto cacheable(std::string name, F loader, D dependencies,
                 CacheableOptions<detail::ValueOf<F>> options) {
    using Function = detail::FunctionFor<F>;
    auto source = make_deps<typename Function::Key>(std::move(dependencies));
    return Function(add_function<detail::ValueOf<F>>(std::move(name), std::move(options)),
                    std::move(loader), std::move(source));
  }

  // For adaptors of other coroutine types: a function whose loads `starter` begins.
  template <class Value, class Key, class Function, class D>
  Function async_function(std::string name, typename Function::Starter starter, D dependencies) {
    auto source = make_deps<Key>(std::move(dependencies));
    return Function(add_function<Value>(std::move(name), CacheableOptions<Value>{}),
                    std::move(starter), std::move(source));
  }

  // Declares that what the tags name has changed. Several tags are one invalidation.
  // Returns its epoch. Throws InvalidTag; then nothing was invalidated.
  std::uint64_t invalidate(std::string_view tag) { return invalidate({tag}); }
  std::uint64_t invalidate(std::initializer_list<std::string_view> tags) {
    return invalidate(std::vector<std::string_view>(tags));
  }
  std::uint64_t invalidate(const std::vector<std::string_view>& tags);

  // Holds the tags while a write that commits inside runs: nothing that depends on them is stored
  // meanwhile; the end of the returned object's life invalidates them. Throws InvalidTag.
  [[nodiscard]] Invalidating invalidating(std::vector<std::string> tags);

  // Drops every entry; loads in flight are returned and not stored.
  void clear();

  Stats stats() const;
  // The tags that something depends on: `prefix` and what is below it (all if empty), sorted.
  std::vector<TagInfo> tags(std::string_view prefix = {}) const;
  // Epoch of the newest known invalidation of the tag or an ancestor; 0 if none. Throws InvalidTag.
  std::uint64_t tag_version(std::string_view tag) const;

  const detail::CachePtr& state() const noexcept { return state_; }

 private:
  template <class Key, class D>
  std::shared_ptr<const detail::DepsSource<Key>> make_deps(D dependencies) const {
    if constexpr (std::is_same_v<D, NoDeps>) {
      return nullptr;
    } else if constexpr (std::is_same_v<D, TagDeps>) {
      std::vector<detail::TagTemplate> templates;
      for (const std::string& text : dependencies.texts) {
        templates.emplace_back(text, std::tuple_size_v<Key>);
        detail::check_tag(*state_, templates.back().sample());
      }
      return std::make_shared<detail::TemplateDeps<Key>>(std::move(templates));
    } else {
      using F = decltype(dependencies.compute);
      return std::make_shared<detail::CallableDeps<Key, F>>(std::move(dependencies.compute));
    }
  }

  template <class Value>
  detail::FunctionPtr add_function(std::string name, CacheableOptions<Value> options) {
    detail::FunctionSettings settings;
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

  detail::CachePtr state_;
};

// Made by Cache::invalidating; movable, ends once.
class Invalidating {
 public:
  Invalidating(Invalidating&& other) noexcept
      : state_(std::move(other.state_)), tags_(std::move(other.tags_)) {}
  Invalidating& operator=(Invalidating&&) = delete;
  ~Invalidating();

 private:
  friend class Cache;
  Invalidating(detail::CachePtr state, std::vector<std::string> tags);
  detail::CachePtr state_;  // empty once moved from
  std::vector<std::string> tags_;
};

}  // namespace zoocache
