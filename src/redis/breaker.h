// A circuit breaker: after a failure nobody tries for a moment, then one does.
//
//             failure                    pause over, one caller
//   closed ------------> open (pause) ---------------------------> probing
//      ^                   ^                                         |  |
//      |                   +--- failure: the pause grows, bounded ---+  |
//      +------------------------- success: the pause is reset ----------+
//
// While it is open nobody waits for anything. Each change, and each probe, begins a new round; a
// report counts in the round in which its caller was let through only. So what was sent before it
// opened, and fails late, changes nothing. A probe that does not report for `probe_timeout_ns` is
// given up, and another caller may try.
// Pure logic: time is a number that the caller passes. Thread-safety: everything from any thread.
#pragma once

#include <cstdint>
#include <mutex>

#include "redis/backoff.h"

namespace zoocache::redis {

struct BreakerOptions {
  std::int64_t first_pause_ns = 100'000'000;      // above 0
  std::int64_t most_pause_ns = 5'000'000'000;     // at least first_pause_ns
  std::int64_t probe_timeout_ns = 2'000'000'000;  // above 0
};

class Breaker {
 public:
  // What a caller that was let through carries to its report.
  struct Pass {
    bool is_allowed = false;
    std::uint64_t round = 0;
  };

  explicit Breaker(const BreakerOptions& options)
      : probe_timeout_ns_(options.probe_timeout_ns),
        backoff_(options.first_pause_ns, options.most_pause_ns) {}

  Pass enter(std::int64_t now_ns) {
    const std::lock_guard lock(mutex_);
    if (!is_open_) return {true, round_};
    if (now_ns < next_try_ns_) return {};
    next_try_ns_ = now_ns + probe_timeout_ns_;
    return {true, ++round_};
  }

  void report(Pass pass, bool is_good, std::int64_t now_ns) {
    const std::lock_guard lock(mutex_);
    if (!pass.is_allowed || pass.round != round_) return;
    if (is_good && !is_open_) return;
    ++round_;
    is_open_ = !is_good;
    if (is_good) {
      backoff_.reset();
    } else {
      next_try_ns_ = now_ns + backoff_.next_ns();
      ++openings_;
    }
  }

  // The connection was made anew: somebody may try at once.
  void renewed(std::int64_t now_ns) {
    const std::lock_guard lock(mutex_);
    if (is_open_ && next_try_ns_ > now_ns) next_try_ns_ = now_ns;
  }

  // It answers, as somebody found out who asked by another way.
  void close() {
    const std::lock_guard lock(mutex_);
    if (!is_open_) return;
    ++round_;
    is_open_ = false;
    backoff_.reset();
  }

  // Whether the next caller would be let through.
  bool would_pass(std::int64_t now_ns) const {
    const std::lock_guard lock(mutex_);
    return !is_open_ || now_ns >= next_try_ns_;
  }
  bool is_open() const {
    const std::lock_guard lock(mutex_);
    return is_open_;
  }
  // How often it opened, or stayed open after a probe.
  std::uint64_t openings() const {
    const std::lock_guard lock(mutex_);
    return openings_;
  }

 private:
  const std::int64_t probe_timeout_ns_;
  mutable std::mutex mutex_;
  Backoff backoff_;
  bool is_open_ = false;
  std::int64_t next_try_ns_ = 0;
  std::uint64_t round_ = 0;
  std::uint64_t openings_ = 0;
};

}  // namespace zoocache::redis
