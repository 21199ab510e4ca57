#include "lmdb/table.h"

#include <utility>

#include "lmdb/folder.h"

namespace zoocache::lmdb {
namespace {

constexpr std::array<unsigned char, 1> kMetaKey{'M'};
constexpr std::size_t kMetaBytes = sizeof(std::uint32_t) + 2 * sizeof(std::uint64_t);

}  // namespace

void refuse_row() {
  throw HomeUnreachable("the folder has a row that is none; remove the whole folder");
}

void check(int result, const char* what) {
  if (result == MDB_SUCCESS) return;
  if (result == MDB_MAP_FULL) throw MapIsFull("the map is full");
  if (result == MDB_MAP_RESIZED) {
    throw MapWasResized(
        "another process uses the file with a larger map; give all of them the same map size");
  }
  throw HomeUnreachable(std::string("LMDB cannot ") + what + ": " + mdb_strerror(result));
}

Transaction::Transaction(MDB_env* env) {
  check(mdb_txn_begin(env, nullptr, 0, &transaction_), "begin a transaction");
}

void Transaction::commit() {
  check(mdb_txn_commit(std::exchange(transaction_, nullptr)), "commit");
}

bool Table::read(MDB_val key, MDB_val* value) const {
  const int result = mdb_get(transaction_, rows_, &key, value);
  if (result == MDB_NOTFOUND) return false;
  check(result, "read a row");
  return true;
}

void Table::write(MDB_val key, const std::string& value) {
  MDB_val bytes{value.size(), const_cast<char*>(value.data())};
  check(mdb_put(transaction_, rows_, &key, &bytes, 0), "write a row");
}

char* Table::write_room(MDB_val key, std::size_t size_bytes) {
  MDB_val room{size_bytes, nullptr};
  check(mdb_put(transaction_, rows_, &key, &room, MDB_RESERVE), "write a row");
  return static_cast<char*>(room.mv_data);
}

void Table::remove_if_there(MDB_val key) {
  const int result = mdb_del(transaction_, rows_, &key, nullptr);
  if (result != MDB_NOTFOUND) check(result, "remove a row");
}

bool Table::read_meta(Meta* meta) const {
  MDB_val value;
  if (!read(view(kMetaKey), &value)) return false;
  if (value.mv_size != kMetaBytes || number_at<std::uint32_t>(value, 0) != kFormat) refuse_row();
  meta->nonce = number_at<std::uint64_t>(value, 4);
  meta->floor = number_at<core::Epoch>(value, 12);
  return true;
}

void Table::write_meta(const Meta& meta) {
  std::string bytes;
  append_number(bytes, static_cast<std::uint32_t>(kFormat));
  append_number(bytes, meta.nonce);
  append_number(bytes, meta.floor);
  write(view(kMetaKey), bytes);
}

MDB_stat Table::stat() const {
  MDB_stat about;
  check(mdb_stat(transaction_, rows_, &about), "count the rows");
  return about;
}

std::size_t Table::used_bytes() const {
  const MDB_stat about = stat();
  return (about.ms_branch_pages + about.ms_leaf_pages + about.ms_overflow_pages) * about.ms_psize;
}

Table::Cursor::Cursor(const Table& table) {
  check(mdb_cursor_open(table.transaction_, table.rows_, &cursor_), "open a cursor");
}

bool Table::Cursor::step(MDB_val* key, MDB_val* value, MDB_cursor_op operation) {
  const int result = mdb_cursor_get(cursor_, key, value, operation);
  if (result == MDB_NOTFOUND) return false;
  check(result, "read rows");
  return true;
}

bool Table::Cursor::seek_before(MDB_val* key, MDB_val* value) {
  return step(key, value, MDB_SET_RANGE) ? previous(key, value) : step(key, value, MDB_LAST);
}

void Table::Cursor::remove() { check(mdb_cursor_del(cursor_, 0), "remove a row"); }

}  // namespace zoocache::lmdb
