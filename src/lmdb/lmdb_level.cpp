#include "lmdb/lmdb_level.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <thread>
#include <utility>

#include "codec/stored_value.h"
#include "core/clock.h"
#include "lmdb/location.h"
#include "lmdb/registry.h"

namespace zoocache::lmdb {
namespace {

using core::SeenEntry;
using core::StoredValue;

constexpr std::int64_t kTryAgainNs = 100'000'000;  // to open what cannot be opened
constexpr std::chrono::microseconds kFirstPause{500};
constexpr std::chrono::milliseconds kLongestPause{20};
constexpr int kStoreTries = 16;
constexpr int kEvictedAtOnce = 256;                     // by one transaction that stores
constexpr int kEvictedWhenFull = 16;                    // by one that has no free pages to write to
constexpr std::size_t kEvictedBytes = 65'536;           // then, or as much as is wanted
constexpr int kEvictingRounds = 64;                     // of such transactions, until there is room
constexpr int kSweptAtOnce = 2;                         // as many as a transaction adds, and one
constexpr std::int64_t kFailedKeptNs = 10'000'000'000;  // for waiters, who look every 20 ms
constexpr std::size_t kMostKept = 4096;                 // then the oldest end with the process

// Takes some flights away whose owners are dead, and failed ones that nobody took over.
void sweep(LevelRows& rows, Digest* at) {
  const Owner self = this_process();
  const std::int64_t now_ns = core::boot_time_ns();
  rows.sweep(at, kSweptAtOnce, [&self, now_ns](const Flight& flight) {
    if (flight.failed_ns == 0) return flight.owner != self && !is_alive(flight.owner);
    return now_ns - flight.failed_ns > kFailedKeptNs || now_ns < flight.failed_ns;
  });
}

codec::EnvelopeLimits limits_of(const LmdbStorageOptions& options) {
  codec::EnvelopeLimits limits;
  limits.max_payload_bytes = options.max_value_bytes;
  return limits;
}

// The moment that lies `span` after `now`, as far as there are such.
std::int64_t moment_after(std::int64_t now_ns, std::int64_t span_ns) noexcept {
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
  return span_ns > kLast - now_ns ? kLast : now_ns + span_ns;
}

}  // namespace

LmdbLevel::LmdbLevel(std::string path, const LmdbStorageOptions& options,
                     std::shared_ptr<LevelEnvironment> opened, DigestOf digest)
    : path_(std::move(path)),
      options_(options),
      codec_(limits_of(options), options.secrets),
      digest_of_(digest),
      environment_(std::move(opened)) {
  if (environment_ != nullptr) note_opened(*environment_);
}

template <class Work>
decltype(auto) LmdbLevel::counted(Work&& work) {
  try {
    return work();
  } catch (const HomeUnreachable&) {
    tally_.errors.fetch_add(1);
    throw;
  }
}

void LmdbLevel::note_opened(LevelEnvironment& environment) noexcept {
  tally_.connects.fetch_add(1);
  tally_.corruptions.fetch_add(environment.take_corruptions());
}

void LmdbLevel::ask_whether_there() {
  const std::shared_ptr<LevelEnvironment> environment = connect(kShortWait);
  const LevelEnvironment::Reading reading(*environment);
}

std::shared_ptr<LevelEnvironment> LmdbLevel::connect(std::chrono::nanoseconds patience) {
  std::shared_ptr<LevelEnvironment> current;
  {
    const std::lock_guard lock(Registry::instance().brief_mutex());
    current = environment_;
  }
  std::string why = path_ + " is not open";
  if (current != nullptr && current->is_intact(&why)) return current;
  if (current != nullptr && lost_.exchange(current.get()) != current.get()) {
    tally_.disconnects.fetch_add(1);
  }
  current.reset();
  return reopen(why, patience);
}

std::shared_ptr<LevelEnvironment> LmdbLevel::reopen(const std::string& why,
                                                    std::chrono::nanoseconds patience) {
  if (core::boot_time_ns() < try_again_ns_.load()) throw HomeUnreachable(why);
  std::shared_ptr<LevelEnvironment> opened;
  try {
    opened = LevelEnvironment::open(path_, patience);
    std::string trouble;
    if (!opened->is_intact(&trouble)) throw HomeUnreachable(trouble);
  } catch (const HomeUnreachable&) {
    try_again_ns_.store(core::boot_time_ns() + kTryAgainNs);
    throw;
  }
  lost_.store(nullptr);
  note_opened(*opened);
  std::shared_ptr<LevelEnvironment> old = opened;  // its end takes the registry's other mutex
  const std::lock_guard lock(Registry::instance().brief_mutex());
  std::swap(environment_, old);
  return opened;
}

// The envelope's expiry is a moment of this machine's boot time.
std::optional<StoredValue> LmdbLevel::decode(std::string_view envelope,
                                             std::string_view key) const {
  std::int64_t expiry_ns = 0;
  std::optional<StoredValue> value = codec::decode_value(codec_, envelope, key, &expiry_ns);
  if (!value) tally_.rejected.fetch_add(1, std::memory_order_relaxed);
  if (value && expiry_ns != 0) {
    value->lives_ns = expiry_ns - core::boot_time_ns();
    if (value->lives_ns <= 0) return std::nullopt;
  }
  return value;
}

std::string LmdbLevel::encode(std::string_view key, const StoredValue& value) const {
  const std::int64_t expiry_ns =
      value.lives_ns == 0 ? 0 : moment_after(core::boot_time_ns(), value.lives_ns);
  return codec::encode_value(codec_, key, value, expiry_ns);
}

std::optional<StoredValue> LmdbLevel::get(std::string_view key) {
  return std::move(get_many({&key, 1}).front());
}

core::SecondLevel::Claim LmdbLevel::look(const LevelRows& rows, const Digest& digest,
                                         std::string_view key,
                                         const std::optional<SeenEntry>& refused) const {
  if (const auto envelope = rows.envelope(digest)) {
    std::optional<StoredValue> there = decode(*envelope, key);
    if (core::is_news(there, refused)) {
      return {Claim::Kind::kFound, 0, std::move(*there)};
    }
  }
  const std::optional<Flight> flight = rows.flight(digest);
  const bool is_taken = flight && flight->token != 0 && flight->failed_ns == 0 &&
                        !kept(flight->token) && is_alive(flight->owner);
  if (is_taken) return {Claim::Kind::kTaken, flight->token, {}};
  return {Claim::Kind::kMine, 0, {}};
}

core::SecondLevel::Claim LmdbLevel::claim(std::string_view key,
                                          const std::optional<SeenEntry>& refused) {
  Claiming one{.key = key, .refused = refused, .claim = {}};
  counted([&] { claim_some({&one, 1}); });
  return *std::move(one.claim);
}

std::vector<std::optional<StoredValue>> LmdbLevel::get_many(
    std::span<const std::string_view> keys) {
  return counted([&] {
    const std::shared_ptr<LevelEnvironment> environment = connect(kShortWait);
    const LevelEnvironment::Reading reading(*environment);
    Table table = reading.table();
    const LevelRows rows(table);
    std::vector<std::optional<StoredValue>> values;
    values.reserve(keys.size());
    for (const std::string_view key : keys) {
      const auto envelope = rows.envelope(where(*environment, key));
      values.push_back(envelope ? decode(*envelope, key) : std::nullopt);
    }
    return values;
  });
}

void LmdbLevel::claim_many(std::span<Claiming> claims) {
  for (std::size_t at = 0; at < claims.size(); at += kWrittenAtOnce) {
    counted([&] { claim_some(claims.subspan(at, std::min(kWrittenAtOnce, claims.size() - at))); });
  }
}

void LmdbLevel::claim_some(std::span<Claiming> claims) {
  const auto patience = seconds(options_.lock_timeout_s);
  const std::shared_ptr<LevelEnvironment> environment = connect(patience);
  std::vector<Claiming*> open;
  {
    const LevelEnvironment::Reading reading(*environment);
    Table table = reading.table();
    const LevelRows rows(table);
    for (Claiming& one : claims) {
      Claim seen = look(rows, where(*environment, one.key), one.key, one.refused);
      if (seen.kind == Claim::Kind::kMine) {
        open.push_back(&one);
      } else {
        one.claim = std::move(seen);
      }
    }
  }
  if (open.empty()) return;
  std::vector<Claim> answers(open.size());
  LevelEnvironment::Writing writing(*environment, patience);
  change(*environment, writing, 0, [&](LevelRows& rows) {
    for (std::size_t index = 0; index < open.size(); ++index) {
      const Digest digest = where(*environment, open[index]->key);
      answers[index] = look(rows, digest, open[index]->key, open[index]->refused);
      if (answers[index].kind != Claim::Kind::kMine) continue;
      const Flight mine{random_number(), this_process(), 0};
      rows.put_flight(digest, mine);
      answers[index].token = mine.token;
      sweep(rows, writing.swept_to());
    }
  });
  for (std::size_t index = 0; index < open.size(); ++index) {
    open[index]->claim = std::move(answers[index]);
  }
}

core::SecondLevel::Waited LmdbLevel::wait(std::string_view key, std::uint64_t token,
                                          std::chrono::nanoseconds at_most) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::hours kLongest{24 * 365};
  const auto until = Clock::now() + std::min<std::chrono::nanoseconds>(at_most, kLongest);
  std::chrono::nanoseconds pause = kFirstPause;
  for (;;) {
    if (const std::optional<End> ended = kept(token)) {
      return ended->failed_ns != 0 ? Waited::kFailed : Waited::kEnded;
    }
    const std::optional<Flight> flight = counted([&] {
      const std::shared_ptr<LevelEnvironment> environment = connect(kShortWait);
      const LevelEnvironment::Reading reading(*environment);
      Table table = reading.table();
      return LevelRows(table).flight(where(*environment, key));
    });
    if (!flight || flight->token != token) return Waited::kEnded;
    if (flight->failed_ns != 0) return Waited::kFailed;
    if (!is_alive(flight->owner)) return Waited::kEnded;
    const std::chrono::nanoseconds left = until - Clock::now();
    if (left.count() <= 0) return Waited::kTimedOut;
    std::this_thread::sleep_for(std::min(pause, left));
    pause = std::min<std::chrono::nanoseconds>(2 * pause, kLongestPause);
  }
}

