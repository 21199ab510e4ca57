// The ways to answer that are compared: no cache, a small, honest TTL cache, zoocache.
//
// The TTL cache gives the TTL idea its best case: it never evicts, nested pages do not add up their
// ages (a page expires with the oldest thing that it shows), and functions without dependencies,
// whose answers never change, never expire. As in the usual TTL caches, two callers that miss
// together both load.
// Thread-safety: everything may be called from any thread.
#pragma once

#include <zoocache/zoocache.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "pages.h"

namespace departures {

// Seconds since 2013-01-01 00:00 UTC, moved by whoever drives the replay.
using ReplayClock = std::atomic<double>;

class NoCache {
 public:
  template <class Loader, class Deps>
  auto cached(const char*, Loader loader, Deps) {
    return [loader](const auto&... args) -> PagePtr {
      return std::make_shared<const Page>(loader(args...));
    };
  }
  void invalidate(const std::vector<std::string>&) {}
};

class TtlCache {
 public:
  TtlCache(double ttl_s, const ReplayClock& clock) : ttl_s_(ttl_s), clock_(clock) {}

  template <class Loader, class Deps>
  auto cached(const char*, Loader loader, Deps) {
    using Lasting = std::is_same<Deps, zoocache::NoDeps>;
    return [this, loader](const auto&... args) {
      return this->template call<Lasting::value>(loader, args...);
    };
  }
  void invalidate(const std::vector<std::string>&) {}

 private:
  struct Entry {
    double expiry_s;
    PagePtr page;
  };
  template <class Key>
  struct Store {
    std::mutex mutex;  // guards entries
    std::map<Key, Entry> entries;
  };

  // Keys of equal types must not mix: one store for each loader's type, of which each is different.
  template <class Loader, class... Args>
  Store<std::tuple<Args...>>& store() {
    const std::lock_guard lock(mutex_);
    auto& found = stores_[&kTag<Loader>];
    if (found == nullptr) found = std::make_shared<Store<std::tuple<Args...>>>();
    return *static_cast<Store<std::tuple<Args...>>*>(found.get());
  }

  template <bool kLasting, class Loader, class... Args>
  PagePtr call(const Loader& loader, const Args&... args) {
    auto& store = this->store<Loader, Args...>();
    const std::tuple<Args...> key(args...);
    {
      const std::lock_guard lock(store.mutex);
      const auto found = store.entries.find(key);
      if (found != store.entries.end() && found->second.expiry_s > clock_.load()) {
        limit_outer(found->second.expiry_s);
        return found->second.page;
      }
    }
    // Age counts from before the load, for that is when its data may have been read.
    constexpr double kNever = std::numeric_limits<double>::infinity();
    double expiry_s = kLasting ? kNever : clock_.load() + ttl_s_;
    double* const outer = std::exchange(running_, &expiry_s);
    PagePtr page;
    try {
      page = std::make_shared<const Page>(loader(args...));
    } catch (...) {
      running_ = outer;
      throw;
    }
    running_ = outer;
    limit_outer(expiry_s);
    const std::lock_guard lock(store.mutex);
    store.entries.insert_or_assign(key, Entry{expiry_s, page});
    return page;
  }

  static void limit_outer(double expiry_s) {
    if (running_ != nullptr) *running_ = std::min(*running_, expiry_s);
  }

  template <class>
  static constexpr char kTag = 0;
  static inline thread_local double* running_ = nullptr;  // expiry of the load that runs here

  const double ttl_s_;
  const ReplayClock& clock_;
  std::mutex mutex_;  // guards stores_
  std::map<const void*, std::shared_ptr<void>> stores_;
};

class Zoocache {
 public:
  // With `drop_every` = n every nth invalidation is left out on purpose.
  explicit Zoocache(std::int64_t drop_every) : drop_every_(drop_every) {}

  template <class Loader, class Deps>
  auto cached(const char* name, Loader loader, Deps deps) {
    return cache_.cacheable(name, std::move(loader), std::move(deps));
  }
  void invalidate(const std::vector<std::string>& tags) {
    if (drop_every_ == 0 || ++calls_ % drop_every_ != 0) cache_.invalidate(tags);
  }

 private:
  zoocache::Cache cache_;
  const std::int64_t drop_every_;
  std::int64_t calls_ = 0;  // by the writer alone
};

}  // namespace departures
