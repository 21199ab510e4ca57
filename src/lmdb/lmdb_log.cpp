#include "lmdb/lmdb_log.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "lmdb/location.h"

namespace zoocache::lmdb {
namespace {

using core::Change;
using core::Epoch;
using core::InvalidationLog;

constexpr std::int64_t kLookAgainMs = 1000;  // at the folder, while hits find the clock unmoved
constexpr std::int64_t kTryAgainMs = 100;    // to open what cannot be opened
constexpr std::int64_t kRetryKeptMs = 20;    // what was not acknowledged
constexpr std::int64_t kIntentLookMs = 50;   // at intents, while any stand
constexpr std::size_t kMaxKept = 65'536;     // then: everything
constexpr std::size_t kTrimmedAtOnce = 16;   // by an append that finds too many texts
constexpr std::size_t kTrimmedWhenFull = 64;
constexpr int kAppendTries = 4;

}  // namespace

LmdbLog::LmdbLog(std::string path, LmdbOptions options)
    : path_(std::move(path)), options_(std::move(options)), self_(random_number()) {}

LmdbLog::~LmdbLog() {
  farewell();
  drop_reader();
}

void LmdbLog::drop_reader() noexcept {
  if (reader_ == nullptr) return;
  // A child of fork() leaves the parent's transaction alone.
  if (environments_.back()->is_ours()) mdb_txn_abort(reader_);
  reader_ = nullptr;
}

Environment& LmdbLog::connect(InvalidationLog& log, std::chrono::nanoseconds patience) {
  std::string why = "not opened";
  if (shared_.load() != nullptr && environments_.back()->is_intact(&why)) {
    return *environments_.back();
  }
  lose(log, why);
  const std::uint64_t before = environments_.empty() ? 0 : environments_.back()->nonce();
  std::shared_ptr<Environment> opened = Environment::open(path_, options_.map_bytes, patience);
  if (!opened->is_intact(&why)) throw HomeUnreachable(why);
  drop_reader();
  // Hits may be looking at the old one's clock: it stays.
  if (environments_.empty() || environments_.back() != opened) environments_.push_back(opened);
  Environment& environment = *environments_.back();
  const Reading reading(*this, environment);
  applied_.store(reading.snapshot());
  // Whatever was stored while nothing was known may have missed something.
  log.apply_root();
  count(&HomeCounters::connects);
  count(&HomeCounters::corruptions, environment.take_corruptions());
  if (before != 0) count(&HomeCounters::flushes);
  if (before != 0 && before != environment.nonce()) count(&HomeCounters::generation_changes);
  look_again_ms_.store(now_ms() + kLookAgainMs);
  trouble_.clear();
  shared_.store(&environment, std::memory_order_release);
  return environment;
}

void LmdbLog::lose(InvalidationLog& log, const std::string& trouble) noexcept {
  if (shared_.exchange(nullptr) != nullptr) {
    count(&HomeCounters::disconnects);
    count(&HomeCounters::flushes);
  }
  log.apply_root();
  try_again_ms_ = now_ms() + kTryAgainMs;
  try {
    trouble_ = trouble;
  } catch (const std::bad_alloc&) {
    trouble_.clear();
  }
}

void LmdbLog::refresh(InvalidationLog& log) noexcept {
  Environment* environment = nullptr;
  const auto look = [&] {
    const std::lock_guard lock(mutex_);
    if (shared_.load() == nullptr && now_ms() < try_again_ms_) {
      log.apply_root();
      return false;
    }
    try {
      catch_up(log);
      environment = shared_.load();
      return !due_.empty();
    } catch (const std::exception& error) {
      lose(log, error.what());
      return false;
    }
  };
  const bool is_due = look();
  if (environment == nullptr) return;
  if (!is_due && !has_kept_.load() && !must_declare_again_.load()) return;
  const bool is_written = upkeep(*environment);
  if (!is_due) return;
  if (is_written) {
    look();  // what it wrote
    return;
  }
  // Others write just now. They are read by nobody here meanwhile.
  const std::lock_guard lock(mutex_);
  for (const std::string& text : due_) {
    const Change change(text);
    core::apply_changes(log, {&change, 1});
  }
}

void LmdbLog::catch_up(InvalidationLog& log) {
  Environment& environment = connect(log, kShortWait);
  read_news(log, environment, 0, 0);
}

void LmdbLog::read_news(InvalidationLog& log, Environment& environment, Epoch own,
                        std::uint32_t origin) {
  const Reading reading(*this, environment);
  const Epoch snapshot = reading.snapshot();
  const Epoch applied = applied_.load();
  if (snapshot > applied) {
    const LogRows rows(reading.get(), environment.rows(), environment.nonce());
    Meta meta;
    if (!rows.read_meta(&meta) || meta.nonce != environment.nonce()) {
      throw HomeUnreachable(path_ + " holds another log than it did; remove the whole folder");
    }
    if (applied < meta.floor || !apply_rows(log, rows, own, origin)) {
      log.apply_root();
      count(&HomeCounters::flushes);
    }
    applied_.store(snapshot, std::memory_order_release);
  }
  look_at_intents(reading.get(), environment);
  const bool is_pressing = has_kept_.load() || !due_.empty() || must_declare_again_.load();
  const std::int64_t span_ms = is_pressing     ? kRetryKeptMs
                               : intents_ != 0 ? kIntentLookMs
                                               : kLookAgainMs;
  look_again_ms_.store(now_ms() + span_ms, std::memory_order_relaxed);
}

bool LmdbLog::apply_rows(InvalidationLog& log, const LogRows& rows, Epoch own,
                         std::uint32_t origin) const {
  std::size_t left = log.ring().capacity();
  bool is_all = true;
  Epoch epoch = 0;
  std::vector<Change> together;  // of one epoch
  const auto apply = [&] {
    core::apply_changes(log, together, epoch == own ? origin : 0);
    together.clear();
  };
  rows.for_each_after(applied_.load(), [&](const Row& row) {
    is_all = left > 0;
    if (!is_all) return false;
    --left;
    if (row.epoch != epoch) apply();
    epoch = row.epoch;
    together.emplace_back(row.text, row.done_by == self_);
    return true;
  });
  apply();
  return is_all;
}

Epoch LmdbLog::append(InvalidationLog& log, std::span<const Change> changes, std::uint32_t origin) {
  return append_ended(log, changes, origin, 0);
}

Epoch LmdbLog::append_ended(InvalidationLog& log, std::span<const Change> changes,
                            std::uint32_t origin, std::uint64_t ended) {
  try {
    Batch batch;
    batch.changes = changes;
    batch.ended = ended;
    return append_or_throw(log, batch, origin);
  } catch (const std::exception& error) {
    core::apply_changes(log, changes, origin);
    keep(changes, ended);
    throw HomeUnreachable(std::string("not acknowledged, and kept to be tried again: ") +
                          error.what());
  }
}

Epoch LmdbLog::append_or_throw(InvalidationLog& log, const Batch& batch, std::uint32_t origin) {
  const Written written = write_here(log, batch);
  const std::lock_guard lock(mutex_);
  // Others may have found meanwhile that it is lost.
  if (shared_.load() != written.environment.get()) connect(log, kShortWait);
  if (shared_.load() != written.environment.get()) {
    throw HomeUnreachable(written.environment->folder() + " was replaced at the same moment");
  }
  read_news(log, *written.environment, written.epoch, origin);
  return written.epoch;
}

// The one in use, without a look at it.
std::shared_ptr<Environment> LmdbLog::environment_for(InvalidationLog& log) {
  const std::lock_guard lock(mutex_);
  const bool is_open = shared_.load() != nullptr && environments_.back()->is_ours();
  if (!is_open) connect(log, seconds(options_.lock_timeout_s));
  return environments_.back();
}

LmdbLog::Written LmdbLog::write_here(InvalidationLog& log, const Batch& batch) {
  const auto patience = seconds(options_.lock_timeout_s);
  std::shared_ptr<Environment> environment = environment_for(log);
  try {
    return {environment, write(*environment, batch, patience)};
  } catch (const HomeUnreachable&) {
    const std::lock_guard lock(mutex_);
    connect(log, patience);
    if (environments_.back() == environment) throw;
    environment = environments_.back();
  }
  return {environment, write(*environment, batch, patience)};
}

Epoch LmdbLog::write(Environment& environment, const Batch& batch,
                     std::chrono::nanoseconds patience) {
  const Kept kept = take_kept();
  try {
    const Locked writing = await_turn(environment, patience);
    count(&HomeCounters::replays, kept.texts.size());
    Epoch epoch = 0;
    for (int left = kAppendTries; epoch == 0; --left) {
      try {
        epoch = write_rows(environment, kept, batch);
      } catch (const MapIsFull&) {
        count(&HomeCounters::map_full);
        if (left == 0) throw;
        make_room(environment);
      }
    }
    if (batch.is_upkeep) note_written(environment);
    return epoch;
  } catch (...) {
    keep(kept);
    throw;
  }
}

Locked LmdbLog::await_turn(Environment& environment, std::chrono::nanoseconds patience) {
  try {
    return {environment.writers(), patience, environment.folder()};
  } catch (const HomeUnreachable&) {
    if (patience.count() > 0) count(&HomeCounters::timeouts);
    throw;
  }
}

Epoch LmdbLog::write_rows(Environment& environment, const Kept& kept, const Batch& batch) {
  Transaction transaction(environment.env());
  LogRows rows(transaction.get(), environment.rows(), environment.nonce());
  IntentRows intents(transaction.get(), environment.rows());
  const Epoch applied = applied_.load();
  std::uint32_t index = 0;
  for (const std::string& text : kept.texts) rows.put({text}, index++, applied, self_);
  for (const Change& change : batch.changes) rows.put(change, index++, applied, self_);
  for (const std::uint64_t token : kept.ended) intents.remove(token);
  if (batch.ended != 0) intents.remove(batch.ended);
  if (batch.declared != nullptr) intents.put(*batch.declared);
  index = write_intents(transaction.get(), environment, batch, rows, index);
  // What a transaction changes it writes to free pages, so half of the map is kept free.
  rows.trim(options_.max_log_tags, options_.map_bytes / 2, kTrimmedAtOnce + 2 * std::size_t{index});
  const Epoch epoch = transaction.id();
  // Rows in a file that was taken away are read by nobody.
  std::string why;
  if (!environment.is_intact(&why)) throw HomeUnreachable(why);
  transaction.commit();
  return epoch;
}

void LmdbLog::make_room(Environment& environment) {
  // A reader that was killed at work holds on to the pages of its snapshot until it is looked for.
  environment.forget_dead_readers(seconds(options_.lock_timeout_s));
  Transaction transaction(environment.env());
  LogRows rows(transaction.get(), environment.rows(), environment.nonce());
  rows.trim(0, 0, kTrimmedWhenFull);
  transaction.commit();
}

LmdbLog::Kept LmdbLog::take_kept() {
  const std::lock_guard lock(kept_mutex_);
  has_kept_.store(false);
  return std::exchange(kept_, {});
}

void LmdbLog::keep(std::span<const Change> changes, std::uint64_t ended) {
  Kept kept;
  for (const Change& change : changes) kept.texts.emplace_back(change.text);
  if (ended != 0) kept.ended.push_back(ended);
  keep(kept);
}

void LmdbLog::keep(const Kept& kept) {
  if (kept.texts.empty() && kept.ended.empty()) return;
  const std::lock_guard lock(kept_mutex_);
  has_kept_.store(true);
  look_again_ms_.store(now_ms() + kRetryKeptMs, std::memory_order_relaxed);
  std::vector<std::string>& texts = kept_.texts;
  for (const std::string& text : kept.texts) {
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  if (texts.size() > kMaxKept) texts.assign(1, std::string());
  // Those that are too many fire by themselves.
  for (const std::uint64_t token : kept.ended) {
    if (kept_.ended.size() < kMaxKept) kept_.ended.push_back(token);
  }
}

void LmdbLog::count(std::uint64_t HomeCounters::*counter, std::uint64_t more) noexcept {
  const std::lock_guard lock(counters_mutex_);
  counters_.*counter += more;
}

Environment& LmdbLog::environment_or_throw() const {
  if (shared_.load() == nullptr) throw HomeUnreachable(trouble_);
  return *environments_.back();
}

Epoch LmdbLog::version(const core::TagPath& path) {
  const std::lock_guard lock(mutex_);
  Environment& environment = environment_or_throw();
  const Reading reading(*this, environment);
  const LogRows rows(reading.get(), environment.rows(), environment.nonce());
  return core::newest_on_path(path, [&rows](std::string_view text) { return rows.version(text); });
}

HomeStatus LmdbLog::status() {
  const std::lock_guard lock(mutex_);
  HomeStatus status;
  status.kind = "lmdb";
  status.applied = applied_.load();
  status.trouble = trouble_;
  status.intents = intents_;
  status.fired_intents = fired_.load();
  {
    const std::lock_guard counting(counters_mutex_);
    status.counters = counters_;
  }
  Environment* const environment = shared_.load();
  status.reachable = environment != nullptr;
  if (environment == nullptr) return status;
  status.generation = environment->nonce();
  status.clock = environment->clock();
  const Reading reading(*this, *environment);
  Meta meta;
  if (LogRows(reading.get(), environment->rows(), environment->nonce()).read_meta(&meta)) {
    status.floor = meta.floor;
  }
  return status;
}

Epoch LmdbLog::newest() {
  const std::lock_guard lock(mutex_);
  return environment_or_throw().clock();
}

core::HomePosition LmdbLog::position() noexcept {
  const std::lock_guard lock(mutex_);
  if (shared_.load() == nullptr) return {};
  return {true, environments_.back()->nonce(), applied_.load()};
}

bool LmdbLog::holds(std::uint64_t generation, Epoch born, std::span<const std::string> texts) {
  const std::lock_guard lock(mutex_);
  Environment& environment = environment_or_throw();
  if (generation != environment.nonce()) return false;
  const Reading reading(*this, environment);
  const LogRows rows(reading.get(), environment.rows(), environment.nonce());
  Meta meta;
  if (!rows.read_meta(&meta) || meta.nonce != generation || born < meta.floor) return false;
  const auto version = [&rows](std::string_view text) { return rows.version(text); };
  return core::newest_of(texts, version) <= born;
}

}  // namespace zoocache::lmdb
