// The intents of a connection to an LMDB home: see lmdb_log.h and core/intent.h.
#include <unistd.h>

#include <exception>
#include <string>
#include <utility>

#include "core/clock.h"
#include "lmdb/lmdb_log.h"
#include "lmdb/location.h"

namespace zoocache::lmdb {
namespace {

using core::Change;
using core::Epoch;
using core::IntentStep;
using core::InvalidationLog;

constexpr std::chrono::milliseconds kFarewell{50};

}  // namespace

std::uint64_t LmdbLog::declare_intent(InvalidationLog& log, std::span<const Change> changes) {
  IntentRow row;
  while (row.token == 0) row.token = random_number();
  row.owner = this_process();
  row.texts = core::intent_texts(changes);
  try {
    row.since_ns = core::boot_time_ns();
    Batch batch;
    batch.declared = &row;
    const Written written = write_here(log, batch);
    const std::lock_guard lock(kept_mutex_);
    open_[row.token] = {row.owner, written.environment->nonce(), std::move(row.texts)};
  } catch (const HomeUnreachable& error) {
    throw HomeUnreachable(
        std::string("the write must not begin, since its tags cannot be declared: ") +
        error.what());
  }
  return row.token;
}

Epoch LmdbLog::fire_intent(InvalidationLog& log, std::uint64_t token,
                           std::span<const Change> changes, std::uint32_t origin) {
  return append_ended(log, changes, origin, take_open(token) ? token : 0);
}

void LmdbLog::drop_intent(InvalidationLog& log, std::uint64_t token) noexcept {
  try {
    if (!take_open(token)) return;
    try {
      Batch batch;
      batch.ended = token;
      write_here(log, batch);
    } catch (const HomeUnreachable&) {
      keep({}, token);
    }
  } catch (const std::exception&) {
    return;  // no memory: it fires
  }
}

// False: it is not open, or its block is the parent's and not this child's of fork(). From now on
// no upkeep declares it again: that is decided in the transaction, and the one that takes the row
// away comes after this.
bool LmdbLog::take_open(std::uint64_t token) {
  const std::lock_guard lock(kept_mutex_);
  const auto found = open_.find(token);
  if (found == open_.end()) return false;
  const bool is_mine = found->second.owner == this_process();
  open_.erase(found);
  return is_mine;
}

IntentStep LmdbLog::step_of(const IntentRow& row, OwnerLook& look) const {
  const std::chrono::nanoseconds span = seconds(options_.max_commit_time_s);
  const bool is_old = core::boot_time_ns() - row.since_ns >= span.count();
  return core::next_step(look.is_alive(row.owner), row.has_fired, is_old);
}

// REQUIRES: the mutex.
void LmdbLog::look_at_intents(MDB_txn* transaction, const Environment& environment) {
  due_.clear();
  OwnerLook look;
  const std::vector<IntentRow> rows = IntentRows(transaction, environment.rows()).read_all();
  intents_ = rows.size();
  for (const IntentRow& row : rows) {
    const bool is_due = step_of(row, look) != IntentStep::kNothing;
    if (is_due) due_.insert(due_.end(), row.texts.begin(), row.texts.end());
  }
  const std::lock_guard lock(kept_mutex_);
  for (const auto& [token, open] : open_) {
    const bool is_mine = open.owner.pid == getpid();
    if (is_mine && open.nonce != environment.nonce()) must_declare_again_.store(true);
  }
}

// In a transaction, so that two who notice do each step once. The index of the next row of the log.
std::uint32_t LmdbLog::write_intents(MDB_txn* transaction, Environment& environment,
                                     const Batch& batch, LogRows& rows, std::uint32_t index) {
  if (!batch.is_upkeep && !batch.is_farewell) return index;
  IntentRows intents(transaction, environment.rows());
  const Owner self = this_process();
  const std::int64_t now_ns = core::boot_time_ns();
  OwnerLook look;
  std::uint64_t firing = 0;
  for (IntentRow& row : intents.read_all()) {
    const IntentStep step = step_of(row, look);
    if (step == IntentStep::kNothing) continue;
    ++firing;
    for (const std::string& text : row.texts) rows.put({text}, index++, applied_.load(), self_);
    if (step == IntentStep::kFireAndForget) {
      intents.remove(row.token);
      continue;
    }
    row.has_fired = !look.is_alive(row.owner);
    row.since_ns = now_ns;
    intents.put(row);
  }
  const std::lock_guard lock(kept_mutex_);
  firing_ = firing;
  declared_again_.clear();
  for (const auto& [token, open] : open_) {
    if (open.owner != self) continue;
    if (!batch.is_farewell && open.nonce == environment.nonce()) continue;
    intents.put({token, batch.is_farewell ? Owner() : self, now_ns, false, open.texts});
    declared_again_.push_back(token);
  }
  return index;
}

// REQUIRES: the writers' lock.
void LmdbLog::note_written(const Environment& environment) {
  const std::lock_guard lock(kept_mutex_);
  fired_.fetch_add(firing_);
  must_declare_again_.store(false);
  for (const std::uint64_t token : declared_again_) {
    const auto open = open_.find(token);
    if (open != open_.end()) open->second.nonce = environment.nonce();
  }
}

bool LmdbLog::upkeep(Environment& environment) noexcept {
  try {
    Batch batch;
    batch.is_upkeep = true;
    write(environment, batch, std::chrono::nanoseconds(0));
    return true;
  } catch (const std::exception&) {
    return false;  // tried again at a later hit
  }
}

// Whether their writes were committed, nobody will say any more.
void LmdbLog::farewell() noexcept {
  try {
    if (open_.empty() || environments_.empty() || !environments_.back()->is_ours()) return;
    Batch batch;
    batch.is_farewell = true;
    write(*environments_.back(), batch, kFarewell);
  } catch (const std::exception&) {
    return;  // then they fire while the process lives, and after
  }
}

}  // namespace zoocache::lmdb
