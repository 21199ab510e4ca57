// Why entries went, or never came: the last of them, for `explain`.
// Thread-safety: under the table lock.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "core/epoch.h"

namespace zoocache::core {

enum class Removal : std::uint8_t {
  kInvalidated,
  kExpired,
  kEvicted,
  kReplaced,
  kRemoved,
  kOutdated,  // never kept: invalidated while it was loaded
  kHeld,      // never kept: a writer held one of its tags
  kUnwanted,  // never kept: the load or its options said so
  kNoRoom,    // never kept: larger than its bound, or the bound is 0
  kFailed     // never kept: the load failed
};

// In words, for those that were never kept.
constexpr const char* why_not_stored(Removal reason) noexcept {
  switch (reason) {
    case Removal::kOutdated:
      return "invalidated while it was loaded";
    case Removal::kHeld:
      return "a writer held one of its tags";
    case Removal::kNoRoom:
      return "there is no room for it within its bounds";
    case Removal::kFailed:
      return "the load failed";
    default:
      return "the load or its options said so";
  }
}

// What an obituary's `tag` says where it was no user's tag; they begin with kHiddenMark.
inline constexpr std::string_view kByFunction = "\x01 function";
inline constexpr std::string_view kByInnerKey = "\x01 inner key";
inline constexpr std::string_view kByOwnKey = "\x01 own key";

struct Obituary {
  std::uint64_t function = 0;  // Function::tag_id
  std::uint64_t hash = 0;
  Removal reason = Removal::kRemoved;
  Epoch epoch = 0;  // of the invalidation
  std::uint64_t tag_hash = 0;
  std::string tag;           // what was invalidated; empty for the root
  std::int64_t time_ms = 0;  // InvalidationLog::now_ms of the removal
};

// The last of them, in a ring; those of one bucket are chained, the newest first:
//
//   records_[sequence % capacity]    heads_[hash] -> newest sequence; `previous` -> an older one
//
// A chain ends where its sequence has left the ring, so nothing is ever removed.
class Obituaries {
 public:
  explicit Obituaries(std::size_t capacity)
      : capacity_(capacity), heads_(capacity == 0 ? 0 : std::bit_ceil(capacity)) {}

  // Without memory it remembers less.
  void add(Obituary obituary) noexcept {
    if (capacity_ == 0) return;
    const std::uint64_t sequence = newest_ + 1;
    std::uint64_t& head = heads_[bucket_of(obituary.function, obituary.hash)];
    Record record{std::move(obituary), head};
    if (records_.size() < capacity_) {
      try {
        records_.push_back(std::move(record));
      } catch (const std::bad_alloc&) {
        return;
      }
    } else {
      records_[(sequence - 1) % capacity_] = std::move(record);
    }
    newest_ = head = sequence;
  }

  // The newest one of that key; nullptr if it is forgotten or nothing happened.
  const Obituary* find(std::uint64_t function, std::uint64_t hash) const noexcept {
    if (capacity_ == 0) return nullptr;
    std::uint64_t sequence = heads_[bucket_of(function, hash)];
    while (sequence != 0 && sequence + capacity_ > newest_) {
      const Record& one = records_[(sequence - 1) % capacity_];
      if (one.obituary.function == function && one.obituary.hash == hash) return &one.obituary;
      sequence = one.previous;
    }
    return nullptr;
  }

 private:
  struct Record {
    Obituary obituary;
    std::uint64_t previous = 0;
  };

  std::size_t bucket_of(std::uint64_t function, std::uint64_t hash) const noexcept {
    return (hash ^ (function * 0x9E3779B97F4A7C15ULL)) & (heads_.size() - 1);
  }

  const std::size_t capacity_;
  std::uint64_t newest_ = 0;  // sequence numbers begin at 1
  std::vector<Record> records_;
  std::vector<std::uint64_t> heads_;
};

}  // namespace zoocache::core
