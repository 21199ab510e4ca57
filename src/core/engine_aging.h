// Implementation of engine.h: entries past their time, or soon to be; see AgingOptions.
#pragma once

#include "core/engine.h"

namespace zoocache::core {

template <class Policy>
const TagNode& Engine<Policy>::killer_of(const FunctionType& function, EntryId id) const noexcept {
  const ColdEntry& cold = slab_.cold(id);
  const TagNode* killer = cold.deps.find_killer(cold.born);
  if (killer != nullptr) return *killer;
  return is_current(log_.root(), cold.born) ? *function.node : *log_.root();
}

template <class Policy>
Stale Engine<Policy>::stale(EntryId id, const FunctionType& function) const noexcept {
  const AgingOptions& aging = function.options.aging;
  Stale stale;
  if (aging.keep_s() == 0) return stale;
  const ColdEntry& cold = slab_.cold(id);
  const std::int64_t now = now_ns();
  const std::int64_t expires = cold.expires_ns.load(std::memory_order_relaxed);
  if (expires != 0 && now > expires) stale.age_ns = now - expires;
  const Epoch clock = log_.clock();
  const Epoch validated = state::validated(slab_.hot(id).state.load(std::memory_order_relaxed));
  stale.invalidated =
      validated < clock && !(is_current(function.node, cold.born) &&
                             cold.deps.is_current(cold.born, validated, clock, log_.ring()));
  if (stale.invalidated) {
    if (!aging.stale_while_revalidate && !aging.stale_if_error_invalidated) return stale;
    const TagNode& killer = killer_of(function, id);
    const auto note = log_.note(killer.version.load(std::memory_order_acquire), killer.hash);
    if (note.time_ms == 0) return stale;  // long forgotten
    stale.age_ns = std::max(stale.age_ns, now - note.time_ms * 1'000'000);
  }
  stale.kept = static_cast<double>(stale.age_ns) <= aging.keep_s() * 1e9;
  return stale;
}

template <class Policy>
bool Engine<Policy>::wants_refresh(EntryId id, const FunctionType& function) noexcept {
  const double ahead_s = function.options.aging.refresh_ahead_s;
  if (ahead_s == 0) return false;
  const std::int64_t expires = slab_.cold(id).expires_ns.load(std::memory_order_relaxed);
  if (expires == 0 || static_cast<double>(expires - now_ns()) > ahead_s * 1e9) return false;
  const std::uint64_t seen = slab_.hot(id).state.load(std::memory_order_relaxed);
  return (seen & state::kRefreshing) == 0 && begin_refresh(id);
}

template <class Policy>
void Engine<Policy>::bury(FunctionType& function, EntryId id, Word value, Validity validity,
                          Removed& removed) {
  if (stale(id, function).kept) return;
  remove(function, id, value, removal_of(validity), removed);
}

}  // namespace zoocache::core
