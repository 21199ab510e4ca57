// The home of the processes of one machine, and the second level of their values: LMDB files that
// they share. No server, no daemon.
//
//   zoocache::Cache cache{{.home = zoocache::lmdb_home("./cache")}};
//
// Promises what one process has, across them: after invalidate() has returned in one, no call that
// starts later in any returns a value that was loaded before it. An invalidation that returned is
// not lost when processes are killed; the end of the operating system ends the cache with it.
// Link zoocache::lmdb.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <zoocache/home.h>
#include <zoocache/storage.h>

namespace zoocache {

// Options of lmdb_home().
struct LmdbOptions {
  // A name for a log of its own inside the folder: 1 to 64 of A-Z a-z 0-9 . _ - ; empty: none.
  std::string prefix = {};
  // The most different tags that the log remembers; the oldest are forgotten, which empties caches
  // that have not looked since. Range 2^4 .. 2^24.
  std::size_t max_log_tags = 1'000'000;
  // What the log may take of the address space and, at the most, of the disk, in bytes; the same in
  // all processes. When it is full, the oldest tags are forgotten. Range 2^20 .. 2^36.
  std::size_t map_bytes = std::size_t{1} << 30;
  // How long an invalidation waits for other processes' ones, in seconds, before it throws
  // HomeUnreachable: one that was stopped may be in the way. Range above 0.
  double lock_timeout_s = 1;
  // How long a write may take to be committed, in seconds, from Cache::invalidating on; the same in
  // all processes. A block that is open for longer invalidates its tags meanwhile, too. Range 0.01
  // .. 86,400.
  double max_commit_time_s = 60;
};

// `path`: a folder on a local disk, which is made if it is not there, readable by this user alone.
// Throws InvalidOption for options out of range; HomeUnreachable if the folder cannot be used now:
// it cannot be made or written to, belongs to others, lies on a network file system, is in use by
// processes of another PID namespace. Thread-safe.
HomePtr lmdb_home(const std::string& path, const LmdbOptions& options = {});

// Options of lmdb_storage().
struct LmdbStorageOptions {
  // A name for entries of its own inside the folder, as LmdbOptions::prefix.
  std::string prefix = {};
  // What the file may take of the address space and of the disk, in bytes. It begins small and
  // grows. Entries may take three quarters of it; then the oldest go. Range 2^20 .. 2^40.
  std::size_t max_bytes = std::size_t{1} << 30;
  // The largest value, encoded and before it is compressed. Range 1 .. 2^30.
  std::size_t max_value_bytes = std::size_t{1} << 26;
  // As LmdbOptions::lock_timeout_s, for whoever stores a value or claims its load.
  double lock_timeout_s = 1;
  // As RedisStorageOptions::secrets.
  std::vector<std::string> secrets = {};
};

// Values that outlast a process, for the processes of one machine, in `path`: a folder as that of
// lmdb_home, which may be the same one; its log may also live elsewhere. Values do not outlast the
// operating system. Throws as lmdb_home. Thread-safe.
StoragePtr lmdb_storage(const std::string& path, const LmdbStorageOptions& options = {});

}  // namespace zoocache
