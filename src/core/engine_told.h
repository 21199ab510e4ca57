// Implementation of engine.h: what it remembers and counts for those who look at it.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/engine.h"

namespace zoocache::core {

template <class Policy>
void Engine<Policy>::record(const FunctionType& function, EntryId id, Removal reason) {
  if (reason == Removal::kRemoved) {  // what is cleared away died of that, or was dead before
    const Validity validity = inspect(id, function);
    if (validity == Validity::kInvalidated) reason = Removal::kInvalidated;
    if (validity == Validity::kExpired) reason = Removal::kExpired;
  }
  Obituary obituary;
  obituary.function = function.tag_id;
  obituary.hash = slab_.hot(id).hash;
  obituary.reason = reason;
  obituary.time_ms = log_.now_ms();
  if (reason == Removal::kInvalidated) {
    const TagNode& killer = killer_of(function, id);
    obituary.epoch = killer.version.load(std::memory_order_acquire);
    if (obituary.epoch > slab_.cold(id).born) log_.note_death(obituary.epoch);
    obituary.tag_hash = killer.hash;
    const bool is_function = killer.parent != nullptr && killer.parent->parent == nullptr;
    obituary.tag =
        !killer.hidden() ? killer.text() : std::string(is_function ? kByFunction : kByInnerKey);
  }
  obituaries_.add(std::move(obituary));
}

template <class Policy>
void Engine<Policy>::note_not_stored(const FunctionType& function, std::uint64_t hash,
                                     InvalidationLog::Standing standing) {
  using Standing = InvalidationLog::Standing;
  note_not_stored(function, hash,
                  standing == Standing::kCurrent ? Removal::kUnwanted
                  : standing == Standing::kHeld  ? Removal::kHeld
                                                 : Removal::kOutdated);
}

template <class Policy>
void Engine<Policy>::note_not_stored(const FunctionType& function, std::uint64_t hash,
                                     Removal why) {
  Obituary obituary;
  obituary.function = function.tag_id;
  obituary.hash = hash;
  obituary.reason = why;
  obituary.time_ms = log_.now_ms();
  const Lock lock(mutex_);
  obituaries_.add(std::move(obituary));
}

template <class Policy>
Obituary Engine<Policy>::obituary(const FunctionType& function, std::uint64_t hash, bool* found) {
  const Lock lock(mutex_);
  const Obituary* one = obituaries_.find(function.tag_id, hash);
  *found = one != nullptr;
  return one == nullptr ? Obituary{} : *one;
}

template <class Policy>
MissReason Engine<Policy>::miss_reason(const FunctionType& function, std::uint64_t hash,
                                       Validity found) const {
  if (found == Validity::kInvalidated) return MissReason::kInvalidated;
  if (found == Validity::kExpired) return MissReason::kExpired;
  const Lock lock(mutex_);
  const Obituary* one = obituaries_.find(function.tag_id, hash);
  if (one == nullptr) return MissReason::kNeverLoaded;
  switch (one->reason) {
    case Removal::kInvalidated:
      return MissReason::kInvalidated;
    case Removal::kExpired:
      return MissReason::kExpired;
    case Removal::kEvicted:
      return MissReason::kEvicted;
    case Removal::kReplaced:
    case Removal::kRemoved:
      return MissReason::kNeverLoaded;
    case Removal::kOutdated:
    case Removal::kHeld:
    case Removal::kUnwanted:
    case Removal::kNoRoom:
    case Removal::kFailed:
      break;
  }
  return MissReason::kNotStored;
}

template <class Policy>
std::vector<typename Engine<Policy>::FunctionReport> Engine<Policy>::reports() const {
  std::vector<FunctionReport> reports;
  {
    const Lock lock(mutex_);
    for (const auto& function : functions_) {
      if (function == nullptr) continue;
      FunctionReport report{.id = function->tag_id,
                            .name = function->name,
                            .entries = function->index.live(),
                            .totals = {},
                            .loads = function->counters.load_times.totals()};
      report.totals.add(function->hits.sum(), function->counters);
      reports.push_back(std::move(report));
    }
  }
  std::sort(reports.begin(), reports.end(),
            [](const auto& left, const auto& right) { return left.id < right.id; });
  return reports;
}

template <class Policy>
FunctionTotals Engine<Policy>::totals() const {
  const Lock lock(mutex_);
  FunctionTotals totals = removed_totals_;
  for (const auto& function : functions_) {
    if (function != nullptr) totals.add(function->hits.sum(), function->counters);
  }
  return totals;
}

template <class Policy>
std::map<std::uint64_t, std::size_t> Engine<Policy>::entries_below(const TagPath& path) const {
  const auto is_below = [&path](const TagNode* node) {
    for (; node->parent != nullptr; node = node->parent) {
      if (node->hash == path.back().hash && node->text() == path.text()) return true;
    }
    return false;
  };
  std::map<std::uint64_t, std::size_t> found;
  const Lock lock(mutex_);
  for (EntryId id = 0; id < slab_.bound(); ++id) {
    if (!slab_.has_chunk(id)) {
      id += static_cast<EntryId>(EntrySlab::kChunkSize - 1);
      continue;
    }
    if (!slab_.is_live(id)) continue;
    const auto nodes = slab_.cold(id).deps.nodes();
    if (std::none_of(nodes.begin(), nodes.end(), is_below)) continue;
    const FunctionType& function = *functions_[slab_.cold(id).function];
    if (inspect(id, function) == Validity::kValid) ++found[function.tag_id];
  }
  return found;
}

}  // namespace zoocache::core
