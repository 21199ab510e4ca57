// The maps that the C++ API is measured beside, each behind the same four functions:
//
//   visit(key, use)   calls use(const std::uint64_t&) on the value, copying nothing
//   get(key)          a shared_ptr to the value, as CachedFunction::get gives
//   insert(key)       stores a value that the key has not had before
//   erase_below()     drops everything, as the invalidation of a common parent does
//
// Keys and values are 64-bit numbers. Maps hold shared_ptrs where `get` is measured, so that all
// hand out the same thing; they hold the plain number where `visit` is.
// Thread-safety: visit and get from any thread, as each map promises.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "zoocache/zoocache.h"

#ifdef ZOOCACHE_BENCH_TBB
#include <oneapi/tbb/concurrent_hash_map.h>
#endif
#ifdef ZOOCACHE_BENCH_BOOST
#include <boost/unordered/concurrent_flat_map.hpp>
#endif
#ifdef ZOOCACHE_BENCH_ABSL
#include <absl/container/flat_hash_map.h>
#endif

namespace bench {

using Key = std::uint64_t;
using Number = std::uint64_t;
using Shared = std::shared_ptr<const Number>;

enum class Held { kNumber, kShared };

template <Held kHeld>
struct ValueOf {
  using Type = Number;
  static Type make(Key key) { return key; }
  static const Number& read(const Type& value) { return value; }
};
template <>
struct ValueOf<Held::kShared> {
  using Type = Shared;
  static Type make(Key key) { return std::make_shared<const Number>(key); }
  static const Number& read(const Type& value) { return *value; }
};

// Values are always shared; both ways of reading go to the same table.
class ZoocacheStore {
 public:
  static constexpr const char* kName = "zoocache";

  explicit ZoocacheStore(std::size_t entries)
      : cache_(options(entries)), function_(cache_.cacheable("f", &ZoocacheStore::load)) {}

  template <class Use>
  void visit(Key key, Use&& use) {
    function_.visit(key, std::forward<Use>(use));
  }
  Shared get(Key key) { return function_.get(key); }
  void insert(Key key) { function_.get(key); }

 private:
  static Number load(Key key) { return key; }
  static zoocache::Options options(std::size_t entries) {
    zoocache::Options made;
    made.max_entries = std::max<std::size_t>(entries * 2, 1'000'000);
    return made;
  }

  zoocache::Cache cache_;
  decltype(std::declval<zoocache::Cache&>().cacheable("f", &ZoocacheStore::load)) function_;
};

// Every entry depends on a tag of its own below "parent".
class TaggedZoocacheStore {
 public:
  static constexpr const char* kName = "zoocache";

  explicit TaggedZoocacheStore(std::size_t entries)
      : cache_(options(entries)),
        function_(cache_.cacheable(
            "f", [](Key key) { return Number{key}; }, zoocache::deps("parent:{0}"))) {}

  void insert(Key key) { function_.get(key); }
  void erase_below() { cache_.invalidate("parent"); }

 private:
  static zoocache::Options options(std::size_t entries) {
    zoocache::Options made;
    made.max_entries = std::max<std::size_t>(entries * 2, 1'000'000);
    return made;
  }

  zoocache::Cache cache_;
  zoocache::CachedFunction<Number, Key> function_;
};

#ifdef ZOOCACHE_BENCH_TBB
template <Held kHeld>
class TbbStore {
 public:
  static constexpr const char* kName = "tbb::concurrent_hash_map";
  using Value = ValueOf<kHeld>;

  explicit TbbStore(std::size_t entries) : map_(entries) {}

  template <class Use>
  void visit(Key key, Use&& use) {
    typename Map::const_accessor found;
    if (map_.find(found, key)) use(Value::read(found->second));
  }
  Shared get(Key key) {
    typename Map::const_accessor found;
    return map_.find(found, key) ? Shared(found->second) : Shared();
  }
  void insert(Key key) { map_.insert({key, Value::make(key)}); }

 private:
  using Map = oneapi::tbb::concurrent_hash_map<Key, typename Value::Type>;
  Map map_;
};
#endif

#ifdef ZOOCACHE_BENCH_BOOST
template <Held kHeld>
class BoostStore {
 public:
  static constexpr const char* kName = "boost::concurrent_flat_map";
  using Value = ValueOf<kHeld>;

  explicit BoostStore(std::size_t entries) : map_(entries) {}

  template <class Use>
  void visit(Key key, Use&& use) {
    map_.cvisit(key, [&](const auto& entry) { use(Value::read(entry.second)); });
  }
  Shared get(Key key) {
    Shared found;
    map_.cvisit(key, [&](const auto& entry) { found = entry.second; });
    return found;
  }
  void insert(Key key) { map_.emplace(key, Value::make(key)); }
  void erase_below() {
    map_.erase_if([](const auto&) { return true; });
  }

 private:
  boost::concurrent_flat_map<Key, typename Value::Type> map_;
};
#endif

#ifdef ZOOCACHE_BENCH_ABSL
template <Held kHeld>
class AbslStore {
 public:
  static constexpr const char* kName = "absl::flat_hash_map + mutex";
  using Value = ValueOf<kHeld>;

  explicit AbslStore(std::size_t entries) { map_.reserve(entries); }

  template <class Use>
  void visit(Key key, Use&& use) {
    const std::lock_guard lock(mutex_);
    const auto found = map_.find(key);
    if (found != map_.end()) use(Value::read(found->second));
  }
  Shared get(Key key) {
    const std::lock_guard lock(mutex_);
    const auto found = map_.find(key);
    return found != map_.end() ? Shared(found->second) : Shared();
  }
  void insert(Key key) {
    const std::lock_guard lock(mutex_);
    map_.emplace(key, Value::make(key));
  }
  void erase_below() {
    const std::lock_guard lock(mutex_);
    absl::erase_if(map_, [](const auto&) { return true; });
  }

 private:
  std::mutex mutex_;  // guards: map_
  absl::flat_hash_map<Key, typename Value::Type> map_;
};
#endif

// Keys are spread over 64 bits, so that no map profits from numbers that follow one another.
inline Key spread(std::uint64_t number) {
  number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9ULL;
  number = (number ^ (number >> 27)) * 0x94D049BB133111EBULL;
  return number ^ (number >> 31);
}

enum class Choice { kUniform, kZipf };

// `count` keys out of `entries`, from a seed. Zipf: the key of rank r with weight 1 / r ^ 0.99.
inline std::vector<Key> choose_keys(Choice choice, std::size_t entries, std::size_t count,
                                    std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Key> keys(count);
  if (choice == Choice::kUniform) {
    std::uniform_int_distribution<std::size_t> rank(0, entries - 1);
    for (Key& key : keys) key = spread(rank(random));
    return keys;
  }
  std::vector<double> sums(entries);
  double sum = 0;
  for (std::size_t rank = 0; rank < entries; ++rank) {
    sums[rank] = sum += 1 / std::pow(static_cast<double>(rank + 1), 0.99);
  }
  std::uniform_real_distribution<double> place(0, sum);
  for (Key& key : keys) {
    const auto found = std::upper_bound(sums.begin(), sums.end() - 1, place(random));
    key = spread(static_cast<std::uint64_t>(found - sums.begin()));
  }
  return keys;
}

}  // namespace bench
