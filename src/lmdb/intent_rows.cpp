#include "lmdb/intent_rows.h"

#include <array>
#include <cstddef>

namespace zoocache::lmdb {
namespace {

constexpr char kIntentMark = 'I';
constexpr std::size_t kStartedAt = 0;
constexpr std::size_t kSinceAt = 8;
constexpr std::size_t kPidAt = 16;
constexpr std::size_t kFiredAt = 20;
constexpr std::size_t kHead = 21;

using Key = std::array<unsigned char, 9>;

Key key_of(std::uint64_t token) noexcept {
  Key key;
  key[0] = kIntentMark;
  put_big_endian(key.data() + 1, token);
  return key;
}

IntentRow read_row(const MDB_val& key, const MDB_val& value) {
  if (key.mv_size != Key().size() || value.mv_size < kHead) refuse_row();
  IntentRow row;
  row.token = big_endian_at<std::uint64_t>(static_cast<const unsigned char*>(key.mv_data) + 1);
  row.owner.started = number_at<std::uint64_t>(value, kStartedAt);
  row.owner.pid = number_at<std::int32_t>(value, kPidAt);
  row.since_ns = number_at<std::int64_t>(value, kSinceAt);
  row.has_fired = number_at<std::uint8_t>(value, kFiredAt) != 0;
  for (std::size_t at = kHead; at < value.mv_size;) {
    if (value.mv_size - at < sizeof(std::uint32_t)) refuse_row();
    const auto size = number_at<std::uint32_t>(value, at);
    at += sizeof size;
    if (value.mv_size - at < size) refuse_row();
    row.texts.emplace_back(text_of(value, at).substr(0, size));
    at += size;
  }
  return row;
}

}  // namespace

std::vector<IntentRow> IntentRows::read_all() const {
  std::vector<IntentRow> rows;
  Table::Cursor cursor(table_);
  const Key start = key_of(0);
  MDB_val key = view(start);
  MDB_val value;
  for (bool found = cursor.seek(&key, &value); found; found = cursor.next(&key, &value)) {
    if (key.mv_size == 0 || *static_cast<const char*>(key.mv_data) != kIntentMark) break;
    rows.push_back(read_row(key, value));
  }
  return rows;
}

void IntentRows::put(const IntentRow& row) {
  std::string bytes;
  append_number(bytes, row.owner.started);
  append_number(bytes, row.since_ns);
  append_number(bytes, row.owner.pid);
  append_number(bytes, static_cast<std::uint8_t>(row.has_fired ? 1 : 0));
  for (const std::string& text : row.texts) {
    append_number(bytes, static_cast<std::uint32_t>(text.size()));
    bytes += text;
  }
  table_.write(view(key_of(row.token)), bytes);
}

void IntentRows::remove(std::uint64_t token) { table_.remove_if_there(view(key_of(token))); }

}  // namespace zoocache::lmdb
