// A mutex between processes that gives up in time and survives its owners.
//
// LMDB's own write lock waits for ever, also for an owner that was stopped (SIGSTOP). Who writes
// takes this one first, so that LMDB's is free, or its owner died.
//
//   file   | magic | mutex (robust, shared) | owner's pid |      one page, mapped by every process
//
// Thread-safety: everything from any thread and process.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace zoocache::lmdb {

class TimedLock {
 public:
  // Maps the file, which is made if it is not there. REQUIRES: no other process opens it meanwhile
  // (the folder is locked). Throws HomeUnreachable.
  explicit TimedLock(const std::string& path);
  ~TimedLock();
  TimedLock(const TimedLock&) = delete;
  TimedLock& operator=(const TimedLock&) = delete;

  // Waits at most so long; 0: does not wait.
  bool try_lock_for(std::chrono::nanoseconds span) noexcept;
  void unlock() noexcept;
  // The process that has it, or had it last; for messages.
  int owner_pid() const noexcept;

 private:
  struct Page;
  Page* page_ = nullptr;
};

// The lock while the scope lives.
class Locked {
 public:
  // Throws HomeUnreachable if it cannot be had in time, with the name of who has it.
  Locked(TimedLock& lock, std::chrono::nanoseconds patience, const std::string& what);
  ~Locked() { lock_.unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  TimedLock& lock_;
};

}  // namespace zoocache::lmdb
