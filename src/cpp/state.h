// What the opaque types of the public boundary are.
// Thread-safety: as the engine's parts; FrameState as LoadFrame.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "core/engine.h"
#include "core/flight.h"
#include "core/load_frame.h"
#include "cpp/background.h"
#include "cpp/teller.h"
#include "zoocache/detail/boundary.h"

namespace zoocache::detail {

using Policy = core::ConcurrentPolicy;

class CacheState : public std::enable_shared_from_this<CacheState> {
 public:
  explicit CacheState(const Options& options)
      : engine(options), background(options.background), storage_jobs(options.background) {
    engine.log().set_teller(&teller_);
  }
  ~CacheState() { engine.log().set_teller(nullptr); }
  CacheState(const CacheState&) = delete;
  CacheState& operator=(const CacheState&) = delete;

  core::Engine<Policy> engine;
  core::FlightTable<Policy> flights;
  Background background;  // ends before what its jobs use
  // What waits for a storage in the place of coroutines: with workers of its own, which no load in
  // the background keeps busy.
  Background storage_jobs;

 private:
  Teller teller_{*this};
};

// The table owns boxes: an entry's key word is one, its value word the same. They own themselves
// until they are dropped; whoever got the value meanwhile keeps its box.
inline const Box& box_of(const core::HotEntry& hot) noexcept {
  return *reinterpret_cast<const Box*>(hot.key);
}
inline void drop_box(core::Word key, core::Word, std::uint64_t) noexcept {
  Box& box = *reinterpret_cast<Box*>(key);
  ValuePtr own(ValuePtr(), box.value.get());
  own.swap(box.value);
}

// Lives as long as somebody can call the function; takes its entries along.
class FunctionState : public std::enable_shared_from_this<FunctionState> {
 public:
  FunctionState(CachePtr owner, std::string name, FunctionSettings told)
      : cache(std::move(owner)),
        settings(std::move(told)),
        function(cache->engine.add_function(std::move(name), settings.bounds, &drop_box)) {}
  ~FunctionState() {
    core::Removed removed(cache->engine.log());
    try {
      cache->engine.remove_function(function, removed);
    } catch (const std::bad_alloc&) {
      return;  // nobody finds its entries any more; they can be evicted, and die with the cache
    }
  }
  FunctionState(const FunctionState&) = delete;
  FunctionState& operator=(const FunctionState&) = delete;

  const CachePtr cache;
  const FunctionSettings settings;
  core::Function<Policy>& function;
  const std::shared_ptr<Jobs> jobs = std::make_shared<Jobs>();
};

// A load frame that keeps its cache alive: its dependencies refer to the cache's log.
class FrameState final : private std::shared_ptr<CacheState>, public core::LoadFrame<Policy> {
 public:
  FrameState(CachePtr cache, core::Epoch loaded_since, core::FlightPtr own_flight, FramePtr outer)
      : std::shared_ptr<CacheState>(std::move(cache)),
        core::LoadFrame<Policy>((*this)->engine.log(), loaded_since, std::move(own_flight),
                                std::move(outer)) {}
  std::size_t max_tag_length() const { return (*this)->engine.options().max_tag_length; }
};

// Makes a load the calling thread's own while the scope lives.
class CurrentFrame {
 public:
  explicit CurrentFrame(FramePtr frame) noexcept
      : before_(exchange_current_frame(std::move(frame))) {}
  ~CurrentFrame() { exchange_current_frame(std::move(before_)); }
  CurrentFrame(const CurrentFrame&) = delete;
  CurrentFrame& operator=(const CurrentFrame&) = delete;

 private:
  FramePtr before_;
};

// The key's own comparison. What it throws passes through the engine.
inline auto matching(Equal equal, const void* probe) {
  return [equal, probe](const core::HotEntry& hot) {
    return equal(box_of(hot), probe) ? core::Match::kYes : core::Match::kNo;
  };
}
inline auto matching(const Request& request) { return matching(request.equal, request.probe); }

}  // namespace zoocache::detail
