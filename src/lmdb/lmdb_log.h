// A cache's connection to an LMDB home: see core/home.h for what it promises.
//
//   hit         (1) the shared clock  (2) is it what was applied?  if so, that was all
//   refresh     (1) look at the folder  (2) begin to read: snapshot s  (3) rows after `applied`,
//               oldest first, are applied; too many: everything dies instead
//               (4) applied := s          one refresh at a time
//   append      (1) writers' lock, in time  (2) rows, look at the folder, commit at epoch e
//               (3) unlock  (4) refresh from its (2) on: s >= e, since the commit was before
//
// The look (Environment::is_intact) finds a file that was removed or replaced, and processes that
// must not be there. One in append is enough, at any moment t after its begin: whoever reads
// another file than this one at t or later opened it after t, and forgot everything then; so that
// what it serves was read after the change. Whoever reads this file hears of the rows. (The
// exception is who has not found out yet that the name led elsewhere at t: hits look once a
// second.) If the look fails, what is on the path now is opened, once, and written to. Too many
// rows are more than the local log remembers (ring_records): loads that began before are not stored
// then either way, and to read a million rows keeps every call waiting for a third of a second. As
// where rows were forgotten, everything is invalidated before `applied` moves.
//
// `applied` comes from the number of the snapshot that was read, never from the shared clock: that
// one may be ahead of what a reader that begins now sees. Then the writer has not returned yet, and
// the next hit looks again.
// What was declared and not acknowledged is kept and tried again, at the next append or, some
// milliseconds later, at the next hit.
//
// Intents (core/intent.h) are rows of the file, so that every declaration moves the clock, and
// every process that hits knows of it: from then on it looks at them at the latest every 50 ms.
//   look        (1) rows of the snapshot that is read anyway  (2) is the owner alive, is it old?
//   fire        (1) writers' lock, without waiting  (2) the same look in a transaction: who comes
//               second finds nothing to do  (3) the tags' rows, and the intent's, commit
//               (4) refresh. Without the lock the tags die here, and it is tried again
//   end         one transaction: the tags' rows, the intent's row goes
// A folder that is another one has lost them: open ones are declared again by the next look.
// A connection that ends before its blocks do gives their intents up: they fire as a dead owner's.
// Thread-safety: as LogHome.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/home.h"
#include "core/intent.h"
#include "core/log.h"
#include "lmdb/environment.h"
#include "lmdb/intent_rows.h"
#include "lmdb/rows.h"
#include "zoocache/lmdb.h"

namespace zoocache::lmdb {

class LmdbLog final : public core::LogHome {
 public:
  // Opens the folder; one that cannot be opened now is tried again when it is used.
  LmdbLog(std::string path, LmdbOptions options);
  ~LmdbLog() override;

  bool is_fresh() const noexcept override {
    const Environment* const environment = shared_.load(std::memory_order_acquire);
    return environment != nullptr &&
           environment->clock() <= applied_.load(std::memory_order_acquire) &&
           now_ms() < look_again_ms_.load(std::memory_order_relaxed);
  }
  void refresh(core::InvalidationLog& log) noexcept override;
  core::Epoch append(core::InvalidationLog& log, std::span<const core::Change> changes,
                     std::uint32_t origin) override;
  std::uint64_t declare_intent(core::InvalidationLog& log,
                               std::span<const core::Change> changes) override;
  core::Epoch fire_intent(core::InvalidationLog& log, std::uint64_t token,
                          std::span<const core::Change> changes, std::uint32_t origin) override;
  void drop_intent(core::InvalidationLog& log, std::uint64_t token) noexcept override;
  core::Epoch version(const core::TagPath& path) override;
  HomeStatus status() override;
  core::Epoch newest() override;
  core::HomePosition position() noexcept override;
  bool holds(std::uint64_t generation, core::Epoch born,
             std::span<const std::string> texts) override;

  // In lmdb_log_looks.cpp.
  core::HomeLook look(std::span<const std::string> texts) override;
  core::HomeRows rows(const std::string& from, std::size_t most) override;
  std::vector<core::HomeNode> nodes() override;
  core::Facts facts() override;

 private:
  class Reading;
  struct Kept {
    std::vector<std::string> texts;    // declared
    std::vector<std::uint64_t> ended;  // intents
  };
  // What one transaction does, beside what was kept.
  struct Batch {
    std::span<const core::Change> changes = {};
    const IntentRow* declared = nullptr;
    std::uint64_t ended = 0;   // an intent; 0: none
    bool is_upkeep = false;    // carries out and declares again what is due
    bool is_farewell = false;  // gives up what is open
  };
  struct OpenIntent {
    Owner owner;  // a child of fork() has its parent's in memory
    std::uint64_t nonce = 0;
    std::vector<std::string> texts;
  };

