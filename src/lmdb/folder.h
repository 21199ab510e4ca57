// The folder of an LMDB home: whether it may be used, by whom it is used, which life it is in.
//
//   open.lock                     locked while somebody opens a part
//   boot-v1                       "<boot id> <nonce>": the operating system's life, the log's name
//   process-v1-<namespace>-<pid>  locked by that process as long as it uses the log
//   log-v1.mdb, log-v1.mdb-lock   the log
//   writers-v1.lock, readers-v1.lock    see timed_lock.h
//
//   entries-…                     the same for the entries of the second level
//
// The two parts are used, lost and begun anew each for itself: a folder may have one of them or
// both. The number behind the v is the format's: another format has other files, and never wipes
// these.
// Thread-safety: functions without shared state.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "lmdb/file.h"

namespace zoocache::lmdb {

inline constexpr int kFormat = 1;

enum class Part { kLog, kEntries };

struct PartNames {
  std::string file;  // of LMDB
  std::string boot;
  std::string process;  // what such names begin with, up to the format
  std::string writers;
  std::string readers;
};
PartNames names_of(const std::string& folder, Part part);

// Makes the folder if it is not there and demands that it is ours alone to write and on a local
// file system. Its real path. Throws HomeUnreachable.
std::string prepare_folder(const std::string& path);

struct FolderLife {
  File opening;   // holds open.lock until it is dropped
  File presence;  // this process's own file, locked
  std::string presence_path;
  std::uint64_t space = 0;  // this process's PID namespace
  std::uint64_t nonce = 0;  // the part's name; not 0
  bool is_shared = false;   // another process uses it
};

// Enters the folder as a process that uses the part. Its files of another life of the operating
// system, and of a part that was lost, are removed, unless a process uses them. `patience`: with
// others who open it at the same moment. Throws HomeUnreachable: who is in the way, and what to do.
FolderLife enter_folder(const std::string& folder, Part part, std::chrono::nanoseconds patience);

// Begins a new life: removes the part and gives it another name. REQUIRES: `opening` is held and
// nobody else uses it.
void renew_part(const std::string& folder, Part part, FolderLife& life);

// Whether whatever changes in a folder from `now_ns` on moves its time: that one keeps for a tick
// of the kernel, or for a second. One that lies ahead, the clock having been set back, is not
// believed.
bool is_settled(std::int64_t changed_ns, std::int64_t now_ns) noexcept;

// What stands against using the part now: a live process of another format, or of another PID
// namespace than `space`, where its locks mean nothing. Files of processes that fit are told by
// their names, and not opened.
struct Neighbours {
  std::string trouble;     // in words; empty: nothing
  bool is_certain = true;  // false: one that does not fit may live the next moment, with the file
                           // that it has now
};
Neighbours look_at_neighbours(const std::string& folder, Part part, std::uint64_t space);

// The processes that use the part now, of whatever version. Throws HomeUnreachable.
std::vector<int> processes_of(const std::string& folder, Part part);

}  // namespace zoocache::lmdb
