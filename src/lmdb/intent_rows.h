// The intents (core/intent.h) of a log, in rows of their own beside its.
//
//   'I' token(8)  ->  started(8) since_ns(8) pid(4) has_fired(1) { size(4) text }*
//
// started, pid: of the owner; 0: nobody owns it any more. since_ns: boot time, which the processes
// of a machine have in common; when it was declared or fired last. A version of this library that
// knows nothing of them passes them over: they lie between the log's kinds of rows.
// Thread-safety: as LMDB's transactions: one thread at a time.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lmdb/owner.h"
#include "lmdb/table.h"

namespace zoocache::lmdb {

struct IntentRow {
  std::uint64_t token = 0;
  Owner owner;
  std::int64_t since_ns = 0;
  bool has_fired = false;  // since its owner was alive
  std::vector<std::string> texts;
};

// Everything throws HomeUnreachable; what writes, MapIsFull too.
class IntentRows {
 public:
  IntentRows(MDB_txn* transaction, MDB_dbi rows) noexcept : table_(transaction, rows) {}

  std::vector<IntentRow> read_all() const;
  void put(const IntentRow& row);
  void remove(std::uint64_t token);

 private:
  Table table_;
};

}  // namespace zoocache::lmdb
