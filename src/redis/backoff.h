// How long to wait before the next try: twice as long each time, up to a bound.
// Thread-safety: one owner.
#pragma once

#include <cstdint>

namespace zoocache::redis {

class Backoff {
 public:
  // REQUIRES: 0 < first_ns <= most_ns
  Backoff(std::int64_t first_ns, std::int64_t most_ns)
      : first_ns_(first_ns), most_ns_(most_ns), next_ns_(first_ns) {}

  std::int64_t next_ns() {
    const std::int64_t wait_ns = next_ns_;
    next_ns_ = next_ns_ > most_ns_ / 2 ? most_ns_ : next_ns_ * 2;
    return wait_ns;
  }
  // The same, shortened at random by up to a quarter, so that those whom one outage disconnected
  // do not come back all at once. `random`: 0 to 1.
  std::int64_t next_ns(double random) {
    return static_cast<std::int64_t>(static_cast<double>(next_ns()) * (1 - random / 4));
  }
  void reset() { next_ns_ = first_ns_; }

 private:
  std::int64_t first_ns_;
  std::int64_t most_ns_;
  std::int64_t next_ns_;
};

}  // namespace zoocache::redis
