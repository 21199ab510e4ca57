// Every limit of a cache, with its unit, default and range. Checked once, when the cache is made;
// a value out of range throws InvalidOption.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>

#include <zoocache/home.h>
#include <zoocache/storage.h>

namespace zoocache {

// No bound.
inline constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();
// Characters of a tag.
inline constexpr std::size_t kDefaultMaxTagLength = 256;

// Options of a Cache.
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
  std::size_t max_tag_length = kDefaultMaxTagLength;
  // Invalidations remembered for exact reclamation, `explain` and fast revalidation. With an LMDB
  // home also how many tags of other processes a call reads of; where more were invalidated since
  // the one before, everything is dropped here instead. A power of two, 2^4 .. 2^24.
  std::size_t ring_records = std::size_t{1} << 16;
  // Removed entries remembered for `explain`. Range 0 .. 2^20.
  std::size_t explain_records = 4096;
  // Invalidations remembered in words, for `invalidations()`: up to 1 KiB each; rounded up to a
  // power of two. Range 0 .. 2^20.
  std::size_t invalidation_records = 256;
  // Runs loads in the background, which AgingOptions ask for; called from any thread, it must not
  // block, and runs each job once. Empty: worker threads of the cache, made when they are needed.
  // Coroutine loaders need none, they run by themselves; what they keep in a storage is looked for
  // and stored there.
  std::function<void(std::function<void()>)> background = nullptr;
  // Where the invalidations live that this cache shares with others; see home.h. Empty: they are
  // its own.
  HomePtr home = nullptr;
  // Where values live that several processes share, and that outlast them; see storage.h. Needs a
  // home. Empty: in this process alone.
  StoragePtr storage = nullptr;
};

// What is done with values that are about to stop being valid, or have. A value that was
// *invalidated*, not merely expired, is handed out only where an option says so by name. Who got a
// value past its time may not keep what it made of it: a load around the call is returned and not
// stored, through any depth. invalidate(key) and clear() of a function or cache leave nothing that
// could be handed out.
struct AgingOptions {
  // An expired value is handed out for so long, in seconds, while one caller loads anew.
  double grace_s = 0;
  // grace_s holds for invalidated values too, counted from the invalidation. Needs grace_s.
  bool stale_while_revalidate = false;
  // An expired value is handed out for so long, in seconds, instead of a loader's error.
  double stale_if_error_s = 0;
  // stale_if_error_s holds for invalidated values too. Needs stale_if_error_s.
  bool stale_if_error_invalidated = false;
  // With an old value in its grace, no caller waits longer than this, in seconds: the load goes on
  // in the background. 0: the caller that loads waits for it. Needs grace_s.
  double soft_timeout_s = 0;
  // A hit in the last so many seconds of an entry's time starts a load in the background, one for
  // each key.
  double refresh_ahead_s = 0;
  // Times to live are shortened at random by up to this share, so that what was stored together
  // does not expire together. Range 0 .. below 1.
  double jitter = 0;

  // How long an entry is kept after it stopped being valid, in seconds.
  double keep_s() const noexcept { return grace_s > stale_if_error_s ? grace_s : stale_if_error_s; }
};

// Bounds of one function's own entries; a function without any shares the cache's bounds.
struct FunctionOptions {
  std::size_t max_entries = kUnbounded;  // range 0 .. kUnbounded; 0 stores nothing
  std::size_t max_bytes = kUnbounded;    // accounted bytes, as Options::max_bytes
  double ttl_s = -1;                     // < 0: the cache's default_ttl_s; 0: no expiry
  bool sliding = false;                  // every hit starts the time to live anew
  AgingOptions aging = {};               // what is done with values past their time
};

}  // namespace zoocache
