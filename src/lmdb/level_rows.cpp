#include "lmdb/level_rows.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace zoocache::lmdb {
namespace {

constexpr unsigned char kEntryMark = 'K';
constexpr unsigned char kOrderMark = 'O';
constexpr unsigned char kFlightMark = 'F';
constexpr std::size_t kEntryHead = sizeof(std::uint64_t);
constexpr std::size_t kFlightBytes = 3 * sizeof(std::uint64_t) + sizeof(std::int32_t);

using DigestKey = std::array<unsigned char, 1 + sizeof(Digest)>;
using OrderKey = std::array<unsigned char, 1 + sizeof(std::uint64_t)>;

DigestKey digest_key(unsigned char mark, const Digest& digest) noexcept {
  DigestKey key;
  key[0] = mark;
  std::memcpy(key.data() + 1, digest.data(), digest.size());
  return key;
}

OrderKey order_key(std::uint64_t sequence) noexcept {
  OrderKey key;
  key[0] = kOrderMark;
  put_big_endian(key.data() + 1, sequence);
  return key;
}

bool has_mark(const MDB_val& key, unsigned char mark) noexcept {
  return key.mv_size > 0 && static_cast<const unsigned char*>(key.mv_data)[0] == mark;
}

std::optional<Flight> parse_flight(const MDB_val& value) noexcept {
  if (value.mv_size != kFlightBytes) return std::nullopt;
  Flight flight;
  flight.token = number_at<std::uint64_t>(value, 0);
  flight.owner.started = number_at<std::uint64_t>(value, 8);
  flight.failed_ns = number_at<std::int64_t>(value, 16);
  flight.owner.pid = number_at<std::int32_t>(value, 24);
  return flight;
}

}  // namespace

Digest digest_of(std::string_view key, std::uint64_t seed) noexcept {
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits_withSeed(key.data(), key.size(), seed));
  Digest digest;
  static_assert(sizeof hash.digest == sizeof digest);
  std::memcpy(digest.data(), hash.digest, sizeof digest);
  return digest;
}

std::optional<std::string_view> LevelRows::envelope(const Digest& digest) const {
  MDB_val value;
  if (!table_.read(view(digest_key(kEntryMark, digest)), &value)) return std::nullopt;
  if (value.mv_size < kEntryHead) return std::nullopt;
  return text_of(value, kEntryHead);
}

bool LevelRows::for_each(const std::optional<Digest>& after, const Visit& visit) const {
  const DigestKey start = digest_key(kEntryMark, after.value_or(Digest{}));
  MDB_val key = view(start);
  MDB_val value;
  Table::Cursor cursor(table_);
  for (bool found = cursor.seek(&key, &value); found; found = cursor.next(&key, &value)) {
    if (!has_mark(key, kEntryMark)) break;
    if (key.mv_size != start.size()) continue;
    Digest digest;
    std::memcpy(digest.data(), static_cast<const char*>(key.mv_data) + 1, digest.size());
    if (after == digest) continue;
    const std::string_view bytes = text_of(value, std::min(value.mv_size, kEntryHead));
    if (!visit(digest, bytes)) return false;
  }
  return true;
}

void LevelRows::put(const Digest& digest, std::string_view envelope) {
  const DigestKey key = digest_key(kEntryMark, digest);
  MDB_val old;
  if (table_.read(view(key), &old) && old.mv_size >= kEntryHead) {
    table_.remove_if_there(view(order_key(number_at<std::uint64_t>(old, 0))));
  }
  const std::uint64_t sequence = table_.id();
  char* const room = table_.write_room(view(key), kEntryHead + envelope.size());
  std::memcpy(room, &sequence, sizeof sequence);
  std::memcpy(room + kEntryHead, envelope.data(), envelope.size());
  table_.write(view(order_key(sequence)), std::string(digest.begin(), digest.end()));
}

// Large values have pages of their own; small ones share them, and may need one more of each kind.
std::size_t LevelRows::needed_bytes(std::size_t size_bytes) const {
  return size_bytes + 4 * table_.page_bytes();
}

bool LevelRows::has_room(std::size_t size_bytes, std::size_t most_bytes) const {
  const std::size_t needed = needed_bytes(size_bytes);
  return needed <= most_bytes && table_.used_bytes() <= most_bytes - needed;
}

