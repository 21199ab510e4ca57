// What a cache tells about itself.
// Thread-safety: plain values; a snapshot, whose numbers may be of slightly different moments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace zoocache {

// Counts of one function, since it was made.
struct FunctionStats {
  std::uint64_t hits = 0;    // calls that were answered from memory
  std::uint64_t misses = 0;  // calls that found nothing to serve: they loaded, or waited
  // Of them, by what became of the entry; the others were never loaded, or their entry was
  // forgotten (Options::explain_records).
  std::uint64_t misses_invalidated = 0;
  std::uint64_t misses_expired = 0;     // its time was over
  std::uint64_t misses_evicted = 0;     // there was no room
  std::uint64_t misses_not_stored = 0;  // the last load's result was not kept
  std::uint64_t loads = 0;              // loader runs, those that threw included
  std::uint64_t load_errors = 0;        // loader runs that threw
  std::uint64_t stores = 0;             // values that were put into memory
  std::uint64_t not_stored = 0;         // loaded values that were not kept
  std::uint64_t evictions = 0;          // entries that went for want of room
  std::uint64_t expirations = 0;        // entries found expired
  std::uint64_t dead_entries = 0;       // entries found invalidated
  std::uint64_t flights_joined = 0;     // calls that waited for another caller's load
  std::uint64_t stale_hits = 0;   // misses answered with a value past its time, as options say
  std::uint64_t refreshes = 0;    // loads that were started in the background
  std::uint64_t l2_hits = 0;      // misses that the storage answered
  std::uint64_t l2_stores = 0;    // values that were put into the storage
  std::uint64_t l2_refusals = 0;  // values that could not be kept there
};

// The sums over all functions of a cache, those included that are gone, and what it holds now.
struct Stats : FunctionStats {
  std::uint64_t clock = 0;  // the newest epoch
  std::size_t entries = 0;  // invalid ones that nobody has met yet included
  std::size_t bytes = 0;    // accounted
  std::size_t tags = 0;     // tags that something depends on, and their ancestors
  std::size_t flights = 0;  // loads that run now
};

// A histogram of how long the loads of one function took.
struct LoadTimes {
  std::vector<double> bounds_s;       // upper bounds of the buckets but the last, rising
  std::vector<std::uint64_t> counts;  // loads in each bucket; one more than there are bounds
  double sum_s = 0;                   // of all loads
};

// One cached function of a cache.
struct FunctionInfo {
  std::string name;         // as cacheable() got it
  std::size_t entries = 0;  // invalid ones that nobody has met yet included
  FunctionStats stats;      // since it was made
  LoadTimes load_times;     // of its loader
};

// One invalidation of the newest Options::invalidation_records that this cache has heard of.
struct InvalidationInfo {
  std::uint64_t epoch = 0;             // of this process
  std::vector<std::string> tags;       // what was invalidated; with everything below each
  std::vector<std::string> functions;  // whose calls, all or one of them, were; "" if one is gone
  bool everything = false;             // clear()
  std::size_t more = 0;                // tags and functions that were too many to be remembered
  double age_s = 0;                    // since it happened here; resolution 10 ms
  std::uint64_t died = 0;              // entries that were found dead of it so far
};

// One tag that something depends on.
struct TagInfo {
  std::string tag;            // the whole of it
  std::uint64_t version = 0;  // epoch of the newest invalidation that named exactly this tag
  std::size_t entries = 0;    // entries and running loads that depend on exactly this tag
};

}  // namespace zoocache
