// The invalidation log: everything that can make an entry invalid, in one order.
//
// An entry remembers the clock that was read before its loader ran (`born`). It is valid as long
// as no dependency and no ancestor of one was invalidated at a later epoch.
//
//   writer  (1) allocate the epoch  (2) node versions  (3) ring  (4) publish the clock   one mutex
//   reader  (1) clock (acquire)  (2) versions on the paths  (3) validated := the clock of (1)
//   store   ring or node says "nothing after born" and the nodes come into being      same mutex
//
// Why in this order: a reader that sees the clock of a writer sees its versions; one that loads
// the clock after the walk could mark as validated what the walk had missed; an epoch allocated
// outside the mutex could be published before an older one is written (models: in_process.pml,
// ring.pml).
// With a home (home.h) the log is one process's copy of a shared one: `invalidate` goes through the
// home, `apply` is what it tells, and a call that begins asks `arrive` for its clock.
// Thread-safety: every member may be called from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "core/dep_set.h"
#include "core/dependencies.h"
#include "core/epoch.h"
#include "core/home.h"
#include "core/invalidation_ring.h"
#include "core/recent.h"
#include "core/tag.h"
#include "core/tag_trie.h"

namespace zoocache::core {

// Answers what its home is asked about this process: with LogHome::tell, from a thread of its own.
class MemoryTeller {
 public:
  MemoryTeller() = default;
  virtual ~MemoryTeller() = default;
  MemoryTeller(const MemoryTeller&) = delete;
  MemoryTeller& operator=(const MemoryTeller&) = delete;
  // A question that comes before the last one was answered may be passed over.
  virtual void inspect(const MemoryQuestion& question) noexcept = 0;
};

class InvalidationLog {
 public:
  explicit InvalidationLog(std::size_t ring_records, std::size_t recent_records = 0)
      : ring_(ring_records), recent_(recent_records) {}
  // The home goes first: it may apply what it is told until it is gone.
  ~InvalidationLog() { home_.reset(); }
  InvalidationLog(const InvalidationLog&) = delete;
  InvalidationLog& operator=(const InvalidationLog&) = delete;

  // Milliseconds of boot time, or what the tests' clock says; for the age of invalidations.
  std::int64_t now_ms() const noexcept {
    TimeSource* const source = time_source_.load(std::memory_order_acquire);
    return (source != nullptr ? source->now_ns() : boot_time_ns()) / 1'000'000;
  }
  // REQUIRES: as Engine::set_time_source.
  void set_time_source(TimeSource* source) noexcept {
    time_source_.store(source, std::memory_order_release);
  }

  // Makes the log a copy of the home's. REQUIRES: before the first use.
  void set_home(std::unique_ptr<LogHome> home) {
    home_ = std::move(home);
    home_->attach(*this);
  }
  LogHome* home() const noexcept { return home_.get(); }

  // Who is asked what is in this process's memory; nullptr: nobody. Waits for a call that runs.
  void set_teller(MemoryTeller* teller);
  // From a home's thread: begins to answer, and waits for nothing.
  void inspect(const MemoryQuestion& question) noexcept;

  Epoch clock() const noexcept { return clock_.load(std::memory_order_acquire); }
  // The clock for a call that begins: everything that was invalidated before it is in the log, what
  // other processes invalidated included.
  Epoch arrive() noexcept {
    if (home_ != nullptr && !home_->is_fresh()) [[unlikely]]
      home_->refresh(*this);
    return clock();
  }
  // The same, but where it may wait for a network it does nothing and is false.
  bool try_arrive(Epoch* clock_then) noexcept {
    if (home_ != nullptr && !home_->is_fresh()) [[unlikely]] {
      if (home_->refresh_waits()) return false;
      home_->refresh(*this);
    }
    *clock_then = clock();
    return true;
  }
  bool arrival_waits() const noexcept {
    return home_ != nullptr && !home_->is_fresh() && home_->refresh_waits();
  }
  const InvalidationRing& ring() const noexcept { return ring_; }
  TagNode* root() const noexcept { return trie_.root(); }

  // Invalidates all `paths` at one new epoch, the home's if there is one: when it returns all are
  // dead, wherever the home reaches. Throws HomeUnreachable; they are dead here all the same.
  Epoch invalidate(std::span<const TagPath> paths, std::uint32_t origin = 0);
  Epoch invalidate(const TagPath& path, std::uint32_t origin = 0) {
    return invalidate(std::span<const TagPath>(&path, 1), origin);
  }
  // Invalidates the root: every entry there is, with or without dependencies.
  Epoch invalidate_root(std::uint32_t origin = 0);
  // Tells the home, at one epoch, of what was done here already, more precisely than the texts say
  // (of Change; `second` may be empty).
  void announce(std::string_view first, std::string_view second, std::uint32_t origin = 0);

  // The same in this log alone, published once. `again_of`: the epoch that the same invalidation
  // has had here already; whoever counts counts one.
  Epoch apply(std::span<const TagPath> paths, std::uint32_t origin = 0,
              Epoch again_of = 0) noexcept;
  Epoch apply(const TagPath& path, std::uint32_t origin = 0) noexcept {
    return apply(std::span<const TagPath>(&path, 1), origin);
  }
  Epoch apply_root(std::uint32_t origin = 0, Epoch again_of = 0) noexcept;
  // How many there were.
  std::uint64_t invalidations() const noexcept {
    return invalidations_.load(std::memory_order_relaxed);
  }

