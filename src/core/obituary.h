// Why entries went, or never came: the last of them, for `explain`.
// Thread-safety: under the table lock.
#pragma once

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

class Obituaries {
 public:
  explicit Obituaries(std::size_t capacity) : capacity_(capacity) {}

  // Without memory it remembers less.
  void add(Obituary obituary) noexcept {
    if (capacity_ == 0) return;
    if (records_.size() < capacity_) {
      try {
        records_.push_back(std::move(obituary));
      } catch (const std::bad_alloc&) {
        return;
      }
    } else {
      records_[next_] = std::move(obituary);
    }
    next_ = (next_ + 1) % capacity_;
  }

  // The newest one of that key; nullptr if it is forgotten or nothing happened.
  const Obituary* find(std::uint64_t function, std::uint64_t hash) const noexcept {
    for (std::size_t back = 1; back <= records_.size(); ++back) {
      const Obituary& one = records_[(next_ + records_.size() - back) % records_.size()];
      if (one.function == function && one.hash == hash) return &one;
    }
    return nullptr;
  }

 private:
  const std::size_t capacity_;
  std::size_t next_ = 0;
  std::vector<Obituary> records_;
};

}  // namespace zoocache::core
