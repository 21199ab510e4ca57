#include "core/reclaim.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exception>
#include <mutex>

namespace zoocache::core {
namespace {

std::atomic<ReaderRecord*> all_records{nullptr};
std::atomic<std::uint32_t> record_count{0};
std::mutex advance_mutex;  // one thread at a time judges whether the era is over

#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
constexpr bool kThreadSanitizer = false;
#endif

bool register_membarrier() noexcept {
  return !kThreadSanitizer &&
         syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

}  // namespace

std::atomic<std::uint64_t> Reclaimer::era_{1};
const bool Reclaimer::light_ = register_membarrier();
constinit thread_local ReaderRecord* Reclaimer::current_ = nullptr;

// Returns a thread's record when it ends; records are reused and never freed, so that a writer
// may walk the list at any time.
struct Reclaimer::Detach {
  ~Detach() {
    if (current_ != nullptr) {
      current_->era.store(0, std::memory_order_release);
      current_->depth = 0;
      current_->owned.store(false, std::memory_order_release);
      current_ = nullptr;
    }
  }
};

ReaderRecord& Reclaimer::attach() noexcept {
  static thread_local Detach detach;
  static_cast<void>(detach);
  for (ReaderRecord* record = all_records.load(std::memory_order_acquire); record != nullptr;
       record = record->next) {
    bool owned = false;
    if (record->owned.compare_exchange_strong(owned, true, std::memory_order_acq_rel)) {
      current_ = record;
      return *record;
    }
  }
  // A thread without a record cannot read safely: no memory for one ends the program.
  auto* record = new ReaderRecord;  // NOLINT(bugprone-unhandled-exception-at-new)
  record->number = record_count.fetch_add(1, std::memory_order_relaxed);
  record->next = all_records.load(std::memory_order_relaxed);
  while (!all_records.compare_exchange_weak(record->next, record, std::memory_order_release,
                                            std::memory_order_relaxed)) {
  }
  current_ = record;
  return *record;
}

std::uint64_t Reclaimer::advance() noexcept {
  const std::unique_lock lock(advance_mutex, std::try_to_lock);
  const std::uint64_t era = era_.load(std::memory_order_acquire);
  if (!lock.owns_lock()) return era;
  if (light_) {
    // Every running reader passes a full barrier: its announcement is visible, or its next read
    // sees what was unlinked before.
    if (syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) std::terminate();
  }
  for (ReaderRecord* record = all_records.load(std::memory_order_acquire); record != nullptr;
       record = record->next) {
    // Without membarrier: reading by a write either sees the announcement, or the reader's own
    // exchange comes later and sees everything that was unlinked before this.
    const std::uint64_t seen = light_ ? record->era.load(std::memory_order_seq_cst)
                                      : record->era.fetch_add(0, std::memory_order_seq_cst);
    if (seen != 0 && seen != era) return era;
  }
  // Read and write in one: takes over what threads unlinked in this era (`era_of_unlinked`).
  era_.fetch_add(1, std::memory_order_seq_cst);
  return era + 1;
}

}  // namespace zoocache::core
