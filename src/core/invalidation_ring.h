// The newest invalidations, in order: what exact reclamation, fast revalidation and `explain` read.
//
//   slots   | e=7 h=A | e=8 h=B | e=8 h=C | e=9 h=A |      e: epoch, h: hash of the tag
//               ^----------------------------- prev         one call of several tags shares e
//   heads[hash] -> newest sequence number with that hash's bucket; `prev` chains older ones.
//
// A chain ends where its sequence number has left the window, so nothing is ever removed.
// Thread-safety: `append`, `newest`, `floor` and `find` need the log's mutex; `any_since` may run
// beside `append` from any thread (model: bloom.pml).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "core/epoch.h"

namespace zoocache::core {

class InvalidationRing {
 public:
  struct Note {
    std::uint32_t origin = 0;  // the caller's own number of where it was called; 0: not told
    std::int64_t time_ms = 0;  // monotonic
  };

  // REQUIRES: `capacity` is a power of two.
  explicit InvalidationRing(std::size_t capacity)
      : mask_(capacity - 1),
        slots_(zeroed<Slot>(capacity)),
        heads_(zeroed<std::uint64_t>(capacity)) {}

  std::size_t capacity() const noexcept { return mask_ + 1; }

  // Newer than everything in the ring, or equal to the newest.
  void append(Epoch epoch, std::uint64_t hash, Note note) noexcept {
    const std::uint64_t sequence = head_.load(std::memory_order_relaxed) + 1;
    Slot& slot = slots_[sequence & mask_];
    if (sequence > mask_ + 1) floor_ = slot.epoch.load(std::memory_order_relaxed);
    // A reader of this slot must not take the old epoch for the new hash, or the reverse:
    // (1) no epoch, (2) the hash, (3) the epoch, (4) the head.
    slot.epoch.store(0, std::memory_order_relaxed);
    slot.hash.store(hash, std::memory_order_release);
    slot.epoch.store(epoch, std::memory_order_release);
    std::uint64_t& bucket = heads_[hash & mask_];
    slot.previous = bucket;
    slot.note = note;
    bucket = sequence;
    head_.store(sequence, std::memory_order_release);
  }

  // Newest epoch that names `hash`; 0 if none in the window does.
  Epoch newest(std::uint64_t hash) const noexcept {
    const Slot* slot = newest_slot(hash);
    return slot == nullptr ? 0 : slot->epoch.load(std::memory_order_relaxed);
  }

  // What was noted with the invalidation (`epoch`, `hash`); nullptr when it left the window.
  const Note* find(Epoch epoch, std::uint64_t hash) const noexcept {
    for (std::uint64_t at = heads_[hash & mask_]; in_window(at); at = slots_[at & mask_].previous) {
      const Slot& slot = slots_[at & mask_];
      if (slot.hash.load(std::memory_order_relaxed) == hash &&
          slot.epoch.load(std::memory_order_relaxed) == epoch) {
        return &slot.note;
      }
    }
    return nullptr;
  }

  // Everything at or below it may have been forgotten.
  Epoch floor() const noexcept { return floor_; }

  enum class Answer { kNone, kSome, kUnknown };

  // Whether `touches(hash)` holds for an invalidation in (since, now]; looks at no more than
  // `kMaxScan` records and answers kUnknown beyond, or when a slot was overwritten meanwhile.
  // REQUIRES: `now` was loaded from the clock before, since <= now.
  template <class Touches>
  Answer any_since(Epoch since, Touches&& touches) const noexcept {
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    Epoch expected = ~Epoch{0};  // epochs fall, or stay, on the way back
    for (std::uint64_t step = 0; step < head && step < kMaxScan && step <= mask_; ++step) {
      const Slot& slot = slots_[(head - step) & mask_];
      const Epoch before = slot.epoch.load(std::memory_order_acquire);
      const std::uint64_t hash = slot.hash.load(std::memory_order_acquire);
      const Epoch after = slot.epoch.load(std::memory_order_relaxed);
      if (before != after || before == 0 || before > expected) return Answer::kUnknown;
      if (before <= since) return Answer::kNone;
      if (touches(hash)) return Answer::kSome;
      expected = before;
    }
    // Every record there ever was has been seen, unless the window turned over since the head was
    // read: then all slots were younger and fell just the same. Less than full, not equal: the
    // next append may be at work on the oldest slot already.
    const bool whole = head <= kMaxScan && head_.load(std::memory_order_relaxed) < mask_ + 1;
    return whole ? Answer::kNone : Answer::kUnknown;
  }

  static constexpr std::uint64_t kMaxScan = 256;

 private:
  struct Slot {
    std::atomic<Epoch> epoch;
    std::atomic<std::uint64_t> hash;
    std::uint64_t previous;
    Note note;
  };
  struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };
  template <class T>
  using Array = std::unique_ptr<T[], Free>;

  // calloc leaves untouched pages to the operating system: an idle cache costs next to nothing.
  template <class T>
  static Array<T> zeroed(std::size_t count) {
    void* memory = std::calloc(count, sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    return Array<T>(static_cast<T*>(memory));
  }

  bool in_window(std::uint64_t sequence) const noexcept {
    return sequence != 0 && sequence + mask_ >= head_.load(std::memory_order_relaxed);
  }

  const Slot* newest_slot(std::uint64_t hash) const noexcept {
    for (std::uint64_t at = heads_[hash & mask_]; in_window(at); at = slots_[at & mask_].previous) {
      const Slot& slot = slots_[at & mask_];
      if (slot.hash.load(std::memory_order_relaxed) == hash) return &slot;
    }
    return nullptr;
  }

  const std::uint64_t mask_;
  Array<Slot> slots_;
  Array<std::uint64_t> heads_;
  std::atomic<std::uint64_t> head_{0};
  Epoch floor_ = 0;
};

}  // namespace zoocache::core
