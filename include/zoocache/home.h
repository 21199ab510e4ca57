// What caches share when they are told the same home: the log of invalidations. An invalidation in
// one of them reaches all. Where it lives is chosen by what makes the home: memory_home() for the
// caches of one process, lmdb_home() (lmdb.h) for the processes of one machine.
// Thread-safety: a home may be used by any number of caches, from any thread.
#pragma once

#include <memory>

namespace zoocache {

namespace core {
class LogHome;
}

class Home {
 public:
  Home() = default;
  virtual ~Home() = default;
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  // For caches: a connection of their own. Throws nothing but bad_alloc: a home that cannot be
  // reached now may be later.
  virtual std::unique_ptr<core::LogHome> connect() const = 0;
};
using HomePtr = std::shared_ptr<const Home>;

// A log that lives as long as the last cache that uses it.
HomePtr memory_home();

}  // namespace zoocache
