// The rows of an LMDB file within one transaction: keys and values of any bytes, in order of keys.
//
//   'M'  ->  format(4) nonce(8) floor(8)     of every file; what else is in it, its owner says
//
// Numbers in values are the machine's own: a file never leaves it.
// Thread-safety: as LMDB's transactions: one thread at a time.
#pragma once

#include <lmdb.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/epoch.h"
#include "zoocache/errors.h"

namespace zoocache::lmdb {

// The map has no room: something has to go.
class MapIsFull : public HomeUnreachable {
 public:
  using HomeUnreachable::HomeUnreachable;
};

// Another process uses the file with a larger map.
class MapWasResized : public HomeUnreachable {
 public:
  using HomeUnreachable::HomeUnreachable;
};

// Throws HomeUnreachable for an LMDB error number other than MDB_SUCCESS: one of the above if it
// is theirs.
void check(int result, const char* what);

class Transaction {
 public:
  // One that writes; REQUIRES: the writers' lock is held. Throws HomeUnreachable.
  explicit Transaction(MDB_env* env);
  ~Transaction() {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  MDB_txn* get() const noexcept { return transaction_; }
  core::Epoch id() const noexcept { return mdb_txn_id(transaction_); }
  // Throws HomeUnreachable.
  void commit();

 private:
  MDB_txn* transaction_ = nullptr;
};

template <class Number>
void append_number(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// REQUIRES: the value has so many bytes.
template <class Number>
Number number_at(const MDB_val& value, std::size_t at) noexcept {
  Number number;
  std::memcpy(&number, static_cast<const char*>(value.mv_data) + at, sizeof number);
  return number;
}

inline std::string_view text_of(const MDB_val& value, std::size_t head) noexcept {
  return {static_cast<const char*>(value.mv_data) + head, value.mv_size - head};
}

template <std::size_t size>
MDB_val view(const std::array<unsigned char, size>& bytes) noexcept {
  return {size, const_cast<unsigned char*>(bytes.data())};
}

// For keys: the most significant byte first, so that they are in order of the numbers.
template <class Number>
void put_big_endian(unsigned char* at, Number number) noexcept {
  for (std::size_t index = sizeof number; index > 0; --index, number >>= 8) {
    at[index - 1] = static_cast<unsigned char>(number);
  }
}
template <class Number>
Number big_endian_at(const unsigned char* at) noexcept {
  Number number = 0;
  for (std::size_t index = 0; index < sizeof number; ++index) number = number << 8 | at[index];
  return number;
}

struct Meta {
  std::uint64_t nonce = 0;
  core::Epoch floor = 0;  // the log's
};

// Everything throws HomeUnreachable.
class Table {
 public:
  Table(MDB_txn* transaction, MDB_dbi rows) noexcept : transaction_(transaction), rows_(rows) {}

  // False if there is none.
  bool read(MDB_val key, MDB_val* value) const;
  void write(MDB_val key, const std::string& value);
  // Room for a value, to be filled before anything else is done.
  char* write_room(MDB_val key, std::size_t size_bytes);
  void remove_if_there(MDB_val key);
  bool read_meta(Meta* meta) const;
  void write_meta(const Meta& meta);
  std::size_t count() const { return stat().ms_entries; }
  // What the rows take, in whole pages.
  std::size_t used_bytes() const;
  std::size_t page_bytes() const { return stat().ms_psize; }
  core::Epoch id() const noexcept { return mdb_txn_id(transaction_); }

  class Cursor {
   public:
    explicit Cursor(const Table& table);
    ~Cursor() { mdb_cursor_close(cursor_); }
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    // The first row at or after `key`; false if there is none.
    bool seek(MDB_val* key, MDB_val* value) { return step(key, value, MDB_SET_RANGE); }
    bool next(MDB_val* key, MDB_val* value) { return step(key, value, MDB_NEXT); }
    // The last row before `key`; false if there is none.
    bool seek_before(MDB_val* key, MDB_val* value);
    bool previous(MDB_val* key, MDB_val* value) { return step(key, value, MDB_PREV); }
    void remove();

   private:
    bool step(MDB_val* key, MDB_val* value, MDB_cursor_op operation);
    MDB_cursor* cursor_ = nullptr;
  };

 private:
  MDB_stat stat() const;

  MDB_txn* transaction_;
  MDB_dbi rows_;
};

// For bytes that are no row of ours.
[[noreturn]] void refuse_row();

}  // namespace zoocache::lmdb
