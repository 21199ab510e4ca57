// S3-FIFO: which entry goes when there is no room.
//
//   insert ──> small (a tenth) ── not used ──> out, its hash to the ghost queue
//                 └── used ──> main ── used: round again, frequency - 1 ── not used ──> out
//   insert of a key that the ghost queue remembers ──> main
//
// A hit only sets a two-bit counter; nothing moves. Dead entries that are met go first. (Yang,
// Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023.)
// Thread-safety: under the table lock; readers change frequencies meanwhile.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/entry.h"
#include "core/ghost.h"
#include "core/slab.h"

namespace zoocache::core {

class EvictionQueue {
 public:
  EvictionQueue(EntrySlab& slab, std::size_t max_entries, std::size_t max_bytes)
      : slab_(slab), max_entries_(max_entries), max_bytes_(max_bytes) {}

  std::size_t entries() const noexcept { return small_.count + main_.count; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::size_t max_entries() const noexcept { return max_entries_; }
  std::size_t max_bytes() const noexcept { return max_bytes_; }
  bool has_room(std::size_t bytes) const noexcept {
    return entries() < max_entries_ && bytes <= max_bytes_ - std::min(bytes_, max_bytes_);
  }

  // REQUIRES: the entry's hash, function and size are set.
  void insert(EntryId id) noexcept {
    const bool known = ghost_.take(ghost_hash(id), ghost_window());
    push(known ? main_ : small_, id, known ? Queue::kMain : Queue::kSmall);
    bytes_ += slab_.cold(id).size_bytes;
  }

  void remove(EntryId id) noexcept {
    ColdEntry& cold = slab_.cold(id);
    unlink(cold.queue == Queue::kMain ? main_ : small_, id);
    bytes_ -= cold.size_bytes;
  }

  // The entry that has to go, still in the queue; kNoEntry if the queue is empty. Promotes and
  // turns round what it passes. `is_dead(id)`: expired or invalidated.
  template <class IsDead>
  EntryId choose(IsDead&& is_dead) {
    // A tenth of what there is, not of `max_entries`: the bound that is met may be one in bytes.
    const std::size_t small_most = small_share(entries());
    // Readers raise frequencies beside us: the bound keeps a storm of hits from turning the main
    // queue for ever.
    for (std::size_t round = 4 * entries() + 4; entries() > 0; round -= round > 0 ? 1 : 0) {
      const bool small_turn = main_.count == 0 || small_.count > small_most;
      List& list = small_turn ? small_ : main_;
      const EntryId id = list.oldest;
      const bool last = round == 0 || is_dead(id);
      const std::uint64_t frequency =
          slab_.hot(id).state.load(std::memory_order_relaxed) & state::kFrequency;
      if (last || frequency == 0) {
        if (!last && small_turn) ghost_.add(ghost_hash(id), ghost_window());
        return id;
      }
      unlink(list, id);
      push(main_, id, Queue::kMain);
      set_frequency(id, small_turn ? 0 : frequency - 1);
    }
    return kNoEntry;
  }

  std::size_t ghost_bytes() const noexcept { return ghost_.size_bytes(); }

 private:
  struct List {
    EntryId newest = kNoEntry;
    EntryId oldest = kNoEntry;
    std::size_t count = 0;
  };

  static std::size_t small_share(std::size_t entries) noexcept {
    return std::max<std::size_t>(1, entries / 10);
  }
  // As many as the main queue's share.
  std::size_t ghost_window() const noexcept {
    return entries() - std::min(entries(), small_share(entries()));
  }
  // Functions with the same arguments have the same hashes of keys, and share this queue.
  std::uint64_t ghost_hash(EntryId id) const noexcept {
    return slab_.hot(id).hash ^ (slab_.cold(id).function * 0x9E3779B97F4A7C15ULL);
  }

  void push(List& list, EntryId id, Queue queue) noexcept {
    ColdEntry& cold = slab_.cold(id);
    cold.queue = queue;
    cold.newer = kNoEntry;
    cold.older = list.newest;
    (list.newest == kNoEntry ? list.oldest : slab_.cold(list.newest).newer) = id;
    list.newest = id;
    ++list.count;
  }

  void unlink(List& list, EntryId id) noexcept {
    const ColdEntry& cold = slab_.cold(id);
    (cold.newer == kNoEntry ? list.newest : slab_.cold(cold.newer).older) = cold.older;
    (cold.older == kNoEntry ? list.oldest : slab_.cold(cold.older).newer) = cold.newer;
    --list.count;
  }

  void set_frequency(EntryId id, std::uint64_t frequency) noexcept {
    std::atomic<std::uint64_t>& state = slab_.hot(id).state;
    std::uint64_t seen = state.load(std::memory_order_relaxed);
    while (!state.compare_exchange_weak(seen, (seen & ~state::kFrequency) | frequency,
                                        std::memory_order_relaxed)) {
    }
  }

  EntrySlab& slab_;
  const std::size_t max_entries_;
  const std::size_t max_bytes_;
  List small_;
  List main_;
  std::size_t bytes_ = 0;
  GhostQueue ghost_;
};

}  // namespace zoocache::core
