// Single flight: one running load for each key; who comes meanwhile waits for its outcome.
//
//   join ──> leads ── loader ── (store) ── finish(kDone | kFailed | kAbandoned)
//     └────> follows ── wait ── woken ──> takes the outcome, or calls join again
//
// Interleavings that matter:
//  1. A leader stores into the table *before* it finishes the flight. A caller that missed in the
//     table and then finds no flight leads, and must look into the table once more: the load that
//     it missed may have ended in between.
//  2. A follower that arrived after an invalidation must not take a value loaded before it. It
//     compares the flight's `born` with the clock it read on arrival, else asks the log whether
//     the dependencies still stand (model: in_process.pml, FOLLOW_CHECK).
//  3. An abandoned flight (cancelled or killed leader) wakes all followers; they join anew and
//     exactly one of them leads.
//  4. F waits for G while code under G's load waits for F: nobody would ever end. `follow` searches
//     from G along the edges "code under the load of X waits for Y" and refuses when it reaches a
//     flight that encloses the caller; who is refused loads unshared.
// Comparisons of keys may be users' code and run without the lock, as in Engine::store.
// Thread-safety: every member of FlightTable from any thread (under ExclusivePolicy: one at a
// time). What a flight carries may be read once `state` is not kRunning.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/counted.h"
#include "core/dep_set.h"
#include "core/engine.h"
#include "core/entry.h"
#include "core/moment.h"
#include "core/policy.h"

namespace zoocache::core {

enum class FlightState : std::uint8_t { kRunning, kDone, kFailed, kAbandoned };

// Somebody who waits. Woken once, by the thread that ended the flight, without any engine lock.
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void wake() = 0;  // throws nothing
};

// One running load. A language derives from it to carry the key, the value and the error.
class Flight : public UseCount {
 public:
  Flight(const void* owner, std::uint64_t key_hash, Epoch loaded_since, InvalidationLog& log)
      : function(owner), hash(key_hash), born(loaded_since), deps(log) {}
  virtual ~Flight() = default;
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  FlightState state() const noexcept { return state_.load(std::memory_order_acquire); }

  const void* const function;
  const std::uint64_t hash;
  // The leader may bring it forward until its loader runs.
  Epoch born;
  // Set by the leader before `finish`: what the outcome depends on.
  DepSet deps;
  bool deps_complete = false;   // false: a failed load may have more that nobody could compute
  bool storable = true;         // false: the outcome must not be kept by an outer load either
  std::int64_t expires_ns = 0;  // bounds an outer entry's time to live; 0: does not
  Moment since;                 // of the oldest data that the load used; `born` is no newer

 private:
  template <class Policy>
  friend class FlightTable;
  std::atomic<FlightState> state_{FlightState::kRunning};
  std::vector<std::shared_ptr<Waiter>> waiters_;
  std::vector<Flight*> waits_for_;  // flights that code under this load waits for or leads
};

using FlightPtr = ConcurrentPolicy::Shared<Flight>;

enum class Following { kWaiting, kEnded, kCycle };

template <class Policy>
class FlightTable {
 public:
  using Ptr = typename Policy::template Shared<Flight>;
  struct Joined {
    Ptr flight;  // nullptr: a comparison failed
    bool leads = false;
  };

  // `matches(const Flight&) -> Match`; `make() -> Ptr` for a leader.
  template <class Matches, class Make>
  Joined join(const void* function, std::uint64_t hash, Matches&& matches, Make&& make) {
    std::vector<Ptr> other_keys;  // same hash, compared and found different
    std::unique_lock lock(mutex_, std::defer_lock);
    for (;;) {
      lock.lock();
      Ptr candidate = find_locked(function, hash, other_keys);
      if (candidate == nullptr) {
        Ptr mine = make();
        add_locked(mine);
        return {std::move(mine), true};
      }
      lock.unlock();
      const Match answer = matches(*candidate);
      if (answer == Match::kFail) return {};
      if (answer == Match::kYes) {
        if (candidate->state() == FlightState::kRunning) return {std::move(candidate), false};
      } else if (answer == Match::kNo) {
        other_keys.push_back(std::move(candidate));
      }
    }
  }

  // The leader's last word; what the flight carries is set before. Wakes the followers.
  void finish(const Ptr& flight, FlightState outcome) {
    std::vector<std::shared_ptr<Waiter>> waiters;
    {
      const std::lock_guard lock(mutex_);
      remove_locked(flight);
      flight->state_.store(outcome, std::memory_order_release);
      waiters.swap(flight->waiters_);
    }
    for (const std::shared_ptr<Waiter>& waiter : waiters) waiter->wake();
  }

