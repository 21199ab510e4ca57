#include "redis/redis_level.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "codec/stored_value.h"
#include "redis/protocol.h"
#include "zoocache/errors.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace zoocache::redis {
namespace {

using core::SeenEntry;
using core::StoredValue;

constexpr std::size_t kSeenAt = 8;  // generation and born in an envelope
constexpr std::size_t kSeenBytes = 16;
constexpr int kClaimTries = 3;  // while what lies there is damaged, and changes
constexpr std::chrono::milliseconds kFirstPause{1};
constexpr std::chrono::milliseconds kLongestPause{25};
constexpr const char* kFailedMs = "1000";        // for waiters, who look now and then
constexpr const char* kMostNotedBytes = "1088";  // in a claim: 64 nodes

codec::EnvelopeLimits limits_of(const LevelOptions& options) {
  codec::EnvelopeLimits limits;
  limits.max_payload_bytes = options.max_value_bytes;
  return limits;
}

std::string bytes_of(const SeenEntry& seen) {
  std::string bytes;
  for (const std::uint64_t number : {seen.generation, seen.born}) {
    for (int shift = 0; shift < 64; shift += 8) {
      bytes += static_cast<char>(static_cast<unsigned char>(number >> shift));
    }
  }
  return bytes;
}

std::string seen_in(std::string_view envelope) {
  if (envelope.size() < kSeenAt) return "";
  return std::string(envelope.substr(kSeenAt, kSeenBytes));
}

}  // namespace

RedisLevel::RedisLevel(const LevelOptions& options, MakeSubscribed make_transport)
    : options_(options),
      make_transport_(std::move(make_transport)),
      codec_(limits_of(options), options.secrets),
      max_entry_bytes_(options.max_value_bytes + kBesideValueBytes) {}

void RedisLevel::throw_refused(const Reply& reply) const {
  tally_.errors.fetch_add(1);
  throw HomeUnreachable("the server refuses to keep values: " + reply.text.substr(0, 200));
}

void RedisLevel::throw_in_the_way() const {
  tally_.errors.fetch_add(1);
  throw HomeUnreachable("what another program keeps under our keys is in the way");
}

LevelClient& RedisLevel::client() {
  return client_.get([this] {
    try {
      return std::make_unique<LevelClient>(options_, make_transport_, tally_);
    } catch (const std::system_error& error) {
      throw HomeUnreachable(std::string("no thread for a connection to the server: ") +
                            error.what());
    }
  });
}

void RedisLevel::ask_whether_there() {
  const Reply reply = client().ask({Command{"PING"}}).front();
  if (reply.is_error()) throw_refused(reply);
}

RedisLevel::Keys RedisLevel::keys_of(std::string_view key) const {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  const std::string digits = hex_of(hash.high64) + hex_of(hash.low64);
  const std::string tag = "{" + options_.prefix + "}";
  return {tag + ":e:" + digits, tag + ":f:" + digits};
}

std::optional<StoredValue> RedisLevel::decode(std::string_view envelope, std::string_view key,
                                              std::int64_t lives_ms) const {
  std::int64_t expiry_ns = 0;
  std::optional<StoredValue> value = codec::decode_value(codec_, envelope, key, &expiry_ns);
  if (!value) tally_.rejected.fetch_add(1, std::memory_order_relaxed);
  if (value && expiry_ns != 0) {
    if (lives_ms <= 0) return std::nullopt;
    const std::int64_t most_ms = std::max<std::int64_t>(expiry_ns, 0) / kMillisecondNs;
    value->lives_ns =
        lives_ms > most_ms ? expiry_ns : std::min(lives_ms * kMillisecondNs, expiry_ns);
    if (value->lives_ns <= 0) return std::nullopt;
  }
  return value;
}

