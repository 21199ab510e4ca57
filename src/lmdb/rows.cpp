#include "lmdb/rows.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "lmdb/folder.h"

namespace zoocache::lmdb {
namespace {

using core::Epoch;

constexpr char kEpochMark = 'E';
constexpr char kMetaMark = 'M';
constexpr char kTextMark = 'T';
constexpr std::size_t kRowHead = sizeof(std::uint64_t);
constexpr std::size_t kTextHead = sizeof(Epoch) + sizeof(std::uint32_t);

template <class Number>
void append_number(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <class Number>
Number number_at(const MDB_val& value, std::size_t at) noexcept {
  Number number;
  std::memcpy(&number, static_cast<const char*>(value.mv_data) + at, sizeof number);
  return number;
}

std::string_view text_of(const MDB_val& value, std::size_t head) noexcept {
  return {static_cast<const char*>(value.mv_data) + head, value.mv_size - head};
}

void check_write(int result, const char* what) {
  if (result == MDB_MAP_FULL) throw LogIsFull("the log's map is full");
  check(result, what);
}

[[noreturn]] void refuse_row() {
  throw HomeUnreachable("the log has a row that is none; remove the whole folder");
}

}  // namespace

void check(int result, const char* what) {
  if (result == MDB_SUCCESS) return;
  if (result == MDB_MAP_RESIZED) {
    throw HomeUnreachable(
        "another process opened the log with a larger map; give all of them the "
        "same map size");
  }
  throw HomeUnreachable(std::string("LMDB cannot ") + what + ": " + mdb_strerror(result));
}

Transaction::Transaction(MDB_env* env) {
  check(mdb_txn_begin(env, nullptr, 0, &transaction_), "begin a transaction");
}

void Transaction::commit() {
  check_write(mdb_txn_commit(std::exchange(transaction_, nullptr)), "commit");
}

LogRows::Cursor::Cursor(MDB_txn* transaction, MDB_dbi rows) {
  check(mdb_cursor_open(transaction, rows, &cursor_), "open a cursor");
}

bool LogRows::Cursor::step(MDB_val* key, MDB_val* value, MDB_cursor_op operation) {
  const int result = mdb_cursor_get(cursor_, key, value, operation);
  if (result == MDB_NOTFOUND) return false;
  check(result, "read the log");
  return true;
}

void LogRows::Cursor::remove() { check_write(mdb_cursor_del(cursor_, 0), "remove a row"); }

LogRows::EpochKey LogRows::epoch_key(Epoch epoch, std::uint32_t index) noexcept {
  EpochKey key;
  key[0] = kEpochMark;
  for (std::size_t at = 0; at < 8; ++at) {
    key[1 + at] = static_cast<unsigned char>(epoch >> (56 - 8 * at));
  }
  for (std::size_t at = 0; at < 4; ++at) {
    key[9 + at] = static_cast<unsigned char>(index >> (24 - 8 * at));
  }
  return key;
}

LogRows::TextKey LogRows::text_key(std::string_view text) const noexcept {
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits_withSeed(text.data(), text.size(), seed_));
  TextKey key;
  key[0] = kTextMark;
  std::memcpy(key.data() + 1, hash.digest, sizeof hash.digest);
  return key;
}

bool LogRows::read_row(const MDB_val& key, const MDB_val& value, Row* row) {
  const auto* bytes = static_cast<const unsigned char*>(key.mv_data);
  if (key.mv_size == 0 || bytes[0] != kEpochMark) return false;
  if (key.mv_size != EpochKey().size() || value.mv_size < kRowHead) refuse_row();
  row->epoch = 0;
  for (std::size_t at = 1; at <= 8; ++at) row->epoch = row->epoch << 8 | bytes[at];
  row->done_by = number_at<std::uint64_t>(value, 0);
  row->text = text_of(value, kRowHead);
  return true;
}

bool LogRows::read(MDB_val key, MDB_val* value) const {
  const int result = mdb_get(transaction_, rows_, &key, value);
  if (result == MDB_NOTFOUND) return false;
  check(result, "read the log");
  return true;
}

void LogRows::write(MDB_val key, const std::string& value) {
  MDB_val bytes{value.size(), const_cast<char*>(value.data())};
  check_write(mdb_put(transaction_, rows_, &key, &bytes, 0), "write to the log");
}

void LogRows::remove_if_there(MDB_val key) {
  const int result = mdb_del(transaction_, rows_, &key, nullptr);
  if (result != MDB_NOTFOUND) check_write(result, "remove a row");
}

bool LogRows::read_meta(Meta* meta) const {
  const std::array<unsigned char, 1> key{kMetaMark};
  MDB_val value;
  if (!read(view(key), &value)) return false;
  if (value.mv_size != sizeof(std::uint32_t) + 2 * sizeof(std::uint64_t)) refuse_row();
  if (number_at<std::uint32_t>(value, 0) != kFormat) refuse_row();
  meta->nonce = number_at<std::uint64_t>(value, 4);
  meta->floor = number_at<Epoch>(value, 12);
  return true;
}

void LogRows::write_meta(const Meta& meta) {
  const std::array<unsigned char, 1> key{kMetaMark};
  std::string bytes;
  append_number(bytes, static_cast<std::uint32_t>(kFormat));
  append_number(bytes, meta.nonce);
  append_number(bytes, meta.floor);
  write(view(key), bytes);
}

void LogRows::put(const core::Change& change, std::uint32_t index, Epoch applied,
                  std::uint64_t self) {
  const Epoch epoch = mdb_txn_id(transaction_);
  const TextKey newest = text_key(change.text);
  std::uint64_t done_by = change.is_done_here ? self : 0;
  MDB_val old;
  // The older row of the same text goes. What a writer has not been told of it, the new row tells.
  if (read(view(newest), &old) && old.mv_size >= kTextHead &&
      text_of(old, kTextHead) == change.text) {
    const auto at = number_at<Epoch>(old, 0);
    const EpochKey key = epoch_key(at, number_at<std::uint32_t>(old, sizeof(Epoch)));
    MDB_val value;
    const bool there = read(view(key), &value) && value.mv_size >= kRowHead;
    if (there && at > applied && number_at<std::uint64_t>(value, 0) != self) done_by = 0;
    remove_if_there(view(key));
  }
  std::string bytes;
  bytes.reserve(kTextHead + change.text.size());
  append_number(bytes, done_by);
  bytes += change.text;
  write(view(epoch_key(epoch, index)), bytes);
  bytes.clear();
  append_number(bytes, epoch);
  append_number(bytes, index);
  bytes += change.text;
  write(view(newest), bytes);
}

void LogRows::trim(std::size_t most, std::size_t most_bytes, std::size_t at_once) {
  const auto is_too_much = [this, most, most_bytes] {
    MDB_stat about;
    check(mdb_stat(transaction_, rows_, &about), "count the rows");
    const std::size_t texts = about.ms_entries / 2;  // two rows each, and one of the log itself
    const std::size_t pages = about.ms_branch_pages + about.ms_leaf_pages + about.ms_overflow_pages;
    return texts > most || (pages * about.ms_psize > most_bytes && texts > 0);
  };
  if (!is_too_much()) return;
  Meta meta;
  if (!read_meta(&meta)) refuse_row();
  std::string text;
  for (std::size_t left = at_once; left > 0 && is_too_much(); --left) {
    const EpochKey start = epoch_key(0, 0);
    MDB_val key = view(start);
    MDB_val value;
    Row row;
    {
      Cursor cursor(transaction_, rows_);
      if (!cursor.seek(&key, &value) || !read_row(key, value, &row)) break;
      text = row.text;
      cursor.remove();
    }
    meta.floor = row.epoch;
    const TextKey newest = text_key(text);
    if (read(view(newest), &value) && value.mv_size >= kTextHead &&
        number_at<Epoch>(value, 0) == row.epoch) {
      remove_if_there(view(newest));
    }
  }
  write_meta(meta);
}

Epoch LogRows::version(std::string_view text) const {
  MDB_val value;
  if (!read(view(text_key(text)), &value)) return 0;
  if (value.mv_size < kTextHead) refuse_row();
  return number_at<Epoch>(value, 0);
}

}  // namespace zoocache::lmdb