void LmdbLevel::put(std::string_view key, std::uint64_t token, const StoredValue& value) {
  const End end{std::string(key), token, 0};
  std::string envelope;
  try {
    envelope = encode(key, value);
  } catch (const SerializationError& error) {
    release(key, token, false);
    throw StorageIsFull(error.what());
  }
  try {
    counted([&] {
      const auto patience = seconds(options_.lock_timeout_s);
      const std::shared_ptr<LevelEnvironment> environment = connect(patience);
      LevelEnvironment::Writing writing(*environment, patience);
      store(*environment, writing, end, envelope);
    });
  } catch (const StorageIsFull&) {
    throw;
  } catch (...) {
    keep(end);
    throw;
  }
}

std::size_t LmdbLevel::most_bytes() const noexcept { return options_.max_bytes / 4 * 3; }

void LmdbLevel::put_many(std::span<Putting> puts) noexcept {
  for (std::size_t at = 0; at < puts.size(); at += kWrittenAtOnce) {
    const auto some = puts.subspan(at, std::min(kWrittenAtOnce, puts.size() - at));
    try {
      put_some(some);
    } catch (const std::exception&) {
      // Nothing was written. Each says by itself what is wrong with it, below.
    }
    for (Putting& one : some) {
      if (!one.is_stored) SecondLevel::put_many({&one, 1});
    }
  }
}