// Its expiry is the time to live that it was stored with; the server counts it down.
std::string RedisLevel::encode(std::string_view key, const StoredValue& value) const {
  std::string envelope;
  try {
    envelope = codec::encode_value(codec_, key, value, value.lives_ns);
  } catch (const SerializationError& error) {
    throw StorageIsFull(error.what());
  }
  if (envelope.size() > max_entry_bytes_) {
    throw StorageIsFull(
        "an entry of " + std::to_string(envelope.size()) +
        " bytes is not stored: max_value_bytes=" + std::to_string(options_.max_value_bytes) +
        " allows for " + std::to_string(max_entry_bytes_) + " with its key and dependencies");
  }
  return envelope;
}

std::vector<Command> RedisLevel::get_commands(std::string_view key) const {
  const std::string entry = keys_of(key).entry;
  const Command lives{"PTTL", entry};
  // One byte more than an entry can have: what is longer is cut off, and so none.
  const Command bytes = Command{"GETRANGE", entry, "0"}.add(max_entry_bytes_);
  return {lives, bytes, lives};
}

std::optional<StoredValue> RedisLevel::get(std::string_view key) {
  return got(key, client().ask(get_commands(key)));
}

std::optional<StoredValue> RedisLevel::got(std::string_view key,
                                           std::span<const Reply> replies) const {
  if (replies[1].is_error() && !replies[1].is_error("WRONGTYPE")) throw_refused(replies[1]);
  if (replies[1].type != Type::kString || replies[1].text.empty()) return std::nullopt;
  const std::int64_t before_ms = replies[0].integer().value_or(0);
  const std::int64_t after_ms = replies[2].integer().value_or(0);
  return decode(replies[1].text, key, std::min(before_ms, after_ms));  // interleaving (1)
}

core::SecondLevel::Claim RedisLevel::claim(std::string_view key,
                                           const std::optional<SeenEntry>& refused) {
  LevelClient& own = client();
  const Keys keys = keys_of(key);
  const std::uint64_t token = new_token();
  try {
    return claim_or_throw(own, keys, key, refused, token);
  } catch (const HomeUnreachable&) {  // interleaving (2)
    own.tell(own.scripts().release, {{keys.claim}, {std::to_string(token), "0"}});
    throw;
  }
}

ScriptCall RedisLevel::claim_call(const LevelClient& client, const Keys& keys,
                                  const std::string& passed_over, std::uint64_t token) const {
  const std::string name = std::to_string(token);
  return {{keys.entry, keys.claim},
          {passed_over, std::to_string(max_entry_bytes_), name, client.node() + ":" + name,
           std::to_string(options_.claim_ms)}};
}

std::optional<core::SecondLevel::Claim> RedisLevel::claimed(LevelClient& client, const Keys& keys,
                                                            std::string_view key,
                                                            const std::optional<SeenEntry>& refused,
                                                            std::uint64_t token, const Reply& reply,
                                                            std::string* passed_over) const {
  if (reply.is_error()) throw_refused(reply);
  const std::string what = reply.items.empty() ? "" : reply.items[0].text;
  if (what == "mine") {
    client.hold(token, keys.claim);
    return Claim{Claim::Kind::kMine, token, {}};
  }
  if (what == "taken" && reply.items.size() == 2) {
    const std::uint64_t holder = token_in(reply.items[1].text);
    if (holder != 0) return Claim{Claim::Kind::kTaken, holder, {}};
  }
  if (what != "found" || reply.items.size() != 3) throw_in_the_way();
  const std::string& envelope = reply.items[1].text;
  auto there = decode(envelope, key, reply.items[2].integer().value_or(0));
  if (core::is_news(there, refused)) return Claim{Claim::Kind::kFound, 0, *std::move(there)};
  *passed_over = seen_in(envelope);  // it is nothing: once more, as if it were not there
  return std::nullopt;
}

