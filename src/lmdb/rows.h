// The log's rows in LMDB.
//
//   'E' epoch(8) index(4)  ->  done_by(8) text        big-endian keys: in order of their epochs
//   'T' hash(16)           ->  epoch(8) index(4) text     the newest row of a text
//   'M'                    ->  see table.h
//
// The epoch of what a transaction writes is the transaction's own number, which LMDB's readers see
// without asking. A text that is declared again takes its older row away, so that there is one row
// for each text. Hashes are XXH3's 128 bits; a collision makes a text look younger than it is and
// takes no row away, which is safe.
// Thread-safety: as LMDB's transactions: one thread at a time.
#pragma once

#include <lmdb.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/epoch.h"
#include "core/home.h"
#include "lmdb/table.h"

namespace zoocache::lmdb {

struct Row {
  core::Epoch epoch = 0;
  std::uint64_t done_by = 0;
  std::string_view text;  // valid as long as the transaction
};

class LogRows {
 public:
  // `seed` of the hashes: the log's nonce.
  LogRows(MDB_txn* transaction, MDB_dbi rows, std::uint64_t seed) noexcept
      : table_(transaction, rows), seed_(seed) {}

  // Everything throws HomeUnreachable; what writes, MapIsFull too. False if there is none.
  bool read_meta(Meta* meta) const { return table_.read_meta(meta); }

  // Writes a change at the transaction's epoch. `applied`, `self`: of the writer, whose log needs
  // not be told what it has done itself, unless this takes a row away that it was not told.
  void put(const core::Change& change, std::uint32_t index, core::Epoch applied,
           std::uint64_t self);
  // Takes away the oldest rows, at most `at_once`, as long as there are more than `most` or they
  // take more than `most_bytes`, and raises the floor.
  void trim(std::size_t most, std::size_t most_bytes, std::size_t at_once);
  // The newest epoch of a text; 0 if it has no row.
  core::Epoch version(std::string_view text) const;

  // For tools: the rows before the one that `from` names (nothing: all), the newest first.
  core::HomeRows newest(const std::string& from, std::size_t most) const;
  std::size_t texts() const { return table_.count() / 2; }  // about: two rows each, and some more

  // The rows after `epoch`, oldest first, until `visit` is false.
  template <class Visit>
  void for_each_after(core::Epoch epoch, Visit&& visit) const {
    Table::Cursor cursor(table_);
    const EpochKey start = epoch_key(epoch + 1, 0);
    MDB_val key = view(start);
    MDB_val value;
    Row row;
    for (bool found = cursor.seek(&key, &value); found; found = cursor.next(&key, &value)) {
      if (!read_row(key, value, &row) || !visit(row)) return;
    }
  }

 private:
  using EpochKey = std::array<unsigned char, 13>;
  using TextKey = std::array<unsigned char, 17>;

  static EpochKey epoch_key(core::Epoch epoch, std::uint32_t index) noexcept;
  TextKey text_key(std::string_view text) const noexcept;
  // False: the key is of no epoch any more. Throws HomeUnreachable for bytes that are no row.
  static bool read_row(const MDB_val& key, const MDB_val& value, Row* row);

  Table table_;
  std::uint64_t seed_;
};

}  // namespace zoocache::lmdb
