// What a cache tells about itself.
// Thread-safety: plain values; a snapshot, whose numbers may be of slightly different moments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace zoocache {

// Counts of one function, since it was made.
struct FunctionStats {
  std::uint64_t hits = 0;            // calls that were answered from memory
  std::uint64_t misses = 0;          // calls that found nothing to serve: they loaded, or waited
  std::uint64_t loads = 0;           // loader runs, those that threw included
  std::uint64_t load_errors = 0;     // loader runs that threw
  std::uint64_t stores = 0;          // values that were put into memory
  std::uint64_t not_stored = 0;      // loaded values that were not kept
  std::uint64_t evictions = 0;       // entries that went for want of room
  std::uint64_t expirations = 0;     // entries found expired
  std::uint64_t dead_entries = 0;    // entries found invalidated
  std::uint64_t flights_joined = 0;  // calls that waited for another caller's load
  std::uint64_t stale_hits = 0;      // misses answered with a value past its time, as options say
  std::uint64_t refreshes = 0;       // loads that were started in the background
  std::uint64_t l2_hits = 0;         // misses that the storage answered
  std::uint64_t l2_stores = 0;       // values that were put into the storage
  std::uint64_t l2_refusals = 0;     // values that could not be kept there
};

// The sums over all functions of a cache, those included that are gone, and what it holds now.
struct Stats : FunctionStats {
  std::uint64_t clock = 0;  // the newest epoch
  std::size_t entries = 0;  // invalid ones that nobody has met yet included
  std::size_t bytes = 0;    // accounted
  std::size_t tags = 0;     // tags that something depends on, and their ancestors
  std::size_t flights = 0;  // loads that run now
};

// One tag that something depends on.
struct TagInfo {
  std::string tag;            // the whole of it
  std::uint64_t version = 0;  // epoch of the newest invalidation that named exactly this tag
  std::size_t entries = 0;    // entries and running loads that depend on exactly this tag
};

}  // namespace zoocache
