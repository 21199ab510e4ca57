// The folder of an LMDB home: whether it may be used, by whom it is used, which life it is in.
//
//   open.lock                     locked while somebody opens the home
//   boot-v1                       "<boot id> <nonce>": the operating system's life, the log's name
//   process-v1-<namespace>-<pid>  locked by that process as long as it uses the home
//   log-v1.mdb, log-v1.mdb-lock   the log
//   writers-v1.lock, readers-v1.lock    see timed_lock.h
//
// The number behind the v is the format's: another format has other files, and never wipes these.
// Thread-safety: functions without shared state.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "lmdb/file.h"

namespace zoocache::lmdb {

inline constexpr int kFormat = 1;

// Makes the folder if it is not there and demands that it is ours alone to write and on a local
// file system. Its real path. Throws HomeUnreachable.
std::string prepare_folder(const std::string& path);

struct FolderLife {
  File opening;   // holds open.lock until it is dropped
  File presence;  // this process's own file, locked
  std::string presence_path;
  std::uint64_t nonce = 0;  // the log's name; not 0
  bool is_shared = false;   // another process uses it
};

// Enters the folder as a process that uses it. Files of another life of the operating system, and
// of a log that was lost, are removed, unless a process uses them. `patience`: with others who open
// it at the same moment. Throws HomeUnreachable: who is in the way, and what to do.
FolderLife enter_folder(const std::string& folder, std::chrono::nanoseconds patience);

// Begins a new life: removes the log and gives it another name. REQUIRES: `opening` is held and
// nobody else uses it.
void renew_folder(const std::string& folder, FolderLife& life);

// What stands against using the folder now, in words: a live process of another format, or of
// another PID namespace, where its locks mean nothing. Empty: nothing.
std::string unfit_neighbour(const std::string& folder);

inline std::string log_path(const std::string& folder) { return folder + "/log-v1.mdb"; }
inline std::string writers_path(const std::string& folder) { return folder + "/writers-v1.lock"; }
inline std::string readers_path(const std::string& folder) { return folder + "/readers-v1.lock"; }

}  // namespace zoocache::lmdb
