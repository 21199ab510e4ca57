// The second level in an LMDB file: see core/second_level.h for what it promises.
//
//   get     (1) a snapshot  (2) the entry is copied out of it  (3) its end
//   claim   (1) a snapshot: found, or taken by somebody alive: that was all
//           (2) writers' lock, in time  (3) the same look in a transaction  (4) the flight's row
//   wait    snapshots of the flight's row, 0.5 ms to 20 ms apart; its owner is looked at each time
//   put     (1) bytes  (2) writers' lock, in time  (3) one transaction: room, the entry in place of
//           the old one, the end of the flight
//
// Two claims of one key: both come to (4) one after the other, and the second one's look (3) finds
// the first one's row. The end of an owner is no event: whoever looks finds it.
// Full: the map grows up to its bound; then the oldest entries go. Changed pages are written to
// free ones, and pages that a snapshot sees are not free: so the entries have three quarters of the
// map. An end that cannot be written now (the writers' lock is not to be had) is kept, and written
// by the next who writes; this process knows of it at once. Thread-safety: as SecondLevel. A child
// of fork() goes on with its own environment.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/envelope.h"
#include "core/second_level.h"
#include "lmdb/level_environment.h"
#include "lmdb/level_rows.h"
#include "zoocache/lmdb.h"

namespace zoocache::lmdb {

class LmdbLevel final : public core::SecondLevel {
 public:
  using DigestOf = Digest (*)(std::string_view key, std::uint64_t seed) noexcept;
  // `opened`: the folder's environment, if somebody has opened it; else it is opened when it is
  // used. `digest`: tests put one in its place that collides.
  LmdbLevel(std::string path, const LmdbStorageOptions& options,
            std::shared_ptr<LevelEnvironment> opened = nullptr, DigestOf digest = &digest_of);

  std::optional<core::StoredValue> get(std::string_view key) override;
  Claim claim(std::string_view key, const std::optional<core::SeenEntry>& refused) override;
  Waited wait(std::string_view key, std::uint64_t token, std::chrono::nanoseconds at_most) override;
  void put(std::string_view key, std::uint64_t token, const core::StoredValue& value) override;
  void release(std::string_view key, std::uint64_t token, bool failed) noexcept override;

  // One snapshot for all of `get_many`; one transaction for as many as kWrittenAtOnce of the
  // others.
  std::vector<std::optional<core::StoredValue>> get_many(
      std::span<const std::string_view> keys) override;
  void claim_many(std::span<Claiming> claims) override;
  void put_many(std::span<Putting> puts) noexcept override;
  void release_many(std::span<const Releasing> releases) noexcept override;

  core::LevelPage page(const std::string& from, std::size_t most) override;
  core::Facts facts() override;

 protected:
  const char* kind() const noexcept override { return "lmdb"; }
  void ask_whether_there() override;

 private:
  static constexpr std::size_t kWrittenAtOnce = 256;  // others wait for the writers' lock meanwhile
  struct End {
    std::string key;
    std::uint64_t token = 0;
    std::int64_t failed_ns = 0;
  };

  // work(), whose failure is one of the tally's `errors`.
  template <class Work>
  decltype(auto) counted(Work&& work);
  void note_opened(LevelEnvironment& environment) noexcept;
  // The environment, opened anew if it has to be. Throws HomeUnreachable.
  std::shared_ptr<LevelEnvironment> connect(std::chrono::nanoseconds patience);
  std::shared_ptr<LevelEnvironment> reopen(const std::string& why,
                                           std::chrono::nanoseconds patience);
  Digest where(const LevelEnvironment& environment, std::string_view key) const noexcept {
    return digest_of_(key, environment.nonce());
  }
  std::optional<core::StoredValue> decode(std::string_view envelope, std::string_view key) const;
  std::string encode(std::string_view key, const core::StoredValue& value) const;
  // kMine: nothing is in the way of a claim.
  Claim look(const LevelRows& rows, const Digest& digest, std::string_view key,
             const std::optional<core::SeenEntry>& refused) const;
  // One transaction of `work`, which writes so many bytes or fewer, and of what was kept; makes
  // room for it. Throws MapIsFull.
  template <class Work>
  void change(LevelEnvironment& environment, LevelEnvironment::Writing& writing,
              std::size_t size_bytes, Work&& work);
  // Free pages: of killed readers, of a larger map; if it `evicts`, of the oldest entries, until
  // there is room for so many bytes or nothing more can be removed.
  void make_room(LevelEnvironment& environment, LevelEnvironment::Writing& writing,
                 std::size_t size_bytes, bool evicts);
  void store(LevelEnvironment& environment, LevelEnvironment::Writing& writing, const End& end,
             std::string_view envelope);
  // Of entries: changed pages need free ones.
  std::size_t most_bytes() const noexcept;
  void claim_some(std::span<Claiming> claims);
  void put_some(std::span<Putting> puts);
  // Stores the entry and ends its flight. False: there is no room for it.
  bool put_row(LevelRows& rows, const Digest& digest, std::uint64_t token,
               std::string_view envelope, Digest* swept_to) const;
  void keep_released(const Releasing& one) noexcept;
  void keep(const End& end) noexcept;
  std::optional<End> kept(std::uint64_t token) const;

  const std::string path_;
  const LmdbStorageOptions options_;
  const codec::EnvelopeCodec codec_;
  const DigestOf digest_of_;
  std::atomic<std::int64_t> try_again_ns_{0};
  std::atomic<const LevelEnvironment*> lost_{nullptr};  // the one that was counted

  // With the registry's brief mutex, which fork() waits for.
  std::shared_ptr<LevelEnvironment> environment_;
  std::vector<End> kept_;
};

}  // namespace zoocache::lmdb