  // Starts to wait. `enclosing`: the flights of the caller's load frames, innermost first; the
  // innermost gets an edge until `leave`.
  Following follow(const Ptr& flight, std::span<Flight* const> enclosing,
                   std::shared_ptr<Waiter> waiter) {
    const std::lock_guard lock(mutex_);
    if (flight->state_.load(std::memory_order_relaxed) != FlightState::kRunning) {
      return Following::kEnded;
    }
    std::vector<std::shared_ptr<Waiter>>& waiters = flight->waiters_;
    if (waiters.size() == waiters.capacity()) waiters.reserve(2 * waiters.size() + 2);
    if (!enclosing.empty()) {
      const std::lock_guard edges(edges_mutex_);
      if (reaches(*flight, enclosing)) return Following::kCycle;
      enclosing.front()->waits_for_.push_back(flight.get());
    }
    waiters.push_back(std::move(waiter));  // there is room: it cannot fail with the edge made
    return Following::kWaiting;
  }

  // Ends waiting, woken or not. `enclosing` as at `follow`.
  void leave(const Ptr& flight, std::span<Flight* const> enclosing, const Waiter* waiter) {
    std::shared_ptr<Waiter> dropped;  // destroyed after the lock is released
    const std::lock_guard lock(mutex_);
    if (!enclosing.empty()) leave_nested(*enclosing.front(), *flight);
    for (auto at = flight->waiters_.begin(); at != flight->waiters_.end(); ++at) {
      if (at->get() == waiter) {
        dropped = std::move(*at);
        flight->waiters_.erase(at);
        return;
      }
    }
  }

  // The load of `inner` runs under the load of `outer`, until `leave_nested`.
  void nest(Flight& outer, Flight& inner) {
    const std::lock_guard edges(edges_mutex_);
    outer.waits_for_.push_back(&inner);
  }
  void leave_nested(Flight& outer, Flight& inner) noexcept {
    const std::lock_guard edges(edges_mutex_);
    erase_one(outer.waits_for_, &inner);
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return running_;
  }
  // After fork, in the child: forgets all flights without running a destructor; their leaders do
  // not exist here.
  void forget_all() noexcept {
    running_ = 0;
    new (&few_) std::array<Ptr, kFew>();
    new (&more_) std::unordered_multimap<std::uint64_t, Ptr>();
  }
  typename Policy::Mutex& mutex() noexcept { return mutex_; }

 private:
  static constexpr std::size_t kFew = 4;

  Ptr find_locked(const void* function, std::uint64_t hash, const std::vector<Ptr>& except) const {
    const auto is_meant = [&](const Ptr& flight) {
      return flight->hash == hash && flight->function == function &&
             std::find(except.begin(), except.end(), flight) == except.end();
    };
    if (running_ == 0) return nullptr;
    for (const Ptr& flight : few_) {
      if (flight != nullptr && is_meant(flight)) return flight;
    }
    if (more_.empty()) return nullptr;
    const auto [first, last] = more_.equal_range(hash);
    for (auto at = first; at != last; ++at) {
      if (is_meant(at->second)) return at->second;
    }
    return nullptr;
  }

  void add_locked(const Ptr& flight) {
    const auto place = std::find(few_.begin(), few_.end(), nullptr);
    if (place != few_.end()) {
      *place = flight;
    } else {
      more_.emplace(flight->hash, flight);
    }
    ++running_;
  }

  void remove_locked(const Ptr& flight) noexcept {
    const auto place = std::find(few_.begin(), few_.end(), flight);
    if (place != few_.end()) {
      *place = nullptr;
      --running_;
      return;
    }
    const auto [first, last] = more_.equal_range(flight->hash);
    const auto is_it = [&](const auto& at) { return at.second == flight; };
    const auto found = std::find_if(first, last, is_it);
    if (found == last) return;
    more_.erase(found);
    --running_;
  }

  // Whether waiting for `from` would, over any number of waits, be waiting for a flight in `goals`.
  static bool reaches(const Flight& from, std::span<Flight* const> goals) {
    std::vector<const Flight*> open{&from};
    std::vector<const Flight*> seen;
    while (!open.empty()) {
      const Flight* flight = open.back();
      open.pop_back();
      if (std::find(goals.begin(), goals.end(), flight) != goals.end()) return true;
      if (std::find(seen.begin(), seen.end(), flight) != seen.end()) continue;
      seen.push_back(flight);
      open.insert(open.end(), flight->waits_for_.begin(), flight->waits_for_.end());
    }
    return false;
  }

  static void erase_one(std::vector<Flight*>& edges, const Flight* flight) noexcept {
    const auto found = std::find(edges.begin(), edges.end(), flight);
    if (found != edges.end()) edges.erase(found);
  }

  mutable typename Policy::Mutex mutex_;  // guards the flights and their waiters
  // Guards the edges of all flights: a load of one cache may wait for a flight of another. Taken
  // after `mutex_`.
  static inline typename Policy::Mutex edges_mutex_;
  // The running flights: most often there are but a few, and looking at each is the fastest.
  std::size_t running_ = 0;
  std::array<Ptr, kFew> few_;
  std::unordered_multimap<std::uint64_t, Ptr> more_;
};

}  // namespace zoocache::core
