// The environments of this process, by folder and part, and what fork() left of the parent's.
//
// Closing a file that is open twice drops the locks of both: an environment is opened only when the
// one before it, of the same file, is closed. A child of fork() closes what it inherited before it
// opens anything.
// Thread-safety: everything from any thread; fork() waits for it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "lmdb/folder.h"

namespace zoocache::lmdb {

class Environment;

class Registry {
 public:
  static Registry& instance();

  // The one that is open, if its file is still there; else a new one, of the real folder. Throws
  // HomeUnreachable, and what `make` throws.
  using Make = std::function<std::shared_ptr<Environment>(const std::string& folder)>;
  std::shared_ptr<Environment> open(const std::string& path, Part part, const Make& make);
  void close(Environment& one) noexcept;
  // For what a child of fork() goes on with: never held for longer than a few words are copied.
  std::mutex& brief_mutex() noexcept { return brief_mutex_; }

 private:
  using FileNumber = std::pair<std::uint64_t, std::uint64_t>;  // device, inode
  struct Entry {
    std::weak_ptr<Environment> shared;
    Environment* open = nullptr;  // until it is closed
  };

  Registry();
  static void prepare();
  static void in_parent();
  static void in_child();
  void close_inherited();

  std::mutex brief_mutex_;  // after the other
  std::mutex mutex_;        // guards everything here, and the opening and closing of environments
  std::condition_variable closed_;
  std::map<std::pair<std::string, Part>, Entry> entries_;  // the newest of each
  std::vector<Environment*> open_;                         // and those whose file is gone
  std::vector<FileNumber> inherited_;
};

}  // namespace zoocache::lmdb
