// Who holds something that others may take once he is dead: a process, by its number and the time
// of its start, since numbers are given again.
// Thread-safety: functions without shared state.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace zoocache::lmdb {

struct Owner {
  std::int32_t pid = 0;
  std::uint64_t started = 0;  // in the kernel's ticks since boot; 0: not known
  bool operator==(const Owner&) const = default;
};

// The process that calls.
Owner this_process() noexcept;

// False once it ended, a zombie that nobody waited for included. REQUIRES: of this PID namespace.
bool is_alive(const Owner& owner) noexcept;

// The same for several rows at one moment: each owner is looked at once. One owner of it.
class OwnerLook {
 public:
  bool is_alive(const Owner& owner);

 private:
  std::vector<std::pair<Owner, bool>> seen_;
};

}  // namespace zoocache::lmdb
