// Every limit of a cache, with its unit, default and range. Checked once, when the cache is made;
// a value out of range throws InvalidOption.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace zoocache {

inline constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();

struct Options {
  // Entries in the whole cache. Range 1 .. kUnbounded.
  std::size_t max_entries = 1'000'000;
  // Accounted bytes in the whole cache: the engine's own overhead and the values' declared sizes.
  // Range 1 .. kUnbounded.
  std::size_t max_bytes = kUnbounded;
  // Time to live of entries whose function names none, in seconds; 0 means no expiry.
  double default_ttl_s = 0;
  // How long a caller waits for another caller's load before it loads by itself, in seconds.
  double flight_timeout_s = 60;
  // Characters (code points) of a tag. Range 1 .. 4096.
  std::size_t max_tag_length = 256;
  // Invalidations remembered for exact reclamation, `explain` and fast revalidation.
  // A power of two, 2^4 .. 2^24.
  std::size_t ring_records = std::size_t{1} << 16;
  // Removed entries remembered for `explain`. Range 0 .. 2^20.
  std::size_t explain_records = 4096;
};

// Bounds of one function's own entries; a function without any shares the cache's bounds.
struct FunctionOptions {
  std::size_t max_entries = kUnbounded;  // range 0 .. kUnbounded; 0 stores nothing
  std::size_t max_bytes = kUnbounded;    // accounted bytes, as Options::max_bytes
  double ttl_s = -1;                     // < 0: the cache's default_ttl_s; 0: no expiry
  bool sliding = false;                  // every hit starts the time to live anew
};

}  // namespace zoocache
