// The second level on a Redis server: see core/second_level.h for what it promises, but for this:
// the death of a claim's owner is noticed when the claim has not been renewed for as long as one
// lives, two seconds if nothing else is said. level_scripts.h has the keys.
//
//   get     PTTL, GETRANGE, PTTL in one go; no script
//   claim   one script: found, mine, or taken. Mine is renewed until it is freed (level_client.h)
//   wait    one script: whether the claim has ended, else this process is told when it does. Until
//           it is subscribed, and where too many are told, it looks every 25 ms; else every 100 ms
//   put     one script: the entry in place of the old one, the end of the claim
//
// Interleavings:
//   (1) Another entry takes the place of the one that is read, before or after its bytes: one of
//       the two times is that of the entry that was read, and the shorter counts. It is never
//       longer than what the entry was stored with.
//   (2) The answer to a claim does not come: the claim may be ours without our knowing. It is told
//       to end, and would end by itself.
//   (3) A put or a release whose answer does not come may have happened: both may run twice, and
//       end nothing but their own claim.
// No clock is compared with another machine's: times to live are the server's.
// Larger replies than an entry of ours can be are never asked for, whatever lies under its key.
// In a child of fork() everything begins anew with a connection of the child's own.
// Thread-safety: as SecondLevel.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/envelope.h"
#include "core/second_level.h"
#include "redis/level_client.h"
#include "redis/per_process.h"

namespace zoocache::redis {

inline constexpr std::int64_t kMillisecondNs = 1'000'000;
// An entry has so many bytes more than its value at the most: key, dependencies, head.
inline constexpr std::size_t kBesideValueBytes = std::size_t{2} << 20;

class RedisLevel final : public core::SecondLevel {
 public:
  RedisLevel(const LevelOptions& options, MakeSubscribed make_transport);

  std::optional<core::StoredValue> get(std::string_view key) override;
  Claim claim(std::string_view key, const std::optional<core::SeenEntry>& refused) override;
  Waited wait(std::string_view key, std::uint64_t token, std::chrono::nanoseconds at_most) override;
  void put(std::string_view key, std::uint64_t token, const core::StoredValue& value) override;
  void release(std::string_view key, std::uint64_t token, bool failed) noexcept override;

  // redis_level_many.cpp: the same commands and scripts, sent together.
  std::vector<std::optional<core::StoredValue>> get_many(
      std::span<const std::string_view> keys) override;
  void claim_many(std::span<Claiming> claims) override;
  void put_many(std::span<Putting> puts) noexcept override;
  void release_many(std::span<const Releasing> releases) noexcept override;

  // redis_level_looks.cpp
  core::LevelPage page(const std::string& from, std::size_t most) override;

 protected:
  const char* kind() const noexcept override { return "redis"; }
  void ask_whether_there() override;

 private:
  struct Keys {
    std::string entry;
    std::string claim;
  };

  // This process's. Throws HomeUnreachable.
  LevelClient& client();
  Keys keys_of(std::string_view key) const;
  // `lives_ms`: what is left of it, as PTTL says.
  std::optional<core::StoredValue> decode(std::string_view envelope, std::string_view key,
                                          std::int64_t lives_ms) const;
  std::string encode(std::string_view key, const core::StoredValue& value) const;
  // Of `get`: what it asks, and what the answers to that say.
  std::vector<Command> get_commands(std::string_view key) const;
  std::optional<core::StoredValue> got(std::string_view key, std::span<const Reply> replies) const;
  ScriptCall claim_call(const LevelClient& client, const Keys& keys, const std::string& passed_over,
                        std::uint64_t token) const;
  // Nothing: what lies there is damaged; it is passed over next time.
  std::optional<Claim> claimed(LevelClient& client, const Keys& keys, std::string_view key,
                               const std::optional<core::SeenEntry>& refused, std::uint64_t token,
                               const Reply& reply, std::string* passed_over) const;
  ScriptCall put_call(std::string_view key, std::uint64_t token,
                      const core::StoredValue& value) const;
  ScriptCall release_call(std::string_view key, std::uint64_t token, bool failed) const;
  [[noreturn]] void throw_refused(const Reply& reply) const;
  [[noreturn]] void throw_in_the_way() const;
  void demand_stored(const ScriptCall& call, const Reply& reply) const;
  // As the script of a claim wants it.
  static std::string passed_over(const std::optional<core::SeenEntry>& refused);
  static std::uint64_t new_token();
  void claim_some(std::span<Claiming> claims);
  void put_some(std::span<Putting> puts);
  Claim claim_or_throw(LevelClient& client, const Keys& keys, std::string_view key,
                       const std::optional<core::SeenEntry>& refused, std::uint64_t token);

  const LevelOptions options_;
  const MakeSubscribed make_transport_;
  const codec::EnvelopeCodec codec_;
  const std::size_t max_entry_bytes_;
  PerProcess<LevelClient> client_;
};

}  // namespace zoocache::redis
