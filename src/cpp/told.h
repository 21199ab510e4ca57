// The engine's counts in the words of the public API.
// Thread-safety: pure functions.
#pragma once

#include "core/function.h"
#include "zoocache/stats.h"

namespace zoocache::detail {

inline FunctionStats stats_of(const core::FunctionTotals& totals) {
  FunctionStats stats;
  stats.hits = totals.hits;
  stats.misses = totals.misses;
  stats.misses_invalidated = totals.misses_invalidated;
  stats.misses_expired = totals.misses_expired;
  stats.misses_evicted = totals.misses_evicted;
  stats.misses_not_stored = totals.misses_not_stored;
  stats.loads = totals.loads;
  stats.load_errors = totals.load_errors;
  stats.stores = totals.stores;
  stats.not_stored = totals.not_stored;
  stats.evictions = totals.evictions;
  stats.expirations = totals.expirations;
  stats.dead_entries = totals.dead_entries;
  stats.flights_joined = totals.flights_joined;
  stats.stale_hits = totals.stale_hits;
  stats.refreshes = totals.refreshes;
  stats.l2_hits = totals.level_hits;
  stats.l2_stores = totals.level_stores;
  stats.l2_refusals = totals.level_refusals;
  return stats;
}

}  // namespace zoocache::detail