void LmdbLevel::put_some(std::span<Putting> puts) {
  std::vector<std::string> envelopes;
  std::size_t size_bytes = 0;
  for (const Putting& one : puts) {
    envelopes.push_back(encode(one.key, *one.value));
    size_bytes += envelopes.back().size();
  }
  const auto patience = seconds(options_.lock_timeout_s);
  const std::shared_ptr<LevelEnvironment> environment = connect(patience);
  LevelEnvironment::Writing writing(*environment, patience);
  std::vector<bool> are_stored(puts.size());
  change(*environment, writing, size_bytes, [&](LevelRows& rows) {
    for (std::size_t index = 0; index < puts.size(); ++index) {
      const Digest digest = where(*environment, puts[index].key);
      are_stored[index] =
          put_row(rows, digest, puts[index].token, envelopes[index], writing.swept_to());
    }
  });
  for (std::size_t index = 0; index < puts.size(); ++index) {
    puts[index].is_stored = are_stored[index];
  }
}

bool LmdbLevel::put_row(LevelRows& rows, const Digest& digest, std::uint64_t token,
                        std::string_view envelope, Digest* swept_to) const {
  if (!rows.make_room(envelope.size(), most_bytes(), kEvictedAtOnce)) return false;
  rows.put(digest, envelope);
  rows.end_flight(digest, token, 0);
  sweep(rows, swept_to);
  return true;
}

void LmdbLevel::store(LevelEnvironment& environment, LevelEnvironment::Writing& writing,
                      const End& end, std::string_view envelope) {
  const Digest digest = where(environment, end.key);
  bool is_stored = false;
  try {
    for (int left = kStoreTries; !is_stored && left > 0; --left) {
      change(environment, writing, envelope.size(), [&](LevelRows& rows) {
        is_stored = put_row(rows, digest, end.token, envelope, writing.swept_to());
      });
    }
  } catch (const MapIsFull&) {
    is_stored = false;
  }
  if (is_stored) return;
  keep(end);
  try {
    change(environment, writing, 0, [](LevelRows&) {});
  } catch (const MapIsFull&) {
    // It is kept: whoever writes next frees the claim, and this process knows of it.
  }
  throw StorageIsFull(
      environment.folder() + " has no room for an entry of " + std::to_string(envelope.size()) +
      " bytes; max_bytes=" + std::to_string(options_.max_bytes) + " allows for so much");
}

