// A recorded history of calls and invalidations, and the check of the call rule on it:
//
//   A call may return a value only if that value was computed from data read after every
//   invalidation of its dependencies, or of their ancestors, that had returned before the call
//   began. While an invalidation runs, old and new may both be returned.
//
// Exactly that is checked, not more: each source counts its versions up, a writer raises the
// version and then invalidates. A read that began after an invalidation returned must carry at
// least the version that this invalidation announced.
// Thread-safety: one Recorder for each thread; `check` after all threads have ended.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace zoocache::testing {

inline std::atomic<std::uint64_t> history_clock{0};

inline std::uint64_t tick() { return history_clock.fetch_add(1, std::memory_order_seq_cst); }

struct Read {
  std::uint64_t began;
  std::uint32_t source;
  std::uint64_t version;
};

// From `returned` on, reads of the source must see at least `version`.
struct Acknowledged {
  std::uint64_t returned;
  std::uint32_t source;
  std::uint64_t version;
};

struct Recorder {
  std::vector<Read> reads;
  std::vector<Acknowledged> acknowledged;
};

struct Verdict {
  std::size_t reads = 0;
  std::size_t invalidations = 0;
  std::size_t stale = 0;
  std::string first;
};

inline Verdict check(const std::vector<Recorder>& recorders) {
  struct Floor {
    std::uint64_t returned;
    std::uint64_t version;
  };
  std::map<std::uint32_t, std::vector<Floor>> floors;
  Verdict verdict;
  for (const Recorder& recorder : recorders) {
    for (const Acknowledged& one : recorder.acknowledged) {
      floors[one.source].push_back({one.returned, one.version});
      ++verdict.invalidations;
    }
  }
  for (auto& [source, list] : floors) {
    std::sort(list.begin(), list.end(),
              [](const Floor& a, const Floor& b) { return a.returned < b.returned; });
    for (std::size_t at = 1; at < list.size(); ++at) {
      list[at].version = std::max(list[at].version, list[at - 1].version);
    }
  }
  for (const Recorder& recorder : recorders) {
    for (const Read& read : recorder.reads) {
      ++verdict.reads;
      const std::vector<Floor>& list = floors[read.source];
      const auto after =
          std::lower_bound(list.begin(), list.end(), read.began,
                           [](const Floor& one, std::uint64_t at) { return one.returned < at; });
      if (after == list.begin() || read.version >= std::prev(after)->version) continue;
      if (verdict.stale++ == 0) {
        verdict.first = "source " + std::to_string(read.source) + ": a call that began at " +
                        std::to_string(read.began) + " returned version " +
                        std::to_string(read.version) + ", but the invalidation of version " +
                        std::to_string(std::prev(after)->version) + " had returned at " +
                        std::to_string(std::prev(after)->returned);
      }
    }
  }
  return verdict;
}

}  // namespace zoocache::testing
