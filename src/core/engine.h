// The engine: table, bounds and log of one cache. It knows nothing of languages: keys and values
// are words that the owner of a function understands.
//
//   hit    Guard; clock (acquire); find; state.validated == clock, or check; read the value
//   load   clock -> born; loader; log.bind; store
//
// Thread-safety: with ConcurrentPolicy everything may be called from any thread, `find`, `check`
// and the use of what they give inside one Guard. With ExclusivePolicy the caller lets in one
// thread at a time; a comparison may let others in, if it then answers kRestart.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/entry.h"
#include "core/function.h"
#include "core/level_call.h"
#include "core/log.h"
#include "core/obituary.h"
#include "core/policy.h"
#include "core/removed.h"
#include "core/slab.h"
#include "zoocache/options.h"

namespace zoocache::core {

// What a comparison of a stored key says. kRestart: foreign code ran and the table changed.
// kFail: it failed (a Python error is set, say); the search ends without a result.
enum class Match { kNo, kYes, kRestart, kFail };

// Why an entry goes that is not valid.
inline Removal removal_of(Validity validity) noexcept {
  return validity == Validity::kExpired ? Removal::kExpired : Removal::kInvalidated;
}

// An entry that is not valid any more, and whether an option may hand it out.
struct Stale {
  bool kept = false;         // false: nothing may be done with it
  bool invalidated = false;  // else it has expired only
  std::int64_t age_ns = 0;   // since it stopped being valid
};

enum class StoreOutcome { kStored, kNoRoom, kSuperseded, kFailed };

struct NewEntry {
  std::uint64_t hash = 0;
  Word key = 0;
  Word value = 0;
  std::uint64_t user_bits = 0;  // within state::kUserBits
  Epoch born = 0;
  Dependencies deps;
  std::int64_t expires_ns = 0;  // boot time; 0: never
  float sliding_s = 0;
  std::size_t value_bytes = 0;  // the owner's share of the accounted bytes
};

// Throws InvalidOption naming the option, its value and the range.
void check_options(const Options& options);
void check_options(const FunctionOptions& options);

template <class Policy>
class Engine {
 public:
  using Guard = typename Policy::Guard;
  using FunctionType = Function<Policy>;

  explicit Engine(const Options& options);
  // REQUIRES: nobody uses the engine, and every function was removed or is never used again.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const Options& options() const noexcept { return options_; }
  InvalidationLog& log() noexcept { return log_; }
  EntrySlab& slab() noexcept { return slab_; }
  // nullptr: values live in this process alone.
  const std::shared_ptr<SecondLevel>& level() const noexcept { return level_; }

  // The function lives until `remove_function`. Throws InvalidOption.
  FunctionType& add_function(std::string name, const FunctionOptions& options, DropWords drop);
  // Removes its entries. REQUIRES: no other thread uses the function any more.
  void remove_function(FunctionType& function, Removed& removed);

  // `matches(const HotEntry&) -> Match` is asked for entries whose hash is `hash`.
  template <class Matches>
  EntryId find(const FunctionType& function, std::uint64_t hash, Matches&& matches) const;

  // Whether the entry may be served at `clock`, which was loaded before. Marks it as validated,
  // starts a sliding time anew.
  Validity check(EntryId id, const FunctionType& function, Epoch clock) noexcept;
  // Whether `check` would say at once that it is valid, and leave no trace: what nearly every hit
  // is.
  static bool is_validated(std::uint64_t state, Epoch clock) noexcept {
    return (state & state::kTimed) == 0 && state::validated(state) >= clock;
  }
  // The same without leaving a trace, for `explain` and sweeps.
  Validity inspect(EntryId id, const FunctionType& function) const noexcept;

  // What made the entry invalid: a dependency or an ancestor of one, the function's node, the root.
  // REQUIRES: something did.
  const TagNode& killer_of(const FunctionType& function, EntryId id) const noexcept;

