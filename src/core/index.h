// From the hash of a key to its entry's number: open addressing, linear probing, 8 bytes a slot.
//
//   | hash, upper 32 bits | number + 2 |      0: empty, 1: deleted
//
// The upper bits of the hash choose the first slot and spare most looks at entries that are not
// meant. What chooses the slot stands in it: a larger array is filled from the old one alone, in
// order, without a look at the entries. Between three quarters and a half of the slots are in use
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

class Index {
 public:
  struct Slots {
    std::size_t capacity;
    std::size_t bytes;              // of this object and its slots
    Slots* next_retired = nullptr;  // for the engine, once the array was replaced
    std::uint64_t retired_era = 0;
    std::atomic<std::uint64_t>* at() noexcept {
      return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1);
    }
    std::size_t first(std::uint64_t hash) const noexcept { return (hash >> 32) * capacity >> 32; }
    std::size_t next(std::size_t at) const noexcept { return at + 1 == capacity ? 0 : at + 1; }
  };

  Index() = default;
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  ~Index() { destroy(slots_.load(std::memory_order_relaxed)); }

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
      const std::uint64_t slot = slots->at()[at].load(std::memory_order_acquire);
      if (slot == kEmpty) return kNoEntry;
      if ((slot ^ hash) >> 32 != 0 || slot == kDeleted) continue;
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
  void insert(std::uint64_t hash, EntryId id) noexcept {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    std::size_t at = slots->first(hash);
    while (slots->at()[at].load(std::memory_order_relaxed) > kDeleted) at = slots->next(at);
    if (slots->at()[at].load(std::memory_order_relaxed) == kEmpty) ++filled_;
    slots->at()[at].store(pack(hash, id), std::memory_order_release);
    ++live_;
    ++version_;
  }

  // REQUIRES: (hash, id) is in the index. Returns a replaced array, as `reserve` does.
  Slots* erase(std::uint64_t hash, EntryId id) noexcept {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    std::size_t at = slots->first(hash);
    while (slots->at()[at].load(std::memory_order_relaxed) != pack(hash, id)) at = slots->next(at);
    // At the end of its run a slot can become empty: nobody's probe goes on behind it.
    if (slots->at()[slots->next(at)].load(std::memory_order_relaxed) == kEmpty) {
      slots->at()[at].store(kEmpty, std::memory_order_release);
      --filled_;
    } else {
      slots->at()[at].store(kDeleted, std::memory_order_release);
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
      const std::uint64_t slot = slots->at()[at].load(std::memory_order_relaxed);
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
  static constexpr std::uint64_t kEmpty = 0;
  static constexpr std::uint64_t kDeleted = 1;
  static constexpr std::uint32_t kFirst = 2;
  static constexpr std::size_t kSmallest = 8;
  static constexpr std::size_t kMostSlots = std::size_t{1} << 32;  // that the hash can choose
  static constexpr std::size_t kSmallestMapped = pages::kHugeBytes / 2;

  static std::uint64_t pack(std::uint64_t hash, EntryId id) noexcept {
    return (hash & ~std::uint64_t{0xFFFFFFFF}) | (id + kFirst);
  }

  // An array of at least `capacity` slots. Large ones are made of huge pages, as far as they come
  // near to filling them, and are as large as those.
  static Slots* make(std::size_t capacity) {
    std::size_t bytes = sizeof(Slots) + capacity * sizeof(std::uint64_t);
    void* memory = nullptr;
    if (bytes < kSmallestMapped) {
      memory = std::calloc(1, bytes);
      if (memory == nullptr) throw std::bad_alloc();
    } else {
      constexpr std::size_t kHuge = pages::kHugeBytes;
      bytes = std::max(bytes, (bytes + kHuge / 2) / kHuge * kHuge);
      memory = pages::map(bytes, true);
    }
    const std::size_t room = (bytes - sizeof(Slots)) / sizeof(std::uint64_t);
    return new (memory) Slots{std::min(room, kMostSlots), bytes};
  }

  Slots* rebuild() {
    if (live_ >= kMostSlots / 4 * 3) throw std::bad_alloc();
    Slots* fresh = make(std::clamp((live_ + 1) * 2, kSmallest, kMostSlots));
    Slots* old = slots_.load(std::memory_order_relaxed);
    for (std::size_t at = 0; old != nullptr && at < old->capacity; ++at) {
      const std::uint64_t slot = old->at()[at].load(std::memory_order_relaxed);
      if (slot <= kDeleted) continue;
      std::size_t to = fresh->first(slot);
      while (fresh->at()[to].load(std::memory_order_relaxed) != kEmpty) to = fresh->next(to);
      fresh->at()[to].store(slot, std::memory_order_relaxed);
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

}  // namespace zoocache::core
