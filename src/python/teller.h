// Answers tools that ask, through the home, what is in a cache's memory.
//
// The question comes on a thread of the home, which must not wait for the GIL. So a thread of its
// own takes it for each answer; questions come seldom (RedisOptions::inspect_interval_s).
//   - The engine may be gone when that thread has the GIL: it is looked for by its number.
//   - Who takes the GIL while the interpreter ends never gets it. The interpreter's exit waits for
//     threads that began before, and none begins after.
//   - A child of fork() has none of its parent's threads, and does not count them.
// Thread-safety: `inspect` from any thread, the rest under the GIL.
#pragma once

#include <cstdint>

#include "core/log.h"

namespace zoocache::python {

struct EngineState;

class Teller final : public core::MemoryTeller {
 public:
  explicit Teller(EngineState& state);
  void leave();  // the engine is not to be found any more
  void inspect(const core::MemoryQuestion& question) noexcept override;

 private:
  const std::uint64_t number_;
};

// 0, or -1 with a Python error.
int init_teller();

}  // namespace zoocache::python