  // What `check` found not valid: whether it is kept for the function's AgingOptions.
  Stale stale(EntryId id, const FunctionType& function) const noexcept;
  // Takes what `check` found not valid out of the table, unless it is kept.
  void bury(FunctionType& function, EntryId id, Word value, Validity validity, Removed& removed);

  // Whether a hit on the entry should start a load ahead of its expiry: it is in the last
  // refresh_ahead_s of its time. One caller is told so, until `end_refresh`.
  bool wants_refresh(EntryId id, const FunctionType& function) noexcept;
  // Marks the entry as being loaded in the background. False: it was.
  bool begin_refresh(EntryId id) noexcept {
    const std::uint64_t before =
        slab_.hot(id).state.fetch_or(state::kRefreshing, std::memory_order_relaxed);
    return (before & state::kRefreshing) == 0;
  }
  void end_refresh(EntryId id) noexcept {
    slab_.hot(id).state.fetch_and(~state::kRefreshing, std::memory_order_relaxed);
  }

  // Notes the use of an entry for eviction.
  void touch(HotEntry& hot) noexcept {
    const std::uint64_t seen = hot.state.load(std::memory_order_relaxed);
    if ((seen & state::kFrequency) != state::kFrequency) raise_frequency(hot, seen);
  }

  // Takes over key, value and dependencies whatever happens; what is not kept, or is replaced or
  // evicted, goes to `removed`. Want of memory is kNoRoom; a comparison's exception passes through.
  // A key that was invalidated since `entry.born` is not stored again (kSuperseded): its own tag is
  // no dependency of the entry, so this is asked here, under the lock that `invalidate_key` takes.
  template <class Matches>
  StoreOutcome store(FunctionType& function, const NewEntry& entry, Matches&& matches,
                     Removed& removed);

  // Removes `id` if it is still the entry with `value` (numbers are used again).
  void remove(FunctionType& function, EntryId id, Word value, Removal reason, Removed& removed);
  template <class Matches>
  bool remove_key(FunctionType& function, std::uint64_t hash, Matches&& matches, Removal reason,
                  Removed& removed);
  // Takes the entries of the key out of the table and publishes the invalidation of its hidden tag,
  // in one critical section: who sees the new clock does not find the entry any more, so that no
  // outer load can be younger than the invalidation and have read what it removed. Other keys with
  // the same hash go as well; no comparison runs. The epoch.
  // In this process; then `announce_key`, without the engine's lock, tells a home of it. With a
  // second level, see KeyHold.
  Epoch invalidate_key(FunctionType& function, std::uint64_t hash, std::uint32_t origin,
                       Removed& removed);
  // `key`: its name in the second level; nullptr: it has none that other processes know, and there
  // the whole function dies. Throws HomeUnreachable.
  void announce_key(std::uint64_t function_id, const LevelKey* key, std::uint32_t origin);
  // Removes everything and gives the memory back, unless a reader is at work. The caller has
  // invalidated the root before.
  void clear(Removed& removed);
  void clear_function(FunctionType& function, Removed& removed);

  std::size_t entries() const noexcept { return entries_.load(std::memory_order_relaxed); }
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  // For `explain`: a load of that key ended and its result was not kept.
  void note_not_stored(const FunctionType& function, std::uint64_t hash, Removal why);
  void note_not_stored(const FunctionType& function, std::uint64_t hash,
                       InvalidationLog::Standing standing);
  Obituary obituary(const FunctionType& function, std::uint64_t hash, bool* found);
  // Why a call of that key finds nothing. `found`: what `check` said of its entry; kValid: there is
  // none.
  MissReason miss_reason(const FunctionType& function, std::uint64_t hash, Validity found) const;
  // Sums over all functions, removed ones included.
  FunctionTotals totals() const;
  struct FunctionReport {
    std::uint64_t id = 0;  // Function::tag_id
    std::string name;
    std::size_t entries = 0;  // invalid ones that nobody has met yet included
    FunctionTotals totals;
    LoadTotals loads;
  };
  // Of each function that lives, in the order in which they were made.
  std::vector<FunctionReport> reports() const;
  // How many valid entries an invalidation of the tag would kill, by Function::tag_id. Looks at
  // every entry: for people who are about to invalidate something.
  std::map<std::uint64_t, std::size_t> entries_below(const TagPath& path) const;

