// The engine behind a Cache, for tests that move its clock or look at its records.
#pragma once

#include <zoocache/cache.h>

#include "cpp/state.h"

namespace zoocache::detail {

struct CacheAccess {
  static core::Engine<Policy>& engine(Cache& cache) { return cache.state_->engine; }
};

}  // namespace zoocache::detail
