// From the hash of a key to its entry's number: open addressing, linear probing, 8 bytes a slot.
//
//   | hash, upper 32 bits | number + 2 |      0: empty, 1: deleted
//
// The lower bits of the hash choose the first slot, the upper ones spare most looks at entries
// that are not meant.
// Thread-safety: `probe` beside one writer under ConcurrentPolicy (inside a Guard); the rest under
// the table lock. A replaced slot array goes to the engine's retired list.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#include "core/entry.h"

namespace zoocache::core {

class Index {
 public:
  struct Slots {
    std::size_t mask;
    Slots* next_retired = nullptr;  // for the engine, once the array was replaced
    std::uint64_t retired_era = 0;
    std::atomic<std::uint64_t>* at() noexcept {
      return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1);
    }
  };

  Index() = default;
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  ~Index() { std::free(slots_.load(std::memory_order_relaxed)); }

  // Calls `matches(id)` for every entry whose slot agrees with `hash`, until it returns true; that
  // entry's number, else kNoEntry.
  template <class Matches>
  EntryId probe(std::uint64_t hash, Matches&& matches) const {
    Slots* slots = slots_.load(std::memory_order_acquire);
    if (slots == nullptr) return kNoEntry;
    const std::size_t mask = slots->mask;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      const std::uint64_t slot = slots->at()[at].load(std::memory_order_acquire);
      if (slot == kEmpty) return kNoEntry;
      if ((slot ^ hash) >> 32 != 0 || slot == kDeleted) continue;
      const auto id = static_cast<EntryId>(static_cast<std::uint32_t>(slot) - kFirst);
      if (matches(id)) return id;
    }
  }

  // Makes room for one more; what it returns (may be nullptr) is to be freed when no reader can
  // see it. `hash_of(id)` gives the hash of an entry.
  template <class HashOf>
  Slots* reserve(HashOf&& hash_of) {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    if (slots != nullptr && (filled_ + 1) * 4 <= (slots->mask + 1) * 3) return nullptr;
    return rebuild(hash_of);
  }

  // REQUIRES: `reserve` was called since the last insert.
  void insert(std::uint64_t hash, EntryId id) noexcept {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    std::size_t at = hash & slots->mask;
    while (slots->at()[at].load(std::memory_order_relaxed) > kDeleted) at = (at + 1) & slots->mask;
    if (slots->at()[at].load(std::memory_order_relaxed) == kEmpty) ++filled_;
    slots->at()[at].store(pack(hash, id), std::memory_order_release);
    ++live_;
    ++version_;
  }

  // REQUIRES: (hash, id) is in the index. Returns a replaced array, as `reserve` does.
  template <class HashOf>
  Slots* erase(std::uint64_t hash, EntryId id, HashOf&& hash_of) noexcept {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    const std::size_t mask = slots->mask;
    std::size_t at = hash & mask;
    while (slots->at()[at].load(std::memory_order_relaxed) != pack(hash, id)) at = (at + 1) & mask;
    // At the end of its run a slot can become empty: nobody's probe goes on behind it.
    if (slots->at()[(at + 1) & mask].load(std::memory_order_relaxed) == kEmpty) {
      slots->at()[at].store(kEmpty, std::memory_order_release);
      --filled_;
    } else {
      slots->at()[at].store(kDeleted, std::memory_order_release);
    }
    --live_;
    ++version_;
    if (mask + 1 > kSmallest && live_ * 8 < mask + 1) {
      try {
        return rebuild(hash_of);
      } catch (const std::bad_alloc&) {
        return nullptr;  // the larger array stays in use
      }
    }
    return nullptr;
  }

  template <class Visit>
  void for_each(Visit&& visit) const {
    Slots* slots = slots_.load(std::memory_order_relaxed);
    for (std::size_t at = 0; slots != nullptr && at <= slots->mask; ++at) {
      const std::uint64_t slot = slots->at()[at].load(std::memory_order_relaxed);
      if (slot > kDeleted) {
        visit(static_cast<EntryId>(static_cast<std::uint32_t>(slot) - kFirst));
      }
    }
  }

  // Forgets everything; what it returns is to be freed as `reserve` says.
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
    return slots == nullptr ? 0 : sizeof(Slots) + (slots->mask + 1) * sizeof(std::uint64_t);
  }

 private:
  static constexpr std::uint64_t kEmpty = 0;
  static constexpr std::uint64_t kDeleted = 1;
  static constexpr std::uint32_t kFirst = 2;
  static constexpr std::size_t kSmallest = 8;

  static std::uint64_t pack(std::uint64_t hash, EntryId id) noexcept {
    return (hash & ~std::uint64_t{0xFFFFFFFF}) | (id + kFirst);
  }

  template <class HashOf>
  Slots* rebuild(HashOf&& hash_of) {
    std::size_t capacity = kSmallest;
    while (capacity < (live_ + 1) * 2) capacity *= 2;
    void* memory = std::calloc(1, sizeof(Slots) + capacity * sizeof(std::uint64_t));
    if (memory == nullptr) throw std::bad_alloc();
    auto* fresh = new (memory) Slots{capacity - 1};
    Slots* old = slots_.load(std::memory_order_relaxed);
    for (std::size_t at = 0; old != nullptr && at <= old->mask; ++at) {
      const std::uint64_t slot = old->at()[at].load(std::memory_order_relaxed);
      if (slot <= kDeleted) continue;
      const auto id = static_cast<EntryId>(static_cast<std::uint32_t>(slot) - kFirst);
      const std::uint64_t hash = hash_of(id);
      std::size_t to = hash & fresh->mask;
      while (fresh->at()[to].load(std::memory_order_relaxed) != kEmpty) to = (to + 1) & fresh->mask;
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
