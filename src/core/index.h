// From the hash of a key to its entry's number: open addressing, linear probing, 8 bytes a slot, or
// 16 with a hint.
//
//   | hash, upper 32 bits | number + 2 | hint |      0: empty, 1: deleted
//
// The hint is where the entry's key lies, if keys lie elsewhere: the processor fetches it while the
// entry's record, which knows the same, is on its way. Nobody relies on it.
// The upper bits of the hash choose the first slot and spare most looks at entries that are not
// meant. What chooses the slot stands in it: a larger array is filled from the old one alone, in
// order, without a look at the entries. Four sevenths to three quarters of the slots are in use
// while the table grows.
// Thread-safety: `probe` beside one writer under ConcurrentPolicy (inside a Guard); the rest under
// the table lock. A replaced slot array goes to the engine's retired list.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#include "core/entry.h"
#include "core/pages.h"

namespace zoocache::core {

struct IndexSlots {
  std::size_t capacity;
  std::size_t bytes;                   // of this object and its slots
  IndexSlots* next_retired = nullptr;  // for the engine, once the array was replaced
  std::uint64_t retired_era = 0;
  std::atomic<std::uint64_t>* words() noexcept {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1);
  }
  std::size_t first(std::uint64_t hash) const noexcept { return (hash >> 32) * capacity >> 32; }
  std::size_t next(std::size_t at) const noexcept { return at + 1 == capacity ? 0 : at + 1; }
};

template <bool kHinted>
class BasicIndex {
 public:
  using Slots = IndexSlots;

  BasicIndex() = default;
  BasicIndex(const BasicIndex&) = delete;
  BasicIndex& operator=(const BasicIndex&) = delete;
  ~BasicIndex() { destroy(slots_.load(std::memory_order_relaxed)); }

  // Frees a replaced array. nullptr is allowed.
  static void destroy(Slots* slots) noexcept {
    if (slots != nullptr && slots->bytes >= kSmallestMapped) {
      pages::unmap(slots, slots->bytes);
    } else {
      std::free(slots);
    }
  }

  // Calls `matches(id)` for every entry whose slot agrees with `hash`, until it returns true; that
  // entry's number, else kNoEntry.
  template <class Matches>
  EntryId probe(std::uint64_t hash, Matches&& matches) const {
    Slots* slots = slots_.load(std::memory_order_acquire);
    if (slots == nullptr) return kNoEntry;
    for (std::size_t at = slots->first(hash);; at = slots->next(at)) {
      const std::uint64_t slot = slot_at(slots, at).load(std::memory_order_acquire);
      if (slot == kEmpty) return kNoEntry;
      if ((slot ^ hash) >> 32 != 0 || slot == kDeleted) continue;
      if constexpr (kHinted) {
        const std::uint64_t hint = hint_at(slots, at).load(std::memory_order_relaxed);
        __builtin_prefetch(reinterpret_cast<const void*>(hint));
      }
      const auto id = static_cast<EntryId>(static_cast<std::uint32_t>(slot) - kFirst);
      if (matches(id)) return id;
    }
  }

  // Makes room for one more; what it returns (may be nullptr) is to be destroyed when no reader can
  // see it.
  Slots* reserve() {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    if (slots != nullptr && (filled_ + 1) * 4 <= slots->capacity * 3) return nullptr;
    return rebuild();
  }

  // REQUIRES: `reserve` was called since the last insert.
  void insert(std::uint64_t hash, EntryId id, Word hint = 0) noexcept {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    std::size_t at = slots->first(hash);
    while (slot_at(slots, at).load(std::memory_order_relaxed) > kDeleted) at = slots->next(at);
    if (slot_at(slots, at).load(std::memory_order_relaxed) == kEmpty) ++filled_;
    if constexpr (kHinted) hint_at(slots, at).store(hint, std::memory_order_relaxed);
    slot_at(slots, at).store(pack(hash, id), std::memory_order_release);
    ++live_;
    ++version_;
  }

  // REQUIRES: (hash, id) is in the index. Returns a replaced array, as `reserve` does.
  Slots* erase(std::uint64_t hash, EntryId id) noexcept {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    std::size_t at = slots->first(hash);
    while (slot_at(slots, at).load(std::memory_order_relaxed) != pack(hash, id))
      at = slots->next(at);
    // At the end of its run a slot can become empty: nobody's probe goes on behind it.
    if (slot_at(slots, slots->next(at)).load(std::memory_order_relaxed) == kEmpty) {
      slot_at(slots, at).store(kEmpty, std::memory_order_release);
      --filled_;
    } else {
      slot_at(slots, at).store(kDeleted, std::memory_order_release);
    }
    --live_;
    ++version_;
    if (slots->capacity > kSmallest && live_ * 8 < slots->capacity) {
      try {
        return rebuild();
      } catch (const std::bad_alloc&) {
        return nullptr;  // the larger array stays in use
      }
    }
    return nullptr;
  }

