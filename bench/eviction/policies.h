// Eviction policies as plainly as they can be written, to compare the engine's S3-FIFO with.
//
// Each is made for a number of entries and then told every request in order; request(key) says
// whether the key was there. OPT (Belady) is told the requests beforehand: it evicts the key whose
// next request is farthest, and none can miss less.
// REQUIRES: at least one entry. Thread-safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <limits>
#include <list>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace bench {

using TraceKey = std::uint64_t;
using Trace = std::vector<TraceKey>;

class Fifo {
 public:
  explicit Fifo(std::size_t entries) : entries_(entries) {}

  bool request(TraceKey key) {
    if (there_.count(key) != 0) return true;
    if (order_.size() == entries_) {
      there_.erase(order_.front());
      order_.pop_front();
    }
    order_.push_back(key);
    there_.insert(key);
    return false;
  }

 private:
  std::size_t entries_;
  std::deque<TraceKey> order_;  // oldest first
  std::unordered_set<TraceKey> there_;
};

class Lru {
 public:
  explicit Lru(std::size_t entries) : entries_(entries) {}

  bool request(TraceKey key) {
    const auto found = places_.find(key);
    if (found != places_.end()) {
      order_.splice(order_.end(), order_, found->second);
      return true;
    }
    if (order_.size() == entries_) {
      places_.erase(order_.front());
      order_.pop_front();
    }
    places_[key] = order_.insert(order_.end(), key);
    return false;
  }

 private:
  std::size_t entries_;
  std::list<TraceKey> order_;  // least recently used first
  std::unordered_map<TraceKey, std::list<TraceKey>::iterator> places_;
};

// A hand goes from old to new, spares what was visited since it came by, and evicts the first that
// was not; nothing moves. (Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is simpler than LRU", NSDI
// 2024.)
class Sieve {
 public:
  explicit Sieve(std::size_t entries) : entries_(entries), hand_(order_.end()) {}

  bool request(TraceKey key) {
    const auto found = places_.find(key);
    if (found != places_.end()) {
      found->second->visited = true;
      return true;
    }
    if (order_.size() == entries_) evict();
    places_[key] = order_.insert(order_.end(), {key, false});
    return false;
  }

 private:
  struct Entry {
    TraceKey key;
    bool visited;
  };

  void evict() {
    if (hand_ == order_.end()) hand_ = order_.begin();
    while (hand_->visited) {
      hand_->visited = false;
      if (++hand_ == order_.end()) hand_ = order_.begin();
    }
    places_.erase(hand_->key);
    hand_ = order_.erase(hand_);
  }

  std::size_t entries_;
  std::list<Entry> order_;  // oldest first
  std::list<Entry>::iterator hand_;
  std::unordered_map<TraceKey, std::list<Entry>::iterator> places_;
};

class Opt {
 public:
  static constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

  // For each request, when the same key is requested next; kNever if it is not.
  static std::vector<std::size_t> next_requests(const Trace& trace) {
    std::vector<std::size_t> next(trace.size(), kNever);
    std::unordered_map<TraceKey, std::size_t> seen;
    for (std::size_t at = trace.size(); at-- > 0;) {
      const auto [found, is_new] = seen.try_emplace(trace[at], at);
      if (!is_new) next[at] = std::exchange(found->second, at);
    }
    return next;
  }

  Opt(std::size_t entries, const std::vector<std::size_t>& next) : entries_(entries), next_(next) {}

  bool request(TraceKey key) {
    const std::size_t next = next_[at_++];
    const auto found = next_of_.find(key);
    const bool hit = found != next_of_.end();
    if (hit) {
      by_next_.erase({found->second, key});
    } else if (by_next_.size() == entries_) {
      const auto farthest = std::prev(by_next_.end());
      next_of_.erase(farthest->second);
      by_next_.erase(farthest);
    }
    next_of_[key] = next;
    by_next_.insert({next, key});
    return hit;
  }

 private:
  std::size_t entries_;
  const std::vector<std::size_t>& next_;
  std::size_t at_ = 0;
  std::unordered_map<TraceKey, std::size_t> next_of_;
  std::set<std::pair<std::size_t, TraceKey>> by_next_;
};

}  // namespace bench
