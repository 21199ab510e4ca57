#include "lmdb/timed_lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>
#include <thread>

#include "lmdb/file.h"

namespace zoocache::lmdb {

struct TimedLock::Page {
  static constexpr std::uint64_t kMagic = 0x314B434C4F4F5AULL;  // "ZOOLCK1", little endian
  std::uint64_t magic;
  std::atomic<std::int32_t> owner;
  pthread_mutex_t mutex;
};

namespace {

constexpr std::size_t kFileBytes = 4096;
constexpr std::chrono::milliseconds kLongestSleep{5};

void make_mutex(pthread_mutex_t* mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

[[maybe_unused]] timespec deadline_after(std::chrono::nanoseconds span) noexcept {
  timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  at.tv_sec += seconds.count();
  at.tv_nsec += (span - seconds).count();
  if (at.tv_nsec >= 1'000'000'000) {
    at.tv_sec += 1;
    at.tv_nsec -= 1'000'000'000;
  }
  return at;
}

int lock_within(pthread_mutex_t* mutex, std::chrono::nanoseconds span) noexcept {
#if defined(__SANITIZE_THREAD__)
  // It does not know of waits with an own clock, nor that one may take over a dead owner's mutex.
  std::this_thread::sleep_for(
      std::min<std::chrono::nanoseconds>(span, std::chrono::microseconds(200)));
  const int failed = pthread_mutex_trylock(mutex);
  return failed == EBUSY ? ETIMEDOUT : failed;
#else
  const timespec deadline = deadline_after(span);
  return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &deadline);
#endif
}

}  // namespace

TimedLock::TimedLock(const std::string& path) {
  static_assert(sizeof(Page) <= kFileBytes);
  const File file = File::open(path, O_RDWR | O_CREAT);
  if (ftruncate(file.get(), kFileBytes) != 0) fail("cannot make room in " + path, errno);
  void* memory = mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) fail("cannot map " + path, errno);
  page_ = static_cast<Page*>(memory);
  if (page_->magic == Page::kMagic) return;
  make_mutex(&page_->mutex);
  page_->magic = Page::kMagic;
}

TimedLock::~TimedLock() { munmap(page_, kFileBytes); }

bool TimedLock::try_lock_for(std::chrono::nanoseconds span) noexcept {
  int failed = pthread_mutex_trylock(&page_->mutex);
  // (1) the owner unlocks and wakes a waiter  (2) a third takes the mutex, which now names no
  // waiters  (3) the woken one is killed: the others sleep on beside a free mutex. So nobody sleeps
  // for long without a look.
  for (auto left = span; (failed == EBUSY || failed == ETIMEDOUT) && left.count() > 0;) {
    const auto slice = std::min<std::chrono::nanoseconds>(left, kLongestSleep);
    failed = lock_within(&page_->mutex, slice);
    left -= slice;
  }
  if (failed == EOWNERDEAD) {
    // It guards LMDB's transactions, which end with their owner: there is nothing to mend.
    pthread_mutex_consistent(&page_->mutex);
    failed = 0;
  }
  if (failed != 0) return false;
  page_->owner.store(getpid(), std::memory_order_relaxed);
  return true;
}

void TimedLock::unlock() noexcept { pthread_mutex_unlock(&page_->mutex); }

Locked::Locked(TimedLock& lock, std::chrono::nanoseconds patience, const std::string& what)
    : lock_(lock) {
  if (lock_.try_lock_for(patience)) return;
  throw HomeUnreachable(what + " is locked by process " + std::to_string(lock_.owner_pid()) +
                        ", which does not let go; is it stopped? lock_timeout allows for more");
}

int TimedLock::owner_pid() const noexcept { return page_->owner.load(std::memory_order_relaxed); }

}  // namespace zoocache::lmdb
