// An engine whose keys and values are plain numbers, and a register of those it holds: what was
// stored and not yet dropped. A value that is dropped twice, or never, is seen.
// Thread-safety: the register from any thread; the helpers as the engine.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/engine.h"
#include "core/flight.h"

namespace zoocache::testing {

// Values that the engine owns at this moment, and how often each.
class Owned {
 public:
  static void take(core::Word value) {
    const std::lock_guard lock(mutex_);
    ++counts_[value];
  }
  static void drop(core::Word, core::Word value, std::uint64_t) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(value);
    if (found == counts_.end()) {
      ++dropped_twice_;
    } else if (--found->second == 0) {
      counts_.erase(found);
    }
  }
  static std::size_t size() {
    const std::lock_guard lock(mutex_);
    return counts_.size();
  }
  static bool holds(core::Word value) {
    const std::lock_guard lock(mutex_);
    return counts_.contains(value);
  }
  static std::size_t dropped_twice() { return dropped_twice_; }
  static void forget() {
    const std::lock_guard lock(mutex_);
    counts_.clear();
    dropped_twice_ = 0;
  }

 private:
  static inline std::mutex mutex_;
  static inline std::unordered_map<core::Word, std::size_t> counts_;
  static inline std::atomic<std::size_t> dropped_twice_{0};
};

class HandClock final : public core::TimeSource {
 public:
  std::int64_t now_ns() noexcept override { return ns.load(std::memory_order_relaxed); }
  void advance_s(double seconds) { ns.fetch_add(static_cast<std::int64_t>(seconds * 1e9)); }
  std::atomic<std::int64_t> ns{1'000'000'000};
};

struct StoreRequest {
  core::Word key = 0;
  core::Word value = 0;
  std::vector<std::string> tags = {};
  core::Epoch born = 0;
  double ttl_s = 0;
  bool sliding = false;
  std::size_t value_bytes = 0;
};

template <class Policy>
class EngineHarness {
 public:
  using EngineType = core::Engine<Policy>;
  using FunctionType = core::Function<Policy>;
  using Standing = core::InvalidationLog::Standing;

  explicit EngineHarness(const Options& options) : engine(options) {
    engine.set_time_source(&clock);
  }

  FunctionType& add(const FunctionOptions& options = {}) {
    return engine.add_function("f", options, &Owned::drop);
  }

  // Keys that differ only above 2^20 have the same hash: collisions can be made at will.
  static std::uint64_t hash_of(core::Word key) { return (key & 0xFFFFF) * 0x9E3779B97F4A7C15ULL; }
  static auto matching(core::Word key) {
    return [key](const core::HotEntry& hot) {
      return hot.key == key ? core::Match::kYes : core::Match::kNo;
    };
  }

  // Binds and stores as a front door does. The standing if the log refused.
  struct Stored {
    Standing standing;
    core::StoreOutcome outcome;
  };
  Stored store(FunctionType& function, const StoreRequest& request) {
    core::NewEntry entry;
    const Standing standing = bind(function, request, &entry.deps);
    if (standing != Standing::kCurrent) return {standing, core::StoreOutcome::kSuperseded};
    return {standing, store_bound(function, request, entry)};
  }
  Standing bind(FunctionType& function, const StoreRequest& request, core::Dependencies* bound) {
    core::DepSet deps(engine.log());
    for (const std::string& tag : request.tags) deps.add_tag(tag);
    const core::HiddenTag own(function.tag_id, hash_of(request.key));
    return engine.log().bind(deps, function.node, &own.path(), request.born, bound);
  }
  core::StoreOutcome store_bound(FunctionType& function, const StoreRequest& request,
                                 core::NewEntry entry) {
    entry.hash = hash_of(request.key);
    entry.key = request.key;
    entry.value = request.value;
    entry.born = request.born;
    entry.value_bytes = request.value_bytes;
    if (request.ttl_s > 0) {
      entry.expires_ns = clock.now_ns() + static_cast<std::int64_t>(request.ttl_s * 1e9);
      if (request.sliding) entry.sliding_s = static_cast<float>(request.ttl_s);
    }
    Owned::take(request.value);
    core::Removed removed(engine.log());
    return engine.store(function, entry, matching(request.key), removed);
  }

  // What a reader gets: the value of a valid entry. Removes what it finds dead.
  std::optional<core::Word> read(FunctionType& function, core::Word key) {
    core::Removed removed(engine.log());
    const typename Policy::Guard guard;
    const core::Epoch now = engine.log().clock();
    const core::EntryId id = engine.find(function, hash_of(key), matching(key));
    if (id == core::kNoEntry) return std::nullopt;
    core::HotEntry& hot = engine.slab().hot(id);
    const core::Validity validity = engine.check(id, function, now);
    if (validity == core::Validity::kValid) {
      engine.touch(hot);
      return hot.value;
    }
    engine.remove(function, id, hot.value,
                  validity == core::Validity::kExpired ? core::Removal::kExpired
                                                       : core::Removal::kInvalidated,
                  removed);
    return std::nullopt;
  }
  // Whether there is an entry, dead or alive; leaves no trace.
  bool contains(FunctionType& function, core::Word key) {
    const typename Policy::Guard guard;
    return engine.find(function, hash_of(key), matching(key)) != core::kNoEntry;
  }

  core::Epoch invalidate(const std::string& tag) {
    return engine.log().invalidate(core::TagPath::parse(tag, 256));
  }
  core::Epoch invalidate_key(FunctionType& function, core::Word key) {
    core::Removed removed(engine.log());
    return engine.invalidate_key(function, hash_of(key), 0, removed);
  }
  void clear() {
    engine.log().invalidate_root();
    core::Removed removed(engine.log());
    engine.clear(removed);
  }
  void remove_function(FunctionType& function) {
    core::Removed removed(engine.log());
    engine.remove_function(function, removed);
  }

  HandClock clock;
  EngineType engine;
};

}  // namespace zoocache::testing
