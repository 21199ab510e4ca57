// Answers tools that ask, through the home, what is in a cache's memory: on the cache's workers,
// one question at a time.
// Thread-safety: as MemoryTeller.
#pragma once

#include <atomic>

#include "core/log.h"

namespace zoocache::detail {

class CacheState;

class Teller final : public core::MemoryTeller {
 public:
  explicit Teller(CacheState& cache) noexcept : cache_(cache) {}
  void inspect(const core::MemoryQuestion& question) noexcept override;

 private:
  CacheState& cache_;
  std::atomic<bool> is_busy_{false};
};

}  // namespace zoocache::detail
