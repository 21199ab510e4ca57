// What caches share when they are told the same home: the log of invalidations. An invalidation in
// one of them reaches all. Where it lives is chosen by what makes the home: memory_home() for the
// caches of one process, lmdb_home() (lmdb.h) for the processes of one machine.
// Thread-safety: a home may be used by any number of caches, from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace zoocache {

namespace core {
class LogHome;
}

// What happened between one cache and its home so far, in this process. What a kind of home does
// not know stays 0.
struct HomeCounters {
  std::uint64_t connects = 0;      // connections that were made; folders that were opened
  std::uint64_t disconnects = 0;   // connections, or folders, that were lost
  std::uint64_t timeouts = 0;      // no reply in time; LMDB: not a writer's turn in time
  std::uint64_t errors = 0;        // what was refused; replies and messages that made no sense
  std::uint64_t script_loads = 0;  // scripts that the server lacked
  std::uint64_t gaps = 0;          // it was found that messages are missing
  std::uint64_t catch_ups = 0;     // what was missed was asked for
  std::uint64_t flushes = 0;       // everything was dropped here: something may be missing
  std::uint64_t generation_changes = 0;  // another log took the place of the known one
  std::uint64_t replays = 0;             // changes that were declared once more
  std::uint64_t unreplicated = 0;        // acknowledged, but not by replicas_ack replicas in time
  std::uint64_t breaker_opens = 0;       // times from which on nobody waited for the server
  // Stored values that were found to hold:
  std::uint64_t local_checks = 0;   // by what is known here
  std::uint64_t server_checks = 0;  // with a look at the server
  std::uint64_t map_full = 0;       // LMDB: no room, until the oldest tags were forgotten
  std::uint64_t corruptions = 0;    // LMDB: the file was damaged, and was begun anew
  std::uint64_t duplicates = 0;     // messages of others that told what was known
  // Times that trust in the server was over before it was renewed: this process stood still, or
  // nothing came through.
  std::uint64_t lease_expirations = 0;
};

// How a home does, as one cache sees it.
struct HomeStatus {
  std::string kind;                 // "memory", "lmdb", "redis"
  bool reachable = false;           // as of the last time it was asked
  std::uint64_t generation = 0;     // which unbroken history of the log this is
  std::uint64_t clock = 0;          // the home's newest epoch
  std::uint64_t applied = 0;        // what this cache has heard of it
  std::uint64_t floor = 0;          // everything at or below it may have been forgotten
  std::string trouble = {};         // why it is not reachable; or what should be changed about it
  std::size_t intents = 0;          // that stand in the home, as of the last look at them
  std::uint64_t fired_intents = 0;  // that this cache carried out for others
  HomeCounters counters = {};       // of this process
};

// Where a log lives; what lmdb_home() and redis_home() make.
class Home {
 public:
  Home() = default;
  virtual ~Home() = default;
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  // For caches: a connection of their own. Throws nothing but bad_alloc: a home that cannot be
  // reached now may be later.
  virtual std::unique_ptr<core::LogHome> connect() const = 0;
  // The server that it is on, without a password: "redis://host:6379/0". Empty: on none.
  virtual std::string server() const { return {}; }
};
// How caches hold a home.
using HomePtr = std::shared_ptr<const Home>;

// A log that lives as long as the last cache that uses it.
HomePtr memory_home();

}  // namespace zoocache