  enum class Standing {
    kCurrent,
    kInvalidated,  // something was invalidated after `born`
    kForgotten,    // the ring does not reach back to `born`
    kHeld          // a writer holds one of the tags
  };

  // Binds `deps` for an entry born at `born`: all or nothing. On kCurrent `*bound` holds a node
  // for each; nodes that are new start at what the ring knows of them. `function`: the hidden
  // node of the entry's function; `own_key`: the hidden tag of the entry itself.
  Standing bind(const DepSet& deps, const TagNode* function, const TagPath* own_key, Epoch born,
                Dependencies* bound);
  // The same question without binding: may a follower take a value loaded since `born`?
  Standing standing(const DepSet& deps, const TagNode* function, const TagPath* own_key,
                    Epoch born) const;

  // While held, loads that depend on the tags (or on what is below) are not stored. All or none.
  void hold_tags(std::span<const TagPath> paths);
  void release_tags(std::span<const TagPath> paths) noexcept;
  // The same for everything there is.
  void hold_root();
  void release_root() noexcept;
  // Whether somebody holds the tag, or what is above it.
  bool has_hold(const TagPath& path) const;

  // The node of `path`, created if need be, held until `release`.
  TagNode* acquire(const TagPath& path);
  void hold(std::span<TagNode* const> nodes) noexcept;
  void release(std::span<TagNode* const> nodes) noexcept;
  void release(TagNode* node) noexcept { release(std::span<TagNode* const>(&node, 1)); }

  // Newest known invalidation of the tag or of an ancestor, by the home's clock if there is one; 0
  // if none is known. Throws HomeUnreachable.
  Epoch version(const TagPath& path);

  struct TagRow {
    std::string tag;
    Epoch version;
    std::size_t holders;
  };
  // Users' tags that are `prefix` or below it (all if empty), sorted.
  std::vector<TagRow> rows(std::string_view prefix) const;
  std::size_t tag_count() const;          // nodes, hidden ones included
  std::size_t visible_tag_count() const;  // nodes of users' tags; looks at every node
  InvalidationRing::Note note(Epoch epoch, std::uint64_t hash) const;
  // The newest invalidations, the newest first. An entry was found dead of the one at `epoch`.
  std::vector<RecentInvalidation> recent() const;
  void note_death(Epoch epoch) noexcept { recent_.note_death(epoch); }

  // For fork handlers: the mutex itself, to be held across the fork.
  std::mutex& mutex() noexcept { return mutex_; }

 private:
  Epoch newest(const TagPath& path) const noexcept;
  void publish(Epoch epoch, std::span<const TagPath> paths, InvalidationRing::Note note,
               Epoch again_of) noexcept;
  void release_held(std::span<const TagPath> paths) noexcept;
  bool is_held(const TagPath& path) const noexcept;
  bool is_held(const TagNode* node) const noexcept;
  Standing judge(const DepSet& deps, const TagNode* function, const TagPath* own_key,
                 Epoch born) const;
  Standing judge(const TagPath& path, Epoch born) const noexcept;
  TagNode* ensure(const TagPath& path);

  std::mutex teller_mutex_;  // guards the next, and its call
  MemoryTeller* teller_ = nullptr;
  std::atomic<TimeSource*> time_source_{nullptr};  // a home's thread may ask for the time already
  std::unique_ptr<LogHome> home_;
  std::atomic<Epoch> clock_{0};
  std::atomic<std::uint64_t> invalidations_{0};
  mutable std::mutex mutex_;  // guards everything below, and the publication of the clock
  InvalidationRing ring_;
  RecentInvalidations recent_;
  TagTrie trie_;
  std::unordered_map<std::uint64_t, std::size_t> held_;  // tag hash -> writers holding it
};

// Holds a key of a function while its invalidation is on its way to a home that a second level is
// checked by. The key is killed here (1) before and (2) after the home is told:
//   - without (1), a load that begins when the home knows could make its value of what is cached
//     here, and be newer than the invalidation there;
//   - without (2), a value that was found in the level before the home knew, since (1), would be
//     kept: it looks younger than (1);
//   - without the hold, it would be kept until (2), and be made use of as in (1).
class KeyHold {
 public:
  KeyHold(InvalidationLog& log, std::uint64_t function_id, std::uint64_t key_hash)
      : log_(log), own_(function_id, key_hash), any_(function_id, kAnyKey) {
    log_.hold_tags(std::array{own_.path(), any_.path()});
  }
  ~KeyHold() { log_.release_tags(std::array{own_.path(), any_.path()}); }
  KeyHold(const KeyHold&) = delete;
  KeyHold& operator=(const KeyHold&) = delete;
  // (2), where the first killing took the key's entry out of the table: none was stored since.
  void kill_again(std::uint32_t origin, Epoch again_of) noexcept {
    log_.apply(std::array{any_.path(), own_.path()}, origin, again_of);
  }

 private:
  InvalidationLog& log_;
  const HiddenTag own_;
  const HiddenTag any_;
};

}  // namespace zoocache::core