core::SecondLevel::Claim RedisLevel::claim_or_throw(LevelClient& client, const Keys& keys,
                                                    std::string_view key,
                                                    const std::optional<SeenEntry>& refused,
                                                    std::uint64_t token) {
  std::string seen = passed_over(refused);
  for (int left = kClaimTries; left > 0; --left) {
    const Reply reply = client.ask(client.scripts().claim, claim_call(client, keys, seen, token));
    auto claim = claimed(client, keys, key, refused, token, reply, &seen);
    if (claim) return *std::move(claim);
  }
  throw_in_the_way();
}

core::SecondLevel::Waited RedisLevel::wait(std::string_view key, std::uint64_t token,
                                           std::chrono::nanoseconds at_most) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::hours kLongest{24 * 365};
  const auto until = Clock::now() + std::min<std::chrono::nanoseconds>(at_most, kLongest);
  LevelClient& own = client();
  const ScriptCall look{{keys_of(key).claim}, {std::to_string(token), own.node(), kMostNotedBytes}};
  LevelClient::Wait waiting(own, token);
  std::chrono::nanoseconds pause = kFirstPause;
  for (;;) {
    waiting.begin_look();
    const Reply reply = own.ask(own.scripts().look, look);
    if (reply.is_error()) throw_refused(reply);
    if (reply.text == "failed") return Waited::kFailed;
    const bool is_noted = reply.text == "noted";
    if (!is_noted && reply.text != "runs") return Waited::kEnded;
    const std::chrono::nanoseconds left = until - Clock::now();
    if (left.count() <= 0) return Waited::kTimedOut;
    if (const auto told = waiting.until_told(is_noted, pause, left)) return *told;
    pause = std::min<std::chrono::nanoseconds>(2 * pause, kLongestPause);
  }
}

ScriptCall RedisLevel::put_call(std::string_view key, std::uint64_t token,
                                const StoredValue& value) const {
  const Keys keys = keys_of(key);
  // Rounded up: the value has its own bound. What has none has the storage's.
  std::int64_t lives_ms = options_.ttl_ms;
  if (value.lives_ns > 0) lives_ms = (value.lives_ns - 1) / kMillisecondNs + 1;
  if (value.lives_ns < 0) lives_ms = 0;
  return {{keys.entry, keys.claim},
          {std::to_string(token), std::to_string(lives_ms), encode(key, value)}};
}

void RedisLevel::demand_stored(const ScriptCall& call, const Reply& reply) const {
  if (reply.is_error("OOM")) {
    throw StorageIsFull("the server has no room for an entry of " +
                        std::to_string(call.arguments.back().size()) +
                        " bytes: " + reply.text.substr(0, 200));
  }
  if (reply.is_error()) throw_refused(reply);
}

void RedisLevel::put(std::string_view key, std::uint64_t token, const StoredValue& value) {
  try {
    const ScriptCall call = put_call(key, token, value);
    LevelClient& own = client();
    demand_stored(call, own.ask(own.scripts().put, call));
    own.let_go(token);
  } catch (const StorageIsFull&) {
    release(key, token, false);
    throw;
  }
}

ScriptCall RedisLevel::release_call(std::string_view key, std::uint64_t token, bool failed) const {
  return {{keys_of(key).claim}, {std::to_string(token), failed ? kFailedMs : "0"}};
}

// From here on it is not renewed: whatever the server hears, the claim ends.
void RedisLevel::release(std::string_view key, std::uint64_t token, bool failed) noexcept {
  if (token == 0) return;
  try {
    LevelClient& own = client();
    own.let_go(token);
    own.ask(own.scripts().release, release_call(key, token, failed));
  } catch (const std::exception&) {
    return;  // the claim ends by itself
  }
}

std::string RedisLevel::passed_over(const std::optional<SeenEntry>& refused) {
  return refused ? bytes_of(*refused) : "";
}

std::uint64_t RedisLevel::new_token() {
  const std::uint64_t drawn = random_number();
  return drawn == 0 ? 1 : drawn;
}

}  // namespace zoocache::redis
