// Time that goes on while the machine sleeps, read cheaply.
//
// Linux has no coarse boot-time clock and the coarse monotonic one stands still in suspend. So the
// coarse clock (a plain memory read) says whether anything may have changed: boot time is read
// again only when its tick moved. Resolution: one tick of the kernel, 1 to 10 ms.
// Thread-safety: all functions may be called from any thread.
#pragma once

#include <cstdint>
#include <ctime>

namespace zoocache::core {

inline std::int64_t read_clock_ns(clockid_t clock) noexcept {
  timespec now;
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Where the time of entries comes from. Tests put a hand-driven one in its place.
class TimeSource {
 public:
  virtual ~TimeSource() = default;
  virtual std::int64_t now_ns() noexcept = 0;
};

// Nanoseconds since boot, suspended time included.
inline std::int64_t boot_time_ns() noexcept {
  struct Cached {
    std::int64_t tick = -1;
    std::int64_t boot_ns = 0;
  };
  static thread_local Cached cached;
  const std::int64_t tick = read_clock_ns(CLOCK_MONOTONIC_COARSE);
  if (tick != cached.tick) cached = {tick, read_clock_ns(CLOCK_BOOTTIME)};
  return cached.boot_ns;
}

// The moment `ttl_s` seconds after `now_ns`; 0: never.
inline std::int64_t expiry_ns(std::int64_t now_ns, double ttl_s) noexcept {
  constexpr double kLongestSeconds = 4e9;  // beyond that, 127 years, there is no expiry
  if (!(ttl_s > 0) || ttl_s >= kLongestSeconds) return 0;  // a NaN neither
  return now_ns + static_cast<std::int64_t>(ttl_s * 1e9);
}

// What is left at `now_ns` until that moment, at least a moment; 0: for ever.
inline std::int64_t left_ns(std::int64_t expires_ns, std::int64_t now_ns) noexcept {
  return expires_ns == 0 ? 0 : expires_ns > now_ns ? expires_ns - now_ns : 1;
}

// A time to live, shortened at random by up to the share `jitter`.
double jittered(double ttl_s, double jitter);

}  // namespace zoocache::core
