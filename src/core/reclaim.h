// Epoch-based reclamation: readers announce that they read, writers free what was unlinked only
// when every reader that could have seen it has left.
//
//   reader  (1) announce the era  (2) barrier  (3) read shared pointers  (4) withdraw
//   writer  (a) unlink            (b) barrier  (c) look at announcements (d) free two eras later
//
// Either the writer's (c) sees the announcement (1), or the reader's (3) sees the unlinking (a).
// The reader's barrier is free where membarrier(2) does the work for it from the writer's side;
// elsewhere, and under ThreadSanitizer, which knows neither fences nor membarrier, the
// announcement is a sequentially consistent store. (Fraser, "Practical lock-freedom", 2004.)
// Thread-safety: everything may be called from any thread. A reader must not block for long in a
// guarded section: nothing that is unlinked meanwhile is freed.
#pragma once

#include <atomic>
#include <cstdint>

namespace zoocache::core {

struct alignas(64) ReaderRecord {
  std::atomic<std::uint64_t> era{0};  // 0: not reading
  std::uint32_t depth = 0;            // nested guards of the owning thread
  std::uint32_t number = 0;           // of all records; never changes
  std::atomic<bool> owned{true};
  ReaderRecord* next = nullptr;
};

class Reclaimer {
 public:
  // The calling thread's record; registered at the first use, handed on when the thread ends.
  static ReaderRecord& this_thread() noexcept {
    ReaderRecord* record = current_;
    return record != nullptr ? *record : attach();
  }
  static std::uint64_t era() noexcept { return era_.load(std::memory_order_acquire); }
  // The era of what the calling thread has just unlinked. Whoever announces a later era sees the
  // unlinking: by the barrier of `advance`, or because a writer reads and keeps the era's place in
  // its order of changes.
  static std::uint64_t era_of_unlinked() noexcept {
    return light_ ? era() : era_.fetch_add(0, std::memory_order_acq_rel);
  }
  // Tries to open a new era; what was unlinked in era e may be freed once era() >= e + 2.
  static std::uint64_t advance() noexcept;
  static bool light_readers() noexcept { return light_; }

 private:
  friend class ReadGuard;
  struct Detach;
  static ReaderRecord& attach() noexcept;

  static std::atomic<std::uint64_t> era_;
  static const bool light_;
  static constinit thread_local ReaderRecord* current_;  // known to be constant: read at once
};

// Keeps everything alive that the thread finds while the guard lives. Nests.
class ReadGuard {
 public:
  ReadGuard() noexcept : record_(Reclaimer::this_thread()) {
    if (record_.depth++ != 0) return;
    const std::uint64_t era = Reclaimer::era_.load(std::memory_order_acquire);
    if (Reclaimer::light_) {
      record_.era.store(era, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      record_.era.exchange(era, std::memory_order_seq_cst);
    }
  }
  ~ReadGuard() {
    if (--record_.depth == 0) record_.era.store(0, std::memory_order_release);
  }
  ReadGuard(const ReadGuard&) = delete;
  ReadGuard& operator=(const ReadGuard&) = delete;

 private:
  ReaderRecord& record_;
};

}  // namespace zoocache::core
