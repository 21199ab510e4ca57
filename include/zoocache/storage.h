// Where values live that outlast a process and that several processes share: the second level
// behind a cache's own memory. It needs a home (home.h), whose log says which of them still hold.
// Thread-safety: a storage may be used by any number of caches, from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace zoocache {

namespace core {
class SecondLevel;
}

// What happened between this process and a storage so far. What a kind of storage does not know
// stays 0.
struct StorageCounters {
  std::uint64_t connects = 0;     // connections that were made; folders that were opened
  std::uint64_t disconnects = 0;  // connections, or folders, that were lost
  std::uint64_t errors = 0;       // calls that went on as if nothing were stored: no usable answer
  std::uint64_t rejected = 0;     // entries that were there and could not be used: damaged, of
                                  // another version or key, or not signed by anybody known
  std::uint64_t corruptions = 0;  // LMDB: the file was damaged, and was begun anew
};

// How a storage does.
struct StorageStatus {
  std::string kind;               // "memory", "lmdb", "redis"
  bool reachable = false;         // it was asked just now
  std::string trouble = {};       // why it is not reachable
  StorageCounters counters = {};  // of this process
};

// Where values live; what lmdb_storage() and redis_storage() make.
class Storage {
 public:
  Storage() = default;
  virtual ~Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  // For caches. Throws nothing but bad_alloc: a storage that cannot be reached now may be later.
  virtual std::shared_ptr<core::SecondLevel> connect() const = 0;
  // As Home::server. What is on a server needs its home on the same one.
  virtual std::string server() const { return {}; }
};
// How caches hold a storage.
using StoragePtr = std::shared_ptr<const Storage>;

// Values that live as long as the last cache that uses it: for tests of what others keep in a file.
StoragePtr memory_storage();

}  // namespace zoocache
