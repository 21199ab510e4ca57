// Inside a loader: more dependencies, no storing, and carrying the load to other threads.
//
// Thread-safety: everything may be called from any thread.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <zoocache/detail/boundary.h>

namespace zoocache {

// One running load. A loader that runs in several threads, or a coroutine loader, holds one; a
// plain loader needs none: add_deps() and no_store() find the load of the calling thread.
// A handle may outlive its load; then it does nothing.
class Load {
 public:
  Load() = default;
  // For adaptors: of a frame.
  explicit Load(detail::FramePtr frame) noexcept : frame_(std::move(frame)) {}

  // The load that runs in the calling thread; an empty handle if none does.
  static Load current() { return Load(detail::current_frame()); }

  // Makes the load depend on the tags. Throws InvalidTag; then none of them was added.
  void add_deps(std::string_view tag) const { add_deps({std::string(tag)}); }
  // The same for several.
  void add_deps(std::initializer_list<std::string> tags) const {
    add_deps(std::vector<std::string>(tags));
  }
  // The same for several.
  void add_deps(const std::vector<std::string>& tags) const {
    if (frame_ != nullptr) detail::add_deps(*frame_, tags);
  }
  // The result goes to the callers and is not stored.
  void no_store() const {
    if (frame_ != nullptr) detail::forbid_store(*frame_);
  }
  // Whether it is one.
  explicit operator bool() const noexcept { return frame_ != nullptr; }
  // For adaptors.
  const detail::FramePtr& frame() const noexcept { return frame_; }

  // Makes the load the calling thread's own while the scope lives: cached calls there, and
  // add_deps(), belong to it. Scopes nest and end in reverse order.
  class Scope {
   public:
    // From here on, in this thread.
    explicit Scope(const Load& load) : before_(detail::exchange_current_frame(load.frame_)) {}
    ~Scope() { detail::exchange_current_frame(std::move(before_)); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    detail::FramePtr before_;
  };

 private:
  detail::FramePtr frame_;
};

// Makes the load that runs in the calling thread depend on the tags; outside of loads it does
// nothing. Throws InvalidTag; then none of the tags was added.
inline void add_deps(std::string_view tag) { Load::current().add_deps(tag); }
// The same for several.
inline void add_deps(std::initializer_list<std::string> tags) { Load::current().add_deps(tags); }
// The same for several.
inline void add_deps(const std::vector<std::string>& tags) { Load::current().add_deps(tags); }
// The running load's result goes to its callers and is not stored.
inline void no_store() { Load::current().no_store(); }

}  // namespace zoocache
