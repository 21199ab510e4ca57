// Where values live that outlast a process and that several processes share: the second level
// behind a cache's own memory. It needs a home (home.h), whose log says which of them still hold.
// Thread-safety: a storage may be used by any number of caches, from any thread.
#pragma once

#include <memory>
#include <string>

namespace zoocache {

namespace core {
class SecondLevel;
}

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
