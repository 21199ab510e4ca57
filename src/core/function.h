// One cached function as the engine sees it: its index, its own bounds, its counters.
// Thread-safety: counters from any thread; the rest as said at Engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "core/eviction.h"
#include "core/index.h"
#include "core/load_times.h"
#include "core/reclaim.h"
#include "core/tag_trie.h"
#include "zoocache/options.h"

namespace zoocache::core {

enum class Validity { kValid, kInvalidated, kExpired };

// Counts without writing to a line that other threads write to. The first threads have a count each
// that nobody else writes: a locked addition would wait for every load before it, and keep the
// processor from beginning the next look-up meanwhile.
class ShardedCounter {
 public:
  void add() noexcept {
    const std::uint32_t number = Reclaimer::this_thread().number;
    if (number < kOwn) {
      std::atomic<std::uint64_t>& own = shards_[number].count;
      own.store(own.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    } else {
      shards_[kOwn + number % kShared].count.fetch_add(1, std::memory_order_relaxed);
    }
  }
  std::uint64_t sum() const noexcept {
    std::uint64_t total = 0;
    for (const Shard& shard : shards_) total += shard.count.load(std::memory_order_relaxed);
    return total;
  }

 private:
  static constexpr std::size_t kOwn = 16;
  static constexpr std::size_t kShared = 8;
  struct alignas(64) Shard {
    std::atomic<std::uint64_t> count{0};
  };
  Shard shards_[kOwn + kShared];
};

class PlainCounter {
 public:
  void add() noexcept { ++count_; }
  std::uint64_t sum() const noexcept { return count_; }

 private:
  std::uint64_t count_ = 0;
};

// A count as the policy's threads need it: under the GIL an atomic addition would be for nothing.
class PlainCount {
 public:
  PlainCount() noexcept = default;
  explicit PlainCount(std::uint64_t count) noexcept : count_(count) {}
  void fetch_add(std::uint64_t more, std::memory_order) noexcept { count_ += more; }
  std::uint64_t load(std::memory_order = std::memory_order_relaxed) const noexcept {
    return count_;
  }

 private:
  std::uint64_t count_ = 0;
};

template <class Policy>
struct FunctionCounters {
  using Count = std::conditional_t<Policy::kConcurrent, std::atomic<std::uint64_t>, PlainCount>;
  Count misses{0};              // calls that found nothing to serve
  Count misses_invalidated{0};  // of them, as MissReason says; the others were never loaded
  Count misses_expired{0};
  Count misses_evicted{0};
  Count misses_not_stored{0};
  Count loads{0};        // loader runs that returned
  Count load_errors{0};  // loader runs that raised
  Count stores{0};
  Count not_stored{0};  // loads whose result could not be kept
  Count evictions{0};
  Count expirations{0};     // entries found expired
  Count dead_entries{0};    // entries found invalidated
  Count flights_joined{0};  // calls that waited for another caller's load
  Count stale_hits{0};      // misses that an option answered with a value past its time
  Count refreshes{0};       // loads that were started in the background
  Count level_hits{0};      // misses that the second level answered
  Count level_stores{0};    // values that were put into it
  Count level_refusals{0};  // and those that could not be kept there
  LoadTimes<Count> load_times;
};

// The same as plain numbers, for one function or summed over many.
struct FunctionTotals {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t misses_invalidated = 0;
  std::uint64_t misses_expired = 0;
  std::uint64_t misses_evicted = 0;
  std::uint64_t misses_not_stored = 0;
  std::uint64_t loads = 0;
  std::uint64_t load_errors = 0;
  std::uint64_t stores = 0;
  std::uint64_t not_stored = 0;
  std::uint64_t evictions = 0;
  std::uint64_t expirations = 0;
  std::uint64_t dead_entries = 0;
  std::uint64_t flights_joined = 0;
  std::uint64_t stale_hits = 0;
  std::uint64_t refreshes = 0;
  std::uint64_t level_hits = 0;
  std::uint64_t level_stores = 0;
  std::uint64_t level_refusals = 0;

