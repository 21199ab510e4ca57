// One entry of the table, in two parts found by the same number.
//
//   HotEntry, 32 bytes: all that a hit reads
//   | validated:56 timed:1 .. frequency:2 | hash:64 | key:64 | value:64 |
//
//   ColdEntry, 48 bytes: validation, expiry, eviction
//
// An entry is written once, before its number appears in an index, and replaced whole; afterwards
// only `state` (frequency, validated) and `expires_ns` of a sliding entry change. Refilling a slot
// in place would let a reader pair the old value with the new state.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/dependencies.h"
#include "core/epoch.h"

namespace zoocache::core {

using EntryId = std::uint32_t;
inline constexpr EntryId kNoEntry = ~EntryId{0};

// Opaque to the engine: the owner of a function knows what they are and how to drop them.
using Word = std::uint64_t;

struct HotEntry {
  std::atomic<std::uint64_t> state{0};
  std::uint64_t hash = 0;
  Word key = 0;
  Word value = 0;
};
static_assert(sizeof(HotEntry) == 32);

namespace state {

inline constexpr std::uint64_t kFrequency = 3;    // two saturating bits
inline constexpr std::uint64_t kTimed = 4;        // has an expiry: a hit must look at the clock
inline constexpr std::uint64_t kUserBits = 0xB8;  // the owner's own four bits, fixed at the store
// A load of the same key was started in the background.
inline constexpr std::uint64_t kRefreshing = 0x40;
// One of them: entries that carry it are counted in Function::counted.
inline constexpr std::uint64_t kCounted = 0x80;
inline constexpr int kEpochShift = 8;

inline Epoch validated(std::uint64_t state) noexcept { return state >> kEpochShift; }
inline std::uint64_t with_validated(std::uint64_t state, Epoch epoch) noexcept {
  return (state & 0xFF) | (epoch << kEpochShift);
}

}  // namespace state

enum class Queue : std::uint64_t { kNone, kSmall, kMain };  // as wide as its neighbour in ColdEntry

struct ColdEntry {
  Epoch born = 0;
  Dependencies deps;
  std::atomic<std::int64_t> expires_ns{0};  // boot time; 0: never
  EntryId newer = kNoEntry;                 // neighbours in the eviction queue
  EntryId older = kNoEntry;
  std::uint32_t function = 0;
  float sliding_s = 0;                // > 0: a hit starts this time anew
  std::uint64_t size_bytes : 56 = 0;  // accounted; saturates at kLargestSize
  Queue queue : 8 = Queue::kNone;     // kNone: the number is free
};
inline constexpr std::size_t kLargestSize = (std::size_t{1} << 56) - 1;
static_assert(sizeof(ColdEntry) == 48);

}  // namespace zoocache::core