bool LevelRows::make_room(std::size_t size_bytes, std::size_t most_bytes, int at_once) {
  if (needed_bytes(size_bytes) > most_bytes) return false;
  for (; !has_room(size_bytes, most_bytes); --at_once) {
    if (at_once == 0 || remove_oldest() == 0) return false;
  }
  return true;
}

void LevelRows::evict(std::size_t size_bytes, int most) {
  for (std::size_t removed = 0; removed < size_bytes && most > 0; --most) {
    const std::size_t one = remove_oldest();
    if (one == 0) return;
    removed += one;
  }
}

std::size_t LevelRows::remove_oldest() {
  const OrderKey start = order_key(0);
  MDB_val key = view(start);
  MDB_val value;
  Digest digest;
  std::uint64_t sequence = 0;
  {
    Table::Cursor cursor(table_);
    if (!cursor.seek(&key, &value) || !has_mark(key, kOrderMark)) return remove_any();
    const bool is_row = key.mv_size == start.size() && value.mv_size == digest.size();
    if (is_row) {
      sequence = big_endian_at<std::uint64_t>(static_cast<const unsigned char*>(key.mv_data) + 1);
      std::memcpy(digest.data(), value.mv_data, digest.size());
    }
    cursor.remove();
    if (!is_row) return start.size();
  }
  return start.size() + remove_entry(digest, sequence);
}

// A damaged file may have entries that no row of the order names.
std::size_t LevelRows::remove_any() {
  const DigestKey start = digest_key(kEntryMark, {});
  MDB_val key = view(start);
  MDB_val value;
  Table::Cursor cursor(table_);
  if (!cursor.seek(&key, &value) || !has_mark(key, kEntryMark)) return 0;
  const std::size_t size = start.size() + value.mv_size;
  cursor.remove();
  return size;
}

std::size_t LevelRows::remove_entry(const Digest& digest, std::uint64_t sequence) {
  const DigestKey key = digest_key(kEntryMark, digest);
  MDB_val value;
  if (!table_.read(view(key), &value)) return 0;
  const std::size_t size = value.mv_size;
  if (size >= kEntryHead && number_at<std::uint64_t>(value, 0) != sequence) return 0;
  table_.remove_if_there(view(key));
  return size;
}

std::optional<Flight> LevelRows::flight(const Digest& digest) const {
  MDB_val value;
  if (!table_.read(view(digest_key(kFlightMark, digest)), &value)) return std::nullopt;
  return parse_flight(value);
}

void LevelRows::put_flight(const Digest& digest, const Flight& flight) {
  std::string bytes;
  append_number(bytes, flight.token);
  append_number(bytes, flight.owner.started);
  append_number(bytes, flight.failed_ns);
  append_number(bytes, flight.owner.pid);
  table_.write(view(digest_key(kFlightMark, digest)), bytes);
}

bool LevelRows::end_flight(const Digest& digest, std::uint64_t token, std::int64_t failed_ns) {
  std::optional<Flight> there = flight(digest);
  if (token == 0 || !there || there->token != token) return false;
  if (failed_ns == 0) {
    table_.remove_if_there(view(digest_key(kFlightMark, digest)));
  } else {
    there->failed_ns = failed_ns;
    put_flight(digest, *there);
  }
  return true;
}

void LevelRows::sweep(Digest* at, int most, const std::function<bool(const Flight&)>& is_stale) {
  const DigestKey start = digest_key(kFlightMark, *at);
  MDB_val key = view(start);
  MDB_val value;
  Table::Cursor cursor(table_);
  bool found = cursor.seek(&key, &value);
  for (; most > 0 && found && has_mark(key, kFlightMark) && key.mv_size == start.size(); --most) {
    const std::optional<Flight> one = parse_flight(value);
    if (!one || is_stale(*one)) cursor.remove();
    found = cursor.next(&key, &value);
  }
  at->fill(0);  // from the start again
  if (found && has_mark(key, kFlightMark) && key.mv_size == start.size()) {
    std::memcpy(at->data(), static_cast<const unsigned char*>(key.mv_data) + 1, at->size());
  }
}

}  // namespace zoocache::lmdb
