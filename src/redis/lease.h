// What one process may trust: which generation of the log it knows, up to which epoch it has
// applied it, and until when that may be taken for everything.
//
//   unregistered --a heartbeat was answered--> trusted --lease over, or a gap--> untrusted
//                                                 ^                                |  |
//                                                 +--- heartbeat, gap closed ------+  |
//                                                      forlorn: 8 leases untrusted <--+
//
// Trust. A heartbeat that was *sent* at s and is answered with clock c says that what was
// acknowledged before s is at or below c. Who has applied everything up to c may serve until
// s + lease: what is acknowledged after s is heard by push at once, and else by a later heartbeat
// before the lease is over. `needed` is the newest epoch that is known to exist; between `applied`
// and `needed` there is a gap, and no trust.
//
// Untrusted: `must_forget` says when everything has to be invalidated, so that a hit is never older
// than one lease. At the first call without trust it is, at time R, and again at the first call
// that is a lease or more after R. What is served at t < R + lease was stored after R, and was
// loaded from data that was read after R: a load that began before is not stored, the root having
// been invalidated since its birth; and what a load takes from other entries it takes from such
// that were valid after R. Every entry stands below the root, so births are inherited without being
// kept (rule: model wait.pml, mutant FRESHBIRTH). An invalidation that returned before t - lease
// returned before R, so nothing that is served is older than it.
// Unregistered and forlorn: at every call. The home forgets a process that was silent for ten
// leases, and does not wait for it after one.
// Pure logic: time is a number that the caller passes. Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>

#include "core/epoch.h"

namespace zoocache::redis {

class Lease {
 public:
  static constexpr std::int64_t kForlornLeases = 8;
  static constexpr std::int64_t kMemoryLeases = 10;  // journals, and records of silent processes

  explicit Lease(std::int64_t span_ns) : span_ns_(span_ns) {}

  std::int64_t span_ns() const noexcept { return span_ns_; }
  std::uint64_t nonce() const noexcept { return nonce_; }
  core::Epoch applied() const noexcept { return applied_; }
  core::Epoch needed() const noexcept { return std::max(applied_, needed_); }
  bool is_registered() const noexcept { return is_registered_; }
  bool has_gap() const noexcept { return applied_ < needed_; }

  // Whether a heartbeat that names this generation goes on with the one that is known.
  bool is_known(std::uint64_t nonce) const noexcept { return nonce == nonce_ && !is_lost_; }
  // A new generation at this clock. REQUIRES: everything was invalidated after it was answered.
  void begin(std::uint64_t nonce, core::Epoch clock) {
    nonce_ = nonce;
    applied_ = needed_ = clock;
    ahead_.clear();
    until_ns_ = 0;
    is_lost_ = false;
  }
  // The generation is not the known one any more; a heartbeat will say which it is.
  void lose() noexcept { is_lost_ = true; }

  // Whether its changes were applied already.
  bool has_heard(core::Epoch epoch) const { return epoch <= applied_ || ahead_.contains(epoch); }
  // The changes of this epoch are applied. Epochs may come in any order: replies are seen by
  // threads that may overtake each other.
  void heard(core::Epoch epoch) {
    needed_ = std::max(needed_, epoch);
    if (epoch <= applied_) return;
    if (epoch != applied_ + 1) {
      if (ahead_.size() < kMaxAhead) ahead_.insert(epoch);
      return;
    }
    applied_ = epoch;
    join_ahead();
  }
  // All up to this one are.
  void caught_up(core::Epoch clock) {
    applied_ = std::max(applied_, clock);
    needed_ = std::max(needed_, clock);
    join_ahead();
  }
  // A heartbeat that was sent then was answered with this clock.
  void granted(std::int64_t sent_ns, core::Epoch clock) {
    is_registered_ = true;
    needed_ = std::max(needed_, clock);
    until_ns_ = std::max(until_ns_, sent_ns + span_ns_);
    ended_ns_ = std::max(ended_ns_, until_ns_);
  }

  // Whether no heartbeat came in time for the one before.
  bool is_over(std::int64_t now_ns) const noexcept { return is_registered_ && now_ns >= ended_ns_; }

  // 0: no trust at all.
  std::int64_t trusted_until_ns() const noexcept {
    return nonce_ != 0 && !is_lost_ && !has_gap() ? until_ns_ : 0;
  }
  bool is_trusted(std::int64_t now_ns) const noexcept { return now_ns < trusted_until_ns(); }

  // Without trust: whether everything must be invalidated now. REQUIRES: if so, it is, before
  // anybody asks again.
  bool must_forget(std::int64_t now_ns) {
    const bool may_serve = is_registered_ && has_forgotten_ &&
                           now_ns < ended_ns_ + kForlornLeases * span_ns_ &&
                           now_ns < forgot_ns_ + span_ns_;
    if (may_serve) return false;
    has_forgotten_ = true;
    forgot_ns_ = now_ns;
    return true;
  }
  // Trust was there: what was stored under it must be forgotten when it ends.
  void note_trusted() noexcept { has_forgotten_ = false; }

 private:
  static constexpr std::size_t kMaxAhead = 1024;  // then the gap is closed by asking

  void join_ahead() {
    while (!ahead_.empty() && *ahead_.begin() <= applied_ + 1) {
      applied_ = std::max(applied_, *ahead_.begin());
      ahead_.erase(ahead_.begin());
    }
  }

  const std::int64_t span_ns_;
  std::uint64_t nonce_ = 0;  // 0: none is known
  core::Epoch applied_ = 0;
  core::Epoch needed_ = 0;
  std::set<core::Epoch> ahead_;  // applied, and above a gap
  bool is_lost_ = false;
  bool is_registered_ = false;
  std::int64_t until_ns_ = 0;
  std::int64_t ended_ns_ = 0;   // when the last trust ends or ended
  bool has_forgotten_ = false;  // since the last trust
  std::int64_t forgot_ns_ = 0;
};

}  // namespace zoocache::redis
