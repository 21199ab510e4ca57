// Implementation of engine.h: what is done beside the callers' work, a little at every store. Dead
// entries are swept, and what was taken out of the table is freed when no reader can see it.
#pragma once

#include "core/engine.h"

namespace zoocache::core {

// A few entries at every store, and only while an invalidation is newer than the last full pass.
template <class Policy>
void Engine<Policy>::sweep(Removed& removed) {
  constexpr int kAtOnce = 4;
  const Epoch clock = log_.clock();
  if (clock == sweep_done_) return;
  if (sweep_next_ == 0) sweep_started_ = clock;
  for (int step = 0; step < kAtOnce; ++step) {
    if (sweep_next_ >= slab_.bound()) {
      sweep_next_ = 0;
      sweep_done_ = sweep_started_;
      return;
    }
    const EntryId id = sweep_next_;
    if (!slab_.has_chunk(id)) {
      sweep_next_ += static_cast<EntryId>(EntrySlab::kChunkSize);
      continue;
    }
    ++sweep_next_;
    if (!slab_.is_live(id)) continue;
    const FunctionType& function = *functions_[slab_.cold(id).function];
    const Validity validity = inspect(id, function);
    if (validity == Validity::kValid || stale(id, function).kept) continue;
    remove_locked(id, removal_of(validity), removed);
  }
}

template <class Policy>
void Engine<Policy>::retire_slots(IndexSlots* slots) noexcept {
  if (slots == nullptr) return;
  if constexpr (Policy::kConcurrent) {
    slots->retired_era = Reclaimer::era_of_unlinked();
    (retired_slots_ == nullptr ? retired_slots_ : newest_retired_slots_->next_retired) = slots;
    newest_retired_slots_ = slots;
  } else {
    Index::destroy(slots);
  }
}

template <class Policy>
void Engine<Policy>::give_back(EntryId id, DropWords drop, Removed& removed) {
  const HotEntry& hot = slab_.hot(id);
  removed.add(drop, hot.key, hot.value, hot.state.load(std::memory_order_relaxed),
              slab_.cold(id).deps);
  slab_.release(id);
}

// Now and then: the barrier of `advance` is not for every store.
template <class Policy>
void Engine<Policy>::poll(Removed& removed) {
  if constexpr (Policy::kConcurrent) {
    constexpr std::size_t kEvery = 64;
    if (retired_.empty() && retired_slots_ == nullptr) return;
    if (++since_poll_ < std::min(kEvery, retired_.size())) return;
    since_poll_ = 0;
    free_retired(Reclaimer::advance(), removed);
  }
}

// At once: two eras later nobody can see what was removed, if no reader is at work.
template <class Policy>
void Engine<Policy>::settle(Removed& removed) {
  if constexpr (Policy::kConcurrent) {
    for (int turn = 0; turn < 3; ++turn) free_retired(Reclaimer::advance(), removed);
  }
}

// Frees what no reader can see in that era any more.
template <class Policy>
void Engine<Policy>::free_retired(std::uint64_t era, Removed& removed) {
  const auto over = [era](std::uint64_t retired_era) { return retired_era + 2 <= era; };
  while (!retired_.empty() && over(retired_.front().era)) {
    give_back(retired_.front().id, retired_.front().drop, removed);
    retired_.pop_front();
  }
  while (retired_slots_ != nullptr && over(retired_slots_->retired_era)) {
    Index::destroy(std::exchange(retired_slots_, retired_slots_->next_retired));
  }
}

}  // namespace zoocache::core