  static std::int64_t now_ms() noexcept {
    return core::read_clock_ns(CLOCK_MONOTONIC_COARSE) / 1'000'000;
  }
  // The environment, opened anew if it has to be: then nothing of before is valid. `patience` with
  // others who open it just now. With the mutex.
  Environment& connect(core::InvalidationLog& log, std::chrono::nanoseconds patience);
  // The one that is in use. With the mutex. Throws HomeUnreachable.
  Environment& environment_or_throw() const;
  void catch_up(core::InvalidationLog& log);
  // The rows that are new; `own`: the epoch of those that were declared at `origin`. REQUIRES: the
  // environment was looked at just now. With the mutex.
  void read_news(core::InvalidationLog& log, Environment& environment, core::Epoch own,
                 std::uint32_t origin);
  // False: there are too many.
  bool apply_rows(core::InvalidationLog& log, const LogRows& rows, core::Epoch own,
                  std::uint32_t origin) const;
  core::Epoch append_ended(core::InvalidationLog& log, std::span<const core::Change> changes,
                           std::uint32_t origin, std::uint64_t ended);
  core::Epoch append_or_throw(core::InvalidationLog& log, const Batch& batch, std::uint32_t origin);
  struct Written {
    std::shared_ptr<Environment> environment;
    core::Epoch epoch = 0;
  };
  // Writes to what is on the path now.
  Written write_here(core::InvalidationLog& log, const Batch& batch);
  // One transaction of what was kept and of the batch; what was kept is kept again if it fails.
  core::Epoch write(Environment& environment, const Batch& batch,
                    std::chrono::nanoseconds patience);
  core::Epoch write_rows(Environment& environment, const Kept& kept, const Batch& batch);
  void make_room(Environment& environment);
  Kept take_kept();
  void keep(std::span<const core::Change> changes, std::uint64_t ended);
  void keep(const Kept& kept);
  std::shared_ptr<Environment> environment_for(core::InvalidationLog& log);

  // In lmdb_log_intents.cpp.
  bool take_open(std::uint64_t token);
  void look_at_intents(MDB_txn* transaction, const Environment& environment);
  core::IntentStep step_of(const IntentRow& row, OwnerLook& look) const;
  std::uint32_t write_intents(MDB_txn* transaction, Environment& environment, const Batch& batch,
                              LogRows& rows, std::uint32_t index);
  void note_written(const Environment& environment);
  // Writes what was kept and what is due, if nobody else writes now. True: something was written.
  bool upkeep(Environment& environment) noexcept;
  void farewell() noexcept;
  // The writers' lock. Throws HomeUnreachable.
  Locked await_turn(Environment& environment, std::chrono::nanoseconds patience);
  void count(std::uint64_t HomeCounters::*counter, std::uint64_t more = 1) noexcept;

  // Nothing is known: everything dies.
  void lose(core::InvalidationLog& log, const std::string& trouble) noexcept;
  void drop_reader() noexcept;

  const std::string path_;
  const LmdbOptions options_;
  std::uint64_t self_ = 0;  // this connection, in rows; not 0

  std::atomic<Environment*> shared_{nullptr};  // nullptr: not reachable
  std::atomic<core::Epoch> applied_{0};
  std::atomic<std::int64_t> look_again_ms_{0};  // at the latest

  std::mutex mutex_;  // guards the reader, the environments and `trouble_`
  std::vector<std::shared_ptr<Environment>> environments_;  // the last is in use; hits may hold any
  MDB_txn* reader_ = nullptr;                               // of the last one, at rest
  std::int64_t try_again_ms_ = 0;
  std::string trouble_;
  std::vector<std::string> due_;  // of intents that have to fire, as of the last look
  std::size_t intents_ = 0;       // all that stood then

  std::mutex kept_mutex_;  // guards what follows
  Kept kept_;              // not acknowledged
  std::map<std::uint64_t, OpenIntent> open_;
  std::vector<std::uint64_t> declared_again_;  // by the transaction that is under way
  std::uint64_t firing_ = 0;                   // by that one
  std::atomic<bool> must_declare_again_{false};
  std::atomic<std::uint64_t> fired_{0};
  std::atomic<bool> has_kept_{false};

  std::mutex counters_mutex_;  // the last that is taken
  HomeCounters counters_;
};

// The reader at work while the scope lives.
class LmdbLog::Reading {
 public:
  Reading(LmdbLog& home, Environment& environment) : home_(home) {
    if (home_.reader_ == nullptr) {
      check(environment.begin_reading(&home_.reader_), "begin to read");
    } else {
      const int result = mdb_txn_renew(home_.reader_);
      if (result != MDB_SUCCESS) {
        home_.drop_reader();
        check(result, "begin to read");
      }
    }
  }
  ~Reading() { mdb_txn_reset(home_.reader_); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  MDB_txn* get() const noexcept { return home_.reader_; }
  core::Epoch snapshot() const noexcept { return mdb_txn_id(home_.reader_); }

 private:
  LmdbLog& home_;
};

}  // namespace zoocache::lmdb
