// Why a call would be answered from the cache, or not: what `explain` of a cached function gives.
// Reasons of entries that are gone are remembered for the last Options::explain_records of them.
// Thread-safety: a plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace zoocache {

// What is known of one call's entry.
struct Explanation {
  // Why there is a valid entry, or none.
  enum class Reason {
    kHit,          // a valid entry
    kNeverLoaded,  // nothing is known of these arguments
    kInvalidated,  // see tag, detail, epoch, age_s
    kExpired,      // its time to live was over, age_s ago
    kEvicted,      // it went for want of room
    kNotStored     // the last load's result was not kept; see detail
  };

  Reason reason = Reason::kNeverLoaded;  // the rest is set as far as it has to do with it
  std::string tag;                // kInvalidated: the tag that was invalidated, if it is a user's
  std::string detail;             // in words, where the tag does not say it
  std::uint64_t epoch = 0;        // kInvalidated: of the invalidation
  std::optional<double> age_s;    // how long ago that happened, if known; resolution 10 ms
  std::uint64_t born = 0;         // of the entry that is there, valid or not
  std::vector<std::string> deps;  // of the entry that is there, sorted

  // One sentence: "miss: invalidated by 'user:42' 0.3 s ago".
  std::string text() const;
};

}  // namespace zoocache
