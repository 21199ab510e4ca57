// Who may touch the table of one engine at the same time.
//
// ExclusivePolicy: one thread at a time, which the caller guarantees (CPython's GIL). Nothing is
//   locked, what is removed is given back at once.
// ConcurrentPolicy: any number of readers beside one writer. Readers never lock: entries are
//   replaced whole and freed by epoch-based reclamation.
#pragma once

#include <memory>
#include <mutex>

#include "core/counted.h"
#include "core/reclaim.h"

namespace zoocache::core {

struct ExclusivePolicy {
  static constexpr bool kConcurrent = false;
  struct Mutex {
    void lock() noexcept {}
    void unlock() noexcept {}
  };
  struct Guard {
    Guard() noexcept {}  // user-provided: an unused guard is no warning
  };
  // Of objects that end with the last who refers to them.
  template <class T>
  using Shared = Counted<T>;
};

struct ConcurrentPolicy {
  static constexpr bool kConcurrent = true;
  using Mutex = std::mutex;
  using Guard = ReadGuard;
  template <class T>
  using Shared = std::shared_ptr<T>;
};

}  // namespace zoocache::core
