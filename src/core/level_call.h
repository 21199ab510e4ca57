// One call's dealings with the second level: from its miss in memory to what becomes of its load.
//
//   look ── a value that holds ──> value, born_here
//     └──── nothing ── begin_load ── loader ── keep ── finish: put, or release
//
// Interleavings, with L the local log's clock and H the home's:
//   (1) look reads L, then the entry, then asks the home whether it holds. What is invalidated
//       after that gets a later L when it is applied here, so that an entry of memory that is made
//       of the value, born at the L that was read, dies with it. What was invalidated before the
//       home was asked makes the entry be refused.
//   (2) begin_load reads H as far as it is applied here, then the loader runs. What was
//       acknowledged up to H had returned, or is seen by the loader; what comes later refuses the
//       entry wherever it is read.
//   (3) A call that waits for another process's load holds no claim, and one that leads a load
//       around it does not wait: two processes cannot wait for each other.
// Thread-safety: one thread at a time. Everything but `begin_load` and `keep` may wait for a file
// or a network; no lock may be held.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/dep_set.h"
#include "core/home.h"
#include "core/moment.h"
#include "core/second_level.h"

namespace zoocache::core {

class InvalidationLog;

// Then a load of its own, so that storms of invalidations make progress.
inline constexpr int kLevelRounds = 3;

// How the key of a call is told to other processes.
struct LevelKey {
  std::uint64_t function_id = 0;
  std::string bytes;  // the function's identity, then the arguments in their canonical form
  std::uint64_t hash() const noexcept;
  std::string text() const;  // its hidden tag
};

class LevelCall {
 public:
  LevelCall(InvalidationLog& log, std::shared_ptr<SecondLevel> level, LevelKey key);
  // Lets go of the claim, if `finish` did not.
  ~LevelCall();
  LevelCall(const LevelCall&) = delete;
  LevelCall& operator=(const LevelCall&) = delete;

  enum class Found { kValue, kNothing, kTimedOut };
  // Looks for a value that holds. Where there is none and the load is `shared`, claims it, or waits
  // for whoever did, at most so long; kTimedOut: in vain. Throws nothing: what cannot be asked has
  // nothing.
  Found look(bool shared, std::chrono::nanoseconds at_most) noexcept;
  // After kValue.
  const StoredValue& value() const noexcept { return value_; }
  Epoch born_here() const noexcept { return born_here_; }
  // What that value depends on, as an entry of memory does.
  void depend(DepSet& deps) const;

  // Before the loader runs: what it gives is born now. False: it will not be kept.
  bool begin_load() noexcept;
  // After that: the load uses data that was read at that position.
  void be_no_newer_than(const HomePosition& position) noexcept {
    born_ = older_of(born_, position);
  }
  // What the load gave, to be stored by `finish`.
  void keep(std::string payload, const DepSet& deps, std::int64_t lives_ns);
  // Its loader failed: who waits for it loads for itself.
  void fail() noexcept { has_failed_ = true; }
  bool is_kept() const noexcept { return is_kept_; }
  bool has_work() const noexcept { return is_kept_ || token_ != 0; }
  // Stores what was kept and frees the claim. False: it was not stored; the message says why.
  bool finish(std::string* trouble) noexcept;

  const LevelKey& key() const noexcept { return key_; }

 private:
  friend class LevelBatch;  // the same steps, of many calls at once

  LogHome::Question question(const StoredValue& value) const;
  Found look_or_throw(bool shared, std::chrono::nanoseconds at_most);
  bool holds(const StoredValue& value);

  InvalidationLog& log_;
  const std::shared_ptr<SecondLevel> level_;
  const LevelKey key_;
  StoredValue value_;  // found, or to be stored
  Epoch born_here_ = 0;
  HomePosition born_;
  std::uint64_t token_ = 0;  // of our claim
  bool is_kept_ = false;
  bool has_failed_ = false;
};

}  // namespace zoocache::core