  template <class Policy>
  void add(std::uint64_t hits_of_function, const FunctionCounters<Policy>& counters) noexcept {
    hits += hits_of_function;
    misses += counters.misses.load(std::memory_order_relaxed);
    misses_invalidated += counters.misses_invalidated.load(std::memory_order_relaxed);
    misses_expired += counters.misses_expired.load(std::memory_order_relaxed);
    misses_evicted += counters.misses_evicted.load(std::memory_order_relaxed);
    misses_not_stored += counters.misses_not_stored.load(std::memory_order_relaxed);
    loads += counters.loads.load(std::memory_order_relaxed);
    load_errors += counters.load_errors.load(std::memory_order_relaxed);
    stores += counters.stores.load(std::memory_order_relaxed);
    not_stored += counters.not_stored.load(std::memory_order_relaxed);
    evictions += counters.evictions.load(std::memory_order_relaxed);
    expirations += counters.expirations.load(std::memory_order_relaxed);
    dead_entries += counters.dead_entries.load(std::memory_order_relaxed);
    flights_joined += counters.flights_joined.load(std::memory_order_relaxed);
    stale_hits += counters.stale_hits.load(std::memory_order_relaxed);
    refreshes += counters.refreshes.load(std::memory_order_relaxed);
    level_hits += counters.level_hits.load(std::memory_order_relaxed);
    level_stores += counters.level_stores.load(std::memory_order_relaxed);
    level_refusals += counters.level_refusals.load(std::memory_order_relaxed);
  }
};

// visit(name, number) for each, by the names that every front door tells them by.
template <class Visit>
void for_each_count(const FunctionTotals& totals, Visit&& visit) {
  visit("hits", totals.hits);
  visit("misses", totals.misses);
  visit("misses_invalidated", totals.misses_invalidated);
  visit("misses_expired", totals.misses_expired);
  visit("misses_evicted", totals.misses_evicted);
  visit("misses_not_stored", totals.misses_not_stored);
  visit("loads", totals.loads);
  visit("load_errors", totals.load_errors);
  visit("stores", totals.stores);
  visit("not_stored", totals.not_stored);
  visit("evictions", totals.evictions);
  visit("expirations", totals.expirations);
  visit("dead_entries", totals.dead_entries);
  visit("flights_joined", totals.flights_joined);
  visit("stale_hits", totals.stale_hits);
  visit("refreshes", totals.refreshes);
  visit("l2_hits", totals.level_hits);
  visit("l2_stores", totals.level_stores);
  visit("l2_refusals", totals.level_refusals);
}

template <class Count>
void count(Count& counter) noexcept {
  counter.fetch_add(1, std::memory_order_relaxed);
}

// Gives back what an entry's words own; called without any engine lock. `state`: the hot record's
// state, for its user bits.
using DropWords = void (*)(Word key, Word value, std::uint64_t state) noexcept;

// Why a call found nothing to serve: what is known of the entry that it might have found.
enum class MissReason : std::uint8_t {
  kNeverLoaded,  // or forgotten long ago
  kInvalidated,
  kExpired,
  kEvicted,
  kNotStored  // the last load's result was not kept
};

// `more` 1, or -1 for a call that is made again.
template <class Policy>
void count_miss(FunctionCounters<Policy>& counters, MissReason reason, int more = 1) noexcept {
  const auto add = [more](auto& counter) {
    counter.fetch_add(static_cast<std::uint64_t>(std::int64_t{more}), std::memory_order_relaxed);
  };
  add(counters.misses);
  if (reason == MissReason::kInvalidated) add(counters.misses_invalidated);
  if (reason == MissReason::kExpired) add(counters.misses_expired);
  if (reason == MissReason::kEvicted) add(counters.misses_evicted);
  if (reason == MissReason::kNotStored) add(counters.misses_not_stored);
}

template <class Policy>
void count_load(FunctionCounters<Policy>& counters, std::int64_t took_ns) noexcept {
  count(counters.loads);
  counters.load_times.add(took_ns);
}

template <class Policy>
struct Function {
  std::uint32_t slot = 0;    // in the engine's list of functions
  std::uint64_t tag_id = 0;  // names its hidden tags; never used again
  std::string name;
  FunctionOptions options;
  DropWords drop = nullptr;
  TagNode* node = nullptr;                 // held as long as the function lives
  BasicIndex<Policy::kConcurrent> index;   // hinted: keys of C++ lie elsewhere, in boxes
  std::size_t counted = 0;                 // entries with state::kCounted
  std::optional<EvictionQueue> own_queue;  // if it has bounds of its own
  std::conditional_t<Policy::kConcurrent, ShardedCounter, PlainCounter> hits;
  FunctionCounters<Policy> counters;
};

}  // namespace zoocache::core
