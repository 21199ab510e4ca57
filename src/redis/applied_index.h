// What was applied of this generation of the log, as far back as its newest records reach. So that
// whether a stored value still holds can mostly be told here, without a round trip.
//
//   floor ─────────────────────── newest        records: (epoch, hash of the text), as they came
//     (hash of a text -> the newest epoch at which it was noted)
//
// Knows every text that was applied at an epoch above the floor, at that epoch or a later one: a
// page of a catch-up names only the last epoch of its texts. Two texts of one hash count as one.
// Both only make a text look newer than it is: then a value is loaded once more.
// Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/epoch.h"
#include "core/hash.h"

namespace zoocache::redis {

class AppliedIndex {
 public:
  static constexpr std::size_t kMaxRecords = 65'536;

  // Nothing is known but what is noted from now on, above this epoch.
  void begin(core::Epoch floor) noexcept {
    records_.clear();
    newest_.clear();
    floor_ = top_ = floor;
  }

  void note(std::string_view text, core::Epoch epoch) noexcept {
    top_ = std::max(top_, epoch);
    try {
      const std::uint64_t hash = core::hash_bytes(text, 0);
      core::Epoch& newest = newest_[hash];
      if (newest >= epoch) return;
      newest = epoch;
      records_.emplace_back(epoch, hash);
      if (records_.size() > kMaxRecords) forget_oldest();
    } catch (const std::bad_alloc&) {
      begin(top_);
    }
  }

  // Below it nothing is known.
  core::Epoch floor() const noexcept { return floor_; }
  // 0: not noted above the floor.
  core::Epoch newest(std::string_view text) const noexcept {
    const auto found = newest_.find(core::hash_bytes(text, 0));
    return found == newest_.end() ? 0 : found->second;
  }

 private:
  void forget_oldest() noexcept {
    const auto [epoch, hash] = records_.front();
    records_.pop_front();
    floor_ = std::max(floor_, epoch);
    const auto found = newest_.find(hash);
    if (found != newest_.end() && found->second == epoch) newest_.erase(found);
  }

  core::Epoch floor_ = 0;
  core::Epoch top_ = 0;
  std::deque<std::pair<core::Epoch, std::uint64_t>> records_;
  std::unordered_map<std::uint64_t, core::Epoch> newest_;
};

}  // namespace zoocache::redis