  std::int64_t now_ns() const noexcept {
    return time_source_ != nullptr ? time_source_->now_ns() : boot_time_ns();
  }
  // REQUIRES: before the first use. `source` outlives the engine.
  void set_time_source(TimeSource* source) noexcept {
    time_source_ = source;
    log_.set_time_source(source);
  }
  typename Policy::Mutex& mutex() noexcept { return mutex_; }

  // What an entry costs beside its value and its list of dependencies: the two records and, at
  // the load of an index, its slot.
  static constexpr std::size_t kEntryBytes =
      sizeof(HotEntry) + sizeof(ColdEntry) + (Policy::kConcurrent ? 24 : 12);

 private:
  struct Retired {
    std::uint64_t era;
    EntryId id;
    DropWords drop;
  };
  using Lock = std::unique_lock<typename Policy::Mutex>;

  EvictionQueue& queue_of(FunctionType& function) noexcept {
    return function.own_queue ? *function.own_queue : shared_queue_;
  }
  void raise_frequency(HotEntry& hot, std::uint64_t seen) noexcept;
  template <class Matches>
  StoreOutcome locate(FunctionType& function, std::uint64_t hash, Matches&& matches, Lock& lock,
                      EntryId* existing);
  // The part of `store` that may fail; leaves with the lock held, unless it throws.
  template <class Matches>
  StoreOutcome place(FunctionType& function, const NewEntry& entry, Matches&& matches, Lock& lock,
                     Removed& removed);
  bool make_room(EvictionQueue& own, std::size_t size_bytes, Removed& removed);
  void evict_from(EvictionQueue& queue, Removed& removed);
  EvictionQueue& largest(bool by_bytes) noexcept;
  void insert(FunctionType& function, const NewEntry& entry, std::size_t size_bytes);
  void clear_locked(FunctionType& function, Removed& removed);
  // Throws bad_alloc before it changed anything.
  void remove_locked(EntryId id, Removal reason, Removed& removed);
  void record(const FunctionType& function, EntryId id, Removal reason);
  void sweep(Removed& removed);
  void retire_slots(IndexSlots* slots) noexcept;
  void give_back(EntryId id, DropWords drop, Removed& removed);
  void poll(Removed& removed);
  void settle(Removed& removed);
  void free_retired(std::uint64_t era, Removed& removed);

  const Options options_;
  InvalidationLog log_;
  std::shared_ptr<SecondLevel> level_;
  TimeSource* time_source_ = nullptr;

  mutable typename Policy::Mutex mutex_;  // guards everything below and every function's index
  EntrySlab slab_;
  EvictionQueue shared_queue_;
  std::vector<std::unique_ptr<FunctionType>> functions_;
  std::vector<std::uint32_t> free_functions_;
  std::uint64_t next_tag_id_ = 1;
  FunctionTotals removed_totals_;  // of functions that are gone
  std::atomic<std::size_t> entries_{0};
  std::atomic<std::size_t> bytes_{0};
  std::deque<Retired> retired_;
  IndexSlots* retired_slots_ = nullptr;  // oldest first
  IndexSlots* newest_retired_slots_ = nullptr;
  std::size_t since_poll_ = 0;
  Obituaries obituaries_;
  EntryId sweep_next_ = 0;
  Epoch sweep_started_ = 0;
  Epoch sweep_done_ = 0;
};

}  // namespace zoocache::core

#include "core/engine_aging.h"
#include "core/engine_impl.h"
#include "core/engine_told.h"
#include "core/engine_upkeep.h"