template <class Work>
void LmdbLevel::change(LevelEnvironment& environment, LevelEnvironment::Writing& writing,
                       std::size_t size_bytes, Work&& work) {
  std::vector<End> ends;
  {
    const std::lock_guard lock(Registry::instance().brief_mutex());
    ends = kept_;
  }
  for (int tries = 0;; ++tries) {
    try {
      writing.transact([&](Table& table) {
        LevelRows rows(table);
        for (const End& one : ends) {
          rows.end_flight(where(environment, one.key), one.token, one.failed_ns);
        }
        work(rows);
        return true;
      });
      break;
    } catch (const MapIsFull&) {
      if (tries == kStoreTries) throw;
    }
    make_room(environment, writing, size_bytes, tries > 0);
  }
  if (ends.empty()) return;
  const std::lock_guard lock(Registry::instance().brief_mutex());
  std::erase_if(kept_, [&ends](const End& one) {
    return std::any_of(ends.begin(), ends.end(),
                       [&one](const End& written) { return written.token == one.token; });
  });
}

void LmdbLevel::make_room(LevelEnvironment& environment, LevelEnvironment::Writing& writing,
                          std::size_t size_bytes, bool evicts) {
  // A reader that was killed at work holds on to the pages of its snapshot until it is looked for.
  environment.forget_dead_readers(kShortWait);
  if (environment.grow(options_.max_bytes)) return;
  const auto commits = [&writing](auto&& work) {
    try {
      writing.transact([&work](Table& table) {
        work(table);
        return true;
      });
      return true;
    } catch (const MapIsFull&) {
      return false;
    }
  };
  // Small entries lie anywhere among others: many have to go before a page is empty, and each of
  // those that change is written anew.
  bool has_room = !evicts;
  for (int rounds = kEvictingRounds; rounds > 0; --rounds) {
    bool is_evicted = false;
    for (int most = kEvictedWhenFull; evicts && !is_evicted && most > 0; most /= 2) {
      is_evicted = commits([&](Table& table) {  // else again: fewer change fewer pages
        LevelRows rows(table);
        rows.evict(std::max(size_bytes, kEvictedBytes), most);
        has_room = rows.has_room(size_bytes, most_bytes());
      });
    }
    // What one transaction lets go the next one must not use yet, but the one after that.
    commits([](Table& table) {
      Meta meta;
      if (table.read_meta(&meta)) table.write_meta(meta);
    });
    if (has_room || !is_evicted) return;
  }
}

void LmdbLevel::release(std::string_view key, std::uint64_t token, bool failed) noexcept {
  if (token == 0) return;
  try {
    keep_released({key, token, failed});
    counted([&] {
      const auto patience = seconds(options_.lock_timeout_s);
      const std::shared_ptr<LevelEnvironment> environment = connect(patience);
      LevelEnvironment::Writing writing(*environment, patience);
      change(*environment, writing, 0, [](LevelRows&) {});
    });
  } catch (const std::exception&) {
    return;  // it is kept, and written by whoever writes next
  }
}

void LmdbLevel::release_many(std::span<const Releasing> releases) noexcept {
  for (std::size_t at = 0; at < releases.size(); at += kWrittenAtOnce) {
    const auto some = releases.subspan(at, std::min(kWrittenAtOnce, releases.size() - at));
    // What is kept is written with whatever is written next.
    for (const Releasing& one : some.first(some.size() - 1)) keep_released(one);
    release(some.back().key, some.back().token, some.back().failed);
  }
}

void LmdbLevel::keep_released(const Releasing& one) noexcept {
  try {
    const std::int64_t failed_ns = one.failed ? std::max<std::int64_t>(core::boot_time_ns(), 1) : 0;
    keep({std::string(one.key), one.token, failed_ns});
  } catch (const std::bad_alloc&) {
    return;  // the claim ends with the process
  }
}

void LmdbLevel::keep(const End& end) noexcept {
  if (end.token == 0) return;
  try {
    const std::lock_guard lock(Registry::instance().brief_mutex());
    if (kept_.size() == kMostKept) kept_.erase(kept_.begin());
    kept_.push_back(end);
  } catch (const std::bad_alloc&) {
    return;  // the claim ends with the process
  }
}

std::optional<LmdbLevel::End> LmdbLevel::kept(std::uint64_t token) const {
  const std::lock_guard lock(Registry::instance().brief_mutex());
  const auto one = std::find_if(kept_.begin(), kept_.end(),
                                [token](const End& end) { return end.token == token; });
  return one == kept_.end() ? std::nullopt : std::optional(*one);
}

}  // namespace zoocache::lmdb