  template <class Visit>
  void for_each(Visit&& visit) const {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    for (std::size_t at = 0; slots != nullptr && at < slots->capacity; ++at) {
      const std::uint64_t slot = slot_at(slots, at).load(std::memory_order_relaxed);
      if (slot > kDeleted) {
        visit(static_cast<EntryId>(static_cast<std::uint32_t>(slot) - kFirst));
      }
    }
  }

  // Forgets everything; what it returns is to be destroyed as `reserve` says.
  Slots* reset() noexcept {
    filled_ = 0;
    live_ = 0;
    ++version_;
    return slots_.exchange(nullptr, std::memory_order_acq_rel);
  }

  std::size_t live() const noexcept { return live_; }
  // Changes with every change: tells a comparison that ran foreign code to look again.
  std::uint64_t version() const noexcept { return version_; }
  std::size_t size_bytes() const noexcept {
    const Slots* slots = slots_.load(std::memory_order_relaxed);
    return slots == nullptr ? 0 : slots->bytes;
  }

 private:
  static constexpr std::size_t kWords = kHinted ? 2 : 1;  // a slot
  static constexpr std::size_t kSlotBytes = kWords * sizeof(std::uint64_t);
  static constexpr std::uint64_t kEmpty = 0;
  static constexpr std::uint64_t kDeleted = 1;
  static constexpr std::uint32_t kFirst = 2;
  static constexpr std::size_t kSmallest = 8;
  static constexpr std::size_t kMostSlots = std::size_t{1} << 32;  // that the hash can choose
  static constexpr std::size_t kSmallestMapped = pages::kHugeBytes / 2;

  static std::atomic<std::uint64_t>& slot_at(Slots* slots, std::size_t at) noexcept {
    return slots->words()[at * kWords];
  }
  static std::atomic<std::uint64_t>& hint_at(Slots* slots, std::size_t at) noexcept {
    return slots->words()[at * kWords + 1];
  }

  static std::uint64_t pack(std::uint64_t hash, EntryId id) noexcept {
    return (hash & ~std::uint64_t{0xFFFFFFFF}) | (id + kFirst);
  }

  // An array of at least `capacity` slots. Large ones are made of huge pages, as far as they come
  // near to filling them, and are as large as those.
  static Slots* make(std::size_t capacity) {
    std::size_t bytes = sizeof(Slots) + capacity * kSlotBytes;
    void* memory = nullptr;
    if (bytes < kSmallestMapped) {
      memory = std::calloc(1, bytes);
      if (memory == nullptr) throw std::bad_alloc();
    } else {
      constexpr std::size_t kHuge = pages::kHugeBytes;
      bytes = std::max(bytes, (bytes + kHuge / 2) / kHuge * kHuge);
      memory = pages::map(bytes, true);
    }
    const std::size_t room = (bytes - sizeof(Slots)) / kSlotBytes;
    return new (memory) Slots{std::min(room, kMostSlots), bytes};
  }

  Slots* rebuild() {
    if (live_ >= kMostSlots / 4 * 3) throw std::bad_alloc();
    Slots* fresh = make(std::clamp((live_ + 1) * 7 / 4, kSmallest, kMostSlots));
    Slots* old = slots_.load(std::memory_order_relaxed);
    for (std::size_t at = 0; old != nullptr && at < old->capacity; ++at) {
      const std::uint64_t slot = slot_at(old, at).load(std::memory_order_relaxed);
      if (slot <= kDeleted) continue;
      std::size_t to = fresh->first(slot);
      while (slot_at(fresh, to).load(std::memory_order_relaxed) != kEmpty) to = fresh->next(to);
      slot_at(fresh, to).store(slot, std::memory_order_relaxed);
      if constexpr (kHinted) {
        const std::uint64_t hint = hint_at(old, at).load(std::memory_order_relaxed);
        hint_at(fresh, to).store(hint, std::memory_order_relaxed);
      }
    }
    slots_.store(fresh, std::memory_order_release);
    filled_ = live_;
    ++version_;
    return old;
  }

  std::atomic<Slots*> slots_{nullptr};
  std::size_t filled_ = 0;  // live and deleted
  std::size_t live_ = 0;
  std::uint64_t version_ = 0;
};

using Index = BasicIndex<false>;

}  // namespace zoocache::core
