// One process of a simulation, for tests that watch few of them: its cache, and the home that it
// has. Thread-safety: as redis_sim.h.
#pragma once

#include <zoocache/errors.h>
#include <zoocache/zoocache.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cache_access.h"
#include "core/log.h"
#include "redis_sim.h"

namespace zoocache::testing {

struct SimProcess {
  explicit SimProcess(Network& network)
      : world(network.world),
        cache(Options{.home = std::make_shared<SimHome>(network, thaws_ns, 1000)}) {}
  core::LogHome& home() { return *detail::CacheAccess::engine(cache).log().home(); }
  // Whether the server has acknowledged it.
  bool invalidate(const std::string& tag) {
    try {
      cache.invalidate(tag);
    } catch (const HomeUnreachable&) {
      return false;
    }
    return true;
  }

  World& world;
  std::int64_t thaws_ns = 0;
  Cache cache;
};

// One that counts its loads of one function, which depends on "user:1" for 1.
struct CountingProcess : SimProcess {
  explicit CountingProcess(Network& network) : SimProcess(network) {
    get.emplace(cache.cacheable(
        "get", [this](int) { return ++loads; }, deps("user:{0}")));
  }
  bool hits() {
    const int before = loads;
    (*get)(1);
    return loads == before;
  }

  int loads = 0;
  std::optional<CachedFunction<int, int>> get;
};

}  // namespace zoocache::testing
