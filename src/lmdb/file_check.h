// Whether the bytes of an LMDB file are ones that LMDB can be trusted with.
//
// LMDB follows the numbers in its pages without a doubt: a flipped bit can lead it outside of the
// map, or make it write over pages that are in use. So whoever opens a file that nobody uses walks
// through it first, as it lies there:
//
//   page 0, 1   | head | magic version address mapsize  free-db main-db  last_page txnid |
//   branch      | head | offsets ->        <- { child(6) key_size(2) key }              |
//   leaf        | head | offsets ->        <- { size(4) flags(2) key_size(2) key value } |
//   overflow    | head | a large value, over several pages                               |
//   head        | page(8) pad(2) flags(2) lower(2) upper(2), or pages(4) |
//
// (LMDB 0.9's data format 1, on a 64-bit little-endian machine.) Sound is a file whose newest meta
// page leads to trees in which every page is where it says, is used once, is not free as well, and
// has its nodes within itself; all leaves at the stated depth, all counts as stated. Bytes of keys
// and values are not looked at: whoever reads them does not trust them either.
// Thread-safety: a function without shared state. REQUIRES: nobody writes to the file meanwhile.
#pragma once

#include <string>

namespace zoocache::lmdb {

// What is wrong, in words; empty: it is sound, or there is no file, or an empty one. Throws
// HomeUnreachable if it cannot be read.
std::string damage_of(const std::string& path);

}  // namespace zoocache::lmdb
