// The LMDB environment of a part of the folder: one for each real folder, part and process.
//
// LMDB forbids to open a file twice in one process, and closing one of the two would drop the locks
// of both; so environments are shared, by a registry. A child of fork() may use nothing of an
// inherited one: it is marked, its descriptors are closed before the child opens the folder anew.
// The log's map has one fixed size: resizing it while another thread reads the clock crashes.
// That of the entries grows (level_environment.h).
// Thread-safety: everything from any thread.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "core/epoch.h"
#include "lmdb/folder.h"
#include "lmdb/table.h"
#include "lmdb/timed_lock.h"

namespace zoocache::lmdb {

class Environment {
 public:
  // The process's environment of the folder's log. `patience`: with other processes, at each step.
  // `map_bytes` counts for the first who opens it. Throws HomeUnreachable.
  static std::shared_ptr<Environment> open(const std::string& path, std::size_t map_bytes,
                                           std::chrono::nanoseconds patience);
  virtual ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // The shared clock: the newest transaction that anybody committed. May be ahead of what a
  // transaction that begins now sees: it says "look", no more.
  core::Epoch clock() const noexcept {
    MDB_envinfo info;
    mdb_env_info(env_, &info);
    return info.me_last_txnid;
  }
  // False in a child of fork() that inherited it.
  bool is_ours() const noexcept { return !inherited_.load(std::memory_order_relaxed); }
  // Whether the part's name still leads to the file that was opened.
  bool is_same_file() const noexcept;
  // Whether the folder still is what was opened, and nobody uses it who must not. If not, says why.
  // Two looks at the file system: at the file's inode, by its name, and at the folder's time, which
  // moves when somebody comes or goes. Only then the folder's names are read, and for as long as
  // its time is so young that it may not move at the next change.
  bool is_intact(std::string* trouble) const;

  // Makes a transaction that reads, for the first time; the LMDB error number. Throws
  // HomeUnreachable if others who do so take too long.
  int begin_reading(MDB_txn** transaction);
  // Gives back the pages that readers hold who were killed at work. Throws HomeUnreachable.
  void forget_dead_readers(std::chrono::nanoseconds patience);

  MDB_env* env() const noexcept { return env_; }
  MDB_dbi rows() const noexcept { return rows_; }
  std::uint64_t nonce() const noexcept { return nonce_; }
  // How often the file was found damaged, and begun anew, since somebody asked.
  std::uint64_t take_corruptions() noexcept { return corruptions_.exchange(0); }
  // To be held by who begins to write: LMDB's own mutex, which waits for ever, then has one to wait
  // at the most. So is another by who begins to read for the first time.
  TimedLock& writers() noexcept { return *writers_; }
  const std::string& folder() const noexcept { return folder_; }

 protected:
  // What the registry opens: the real folder, with its mutex held.
  struct Opening {
    Part part = Part::kLog;
    std::string folder;
    std::size_t map_bytes = 0;
    std::chrono::nanoseconds patience{0};
  };
  explicit Environment(const Opening& opening);
  // Closes it before its time: whoever asks opens another one. REQUIRES: nobody uses it now, and
  // whoever will looks at is_lost() first.
  void give_up() noexcept;
  bool is_lost() const noexcept { return is_lost_.load(); }

 private:
  friend class Registry;
  void open_file(const Opening& opening, FolderLife& life);
  bool open_rows(const FolderLife& life, std::chrono::nanoseconds patience);
  bool read_meta(Meta* meta);
  void close_file() noexcept;

  const Part part_;
  const std::string folder_;
  const PartNames names_;
  File presence_;
  std::string presence_path_;
  std::unique_ptr<TimedLock> writers_;
  std::unique_ptr<TimedLock> readers_;
  MDB_env* env_ = nullptr;
  MDB_dbi rows_ = 0;
  std::uint64_t nonce_ = 0;
  std::uint64_t device_ = 0;  // of the part's file
  std::uint64_t inode_ = 0;
  std::uint64_t lock_inode_ = 0;
  std::uint64_t space_ = 0;  // the PID namespace
  // The folder's time as of a look that found nobody who must not be there, and holds until that
  // time moves.
  mutable std::atomic<std::int64_t> certain_until_changed_ns_{-1};
  std::atomic<std::uint64_t> corruptions_{0};
  std::atomic<bool> inherited_{false};
  std::atomic<bool> is_lost_{false};
  bool is_registered_ = false;
};

}  // namespace zoocache::lmdb
