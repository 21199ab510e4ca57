#include "lmdb/rows.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

namespace zoocache::lmdb {
namespace {

using core::Epoch;

constexpr char kEpochMark = 'E';
constexpr char kTextMark = 'T';
constexpr std::size_t kRowHead = sizeof(std::uint64_t);
constexpr std::size_t kTextHead = sizeof(Epoch) + sizeof(std::uint32_t);

}  // namespace

LogRows::EpochKey LogRows::epoch_key(Epoch epoch, std::uint32_t index) noexcept {
  EpochKey key;
  key[0] = kEpochMark;
  put_big_endian(key.data() + 1, epoch);
  put_big_endian(key.data() + 9, index);
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
  row->epoch = big_endian_at<Epoch>(bytes + 1);
  row->done_by = number_at<std::uint64_t>(value, 0);
  row->text = text_of(value, kRowHead);
  return true;
}

void LogRows::put(const core::Change& change, std::uint32_t index, Epoch applied,
                  std::uint64_t self) {
  const Epoch epoch = table_.id();
  const TextKey newest = text_key(change.text);
  std::uint64_t done_by = change.is_done_here ? self : 0;
  MDB_val old;
  // The older row of the same text goes. What a writer has not been told of it, the new row tells.
  if (table_.read(view(newest), &old) && old.mv_size >= kTextHead &&
      text_of(old, kTextHead) == change.text) {
    const auto at = number_at<Epoch>(old, 0);
    const EpochKey key = epoch_key(at, number_at<std::uint32_t>(old, sizeof(Epoch)));
    MDB_val value;
    const bool there = table_.read(view(key), &value) && value.mv_size >= kRowHead;
    if (there && at > applied && number_at<std::uint64_t>(value, 0) != self) done_by = 0;
    table_.remove_if_there(view(key));
  }
  std::string bytes;
  bytes.reserve(kTextHead + change.text.size());
  append_number(bytes, done_by);
  bytes += change.text;
  table_.write(view(epoch_key(epoch, index)), bytes);
  bytes.clear();
  append_number(bytes, epoch);
  append_number(bytes, index);
  bytes += change.text;
  table_.write(view(newest), bytes);
}

void LogRows::trim(std::size_t most, std::size_t most_bytes, std::size_t at_once) {
  const auto is_too_much = [this, most, most_bytes] {
    const std::size_t texts = table_.count() / 2;  // two rows each, and one of the log itself
    return texts > most || (table_.used_bytes() > most_bytes && texts > 0);
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
      Table::Cursor cursor(table_);
      if (!cursor.seek(&key, &value) || !read_row(key, value, &row)) break;
      text = row.text;
      cursor.remove();
    }
    meta.floor = row.epoch;
    const TextKey newest = text_key(text);
    if (table_.read(view(newest), &value) && value.mv_size >= kTextHead &&
        number_at<Epoch>(value, 0) == row.epoch) {
      table_.remove_if_there(view(newest));
    }
  }
  table_.write_meta(meta);
}

Epoch LogRows::version(std::string_view text) const {
  MDB_val value;
  if (!table_.read(view(text_key(text)), &value)) return 0;
  if (value.mv_size < kTextHead) refuse_row();
  return number_at<Epoch>(value, 0);
}

core::HomeRows LogRows::newest(const std::string& from, std::size_t most) const {
  core::HomeRows found;
  EpochKey start = epoch_key(core::kForever, ~std::uint32_t{0});
  if (from.size() == start.size()) std::memcpy(start.data(), from.data(), start.size());
  Table::Cursor cursor(table_);
  MDB_val key = view(start);
  MDB_val value;
  Row row;
  bool is_there = cursor.seek_before(&key, &value);
  while (is_there && found.rows.size() < most && read_row(key, value, &row)) {
    found.rows.push_back({std::string(row.text), row.epoch});
    found.next.assign(static_cast<const char*>(key.mv_data), key.mv_size);
    is_there = cursor.previous(&key, &value);
  }
  if (!is_there || found.rows.size() < most) found.next.clear();
  return found;
}

}  // namespace zoocache::lmdb
