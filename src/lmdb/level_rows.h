// The rows of the second level in LMDB.
//
//   'K' digest(16)   ->  sequence(8) envelope          an entry (codec/envelope.h, expiry included)
//   'O' sequence(8)  ->  digest(16)                    big-endian keys: entries, the oldest first
//   'F' digest(16)   ->  token(8) started(8) failed_ns(8) pid(4)       a claim, and who has it
//   'M'              ->  see table.h
//
// A digest is XXH3's 128 bits of the key, seeded by the file's nonce. The envelope holds the whole
// key: two keys of one digest take each other's place, and are never taken for each other. Their
// claims are one.
// A sequence is the number of the transaction that wrote the entry; each writes one.
// Thread-safety: as LMDB's transactions: one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "lmdb/owner.h"
#include "lmdb/table.h"

namespace zoocache::lmdb {

using Digest = std::array<unsigned char, 16>;
Digest digest_of(std::string_view key, std::uint64_t seed) noexcept;

struct Flight {
  std::uint64_t token = 0;
  Owner owner;
  std::int64_t failed_ns = 0;  // when its load failed, in boot time; 0: it has not
};

// Everything throws HomeUnreachable; what writes, MapIsFull too. Rows that are none are not there.
class LevelRows {
 public:
  explicit LevelRows(Table& table) noexcept : table_(table) {}

  // The entry's bytes, valid as long as the transaction writes nothing.
  std::optional<std::string_view> envelope(const Digest& digest) const;
  // For tools: entries, in order of their digests, from behind `after` on (nothing: all), until
  // `visit(digest, envelope)` is false. True: that was all.
  using Visit = std::function<bool(const Digest&, std::string_view)>;
  bool for_each(const std::optional<Digest>& after, const Visit& visit) const;
  // In place of what is there.
  void put(const Digest& digest, std::string_view envelope);
  // Whether an entry of so many bytes has room while all take at most `most_bytes`. Removes the
  // oldest for it, at most `at_once`.
  bool make_room(std::size_t size_bytes, std::size_t most_bytes, int at_once);
  // Whether it is so without removing any.
  bool has_room(std::size_t size_bytes, std::size_t most_bytes) const;
  // Removes the oldest entries: until they had so many bytes, and at most so many.
  void evict(std::size_t size_bytes, int most);

  std::optional<Flight> flight(const Digest& digest) const;
  void put_flight(const Digest& digest, const Flight& flight);
  // Takes the flight away, or notes that it failed, if it is still that token's. False: it is not.
  bool end_flight(const Digest& digest, std::uint64_t token, std::int64_t failed_ns);
  // Looks at the next `most` flights from `at` on, round and round, and removes the stale ones.
  void sweep(Digest* at, int most, const std::function<bool(const Flight&)>& is_stale);

 private:
  std::size_t needed_bytes(std::size_t size_bytes) const;
  // How many bytes it had; 0: there is none.
  std::size_t remove_oldest();
  std::size_t remove_any();
  std::size_t remove_entry(const Digest& digest, std::uint64_t sequence);

  Table& table_;
};

}  // namespace zoocache::lmdb
