// One running loader: where dependencies that are declared or met during the load gather.
//
// Frames form a chain from the innermost load outwards. A frame outlives its load if a thread or
// task that the loader started still refers to it; once closed it takes nothing more.
// Thread-safety: everything from any thread (under ExclusivePolicy: one at a time).
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "core/counted.h"
#include "core/dep_set.h"
#include "core/flight.h"
#include "core/load_times.h"
#include "core/moment.h"
#include "core/policy.h"

namespace zoocache::core {

template <class Policy>
class LoadFrame : public UseCount {
 public:
  using FlightPtr = typename Policy::template Shared<Flight>;
  using Ptr = typename Policy::template Shared<LoadFrame>;

  LoadFrame(InvalidationLog& log, Epoch loaded_since, FlightPtr own_flight, Ptr outer)
      : born(loaded_since),
        flight(std::move(own_flight)),
        parent(std::move(outer)),
        log_(log),
        deps_(log),
        storable_(parent == nullptr || !parent->bypasses()) {}
  virtual ~LoadFrame() = default;
  LoadFrame(const LoadFrame&) = delete;
  LoadFrame& operator=(const LoadFrame&) = delete;

  const Epoch born;
  const FlightPtr flight;  // nullptr: the load is unshared
  const Ptr parent;

  // The log that the load's dependencies belong to.
  const InvalidationLog& log() const noexcept { return log_; }

  bool is_open() const {
    const std::lock_guard lock(mutex_);
    return open_;
  }

  struct Gathered {
    bool wanted;              // false: this load's own result is not kept
    bool storable;            // false: nor is anything that is made of it
    std::int64_t expires_ns;  // 0: unbounded
    Moment since;             // of the oldest data that was used
    std::int64_t took_ns = 0;
  };

  // REQUIRES: TagPath::parse accepts `tag`.
  void add_tag(std::string_view tag) {
    const std::lock_guard lock(mutex_);
    if (takes()) deps_.add_tag(tag);
  }

  // The result of this load uses the cached value of an inner call.
  // REQUIRES: the inner entry's nodes are alive (Guard, or held by `inner`).
  void add_hit(DepSet::Key inner, std::span<TagNode* const> nodes, std::int64_t expires_ns) {
    const std::lock_guard lock(mutex_);
    if (!takes()) return;
    deps_.add_key(inner);
    deps_.add_nodes(nodes);
    bound_expiry(expires_ns);
  }
  // The same for a value past its time: whatever this load gives is not kept, nor what is made of
  // it further out.
  void add_stale(DepSet::Key inner, const DepSet& deps) { add_load(inner, deps, 0, false); }
  // The same for an inner load, whatever became of it. `storable`: false if nothing that was made
  // of it may be kept, through any depth.
  void add_load(DepSet::Key inner, const DepSet& deps, std::int64_t expires_ns, bool storable,
                const Moment& since = {}) {
    const std::lock_guard lock(mutex_);
    if (!takes()) return;
    deps_.add_key(inner);
    deps_.merge(deps);
    bound_expiry(expires_ns);
    storable_ = storable_ && storable;
    since_ = older_of(since_, since);
  }

  // What a load for several calls at once gathered is every one's.
  void add_part(const DepSet& deps, const Gathered& gathered) {
    const std::lock_guard lock(mutex_);
    if (!takes()) return;
    deps_.merge(deps);
    bound_expiry(gathered.expires_ns);
    storable_ = storable_ && gathered.storable;
    wanted_ = wanted_ && gathered.wanted;
    since_ = older_of(since_, gathered.since);
  }

  // The load uses data that was read then.
  void loaded_since(const Moment& moment) {
    const std::lock_guard lock(mutex_);
    since_ = older_of(since_, moment);
  }

  // What went into the load is not known in full: nothing that is made of it is kept, through any
  // depth.
  void distrust() {
    const std::lock_guard lock(mutex_);
    storable_ = false;
  }

  // From now until it ends, calls under this load pass the cache by: they neither join, lead nor
  // store, nor do they hit what depends on anything below the tag of that hash (root_hash(): they
  // do not hit at all). For code that sees what nobody else may see, or what will never have been.
  void bypass(std::uint64_t tag_hash) {
    const std::lock_guard lock(mutex_);
    if (!gathers_ && bypassed_ != 0) return;  // a stretch for another tag, which this one is around
    bypassed_ = bypassed_ == 0 || bypassed_ == tag_hash ? tag_hash : root_hash();
    storable_ = false;
  }
  bool bypasses() const {
    return any_bypassed([](std::uint64_t) { return true; });
  }
  // Whether what depends on the nodes is not to be hit.
  bool bypasses(std::span<TagNode* const> nodes) const {
    return any_bypassed([nodes](std::uint64_t tag_hash) {
      return tag_hash == root_hash() || is_any_below(nodes, tag_hash);
    });
  }
  // It is none, but a stretch of code that loads may run under.
  void gather_nothing() {
    const std::lock_guard lock(mutex_);
    gathers_ = false;
  }
  // The result is returned and not kept; what is made of it may be.
  void forbid_store() {
    const std::lock_guard lock(mutex_);
    wanted_ = false;
  }

  bool is_store_forbidden() const {
    const std::lock_guard lock(mutex_);
    return !wanted_;
  }

  // Ends the load: what was gathered moves to `deps`. Later additions do nothing.
  Gathered close(DepSet& deps) {
    const std::lock_guard lock(mutex_);
    open_ = false;
    deps.take(deps_);
    return {wanted_, storable_, expires_ns_, since_, load_time_ns() - began_ns_};
  }

  // Ends what gathers nothing.
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }

  // Flights of this load and of those around it, innermost first.
  std::vector<Flight*> enclosing() const {
    std::vector<Flight*> flights;
    for (const LoadFrame* frame = this; frame != nullptr; frame = frame->parent.get()) {
      if (frame->flight != nullptr) flights.push_back(frame->flight.get());
    }
    return flights;
  }

 private:
  bool takes() const { return open_ && gathers_; }
  template <class Is>
  bool any_bypassed(Is&& is) const {
    for (const LoadFrame* frame = this; frame != nullptr; frame = frame->parent.get()) {
      const std::lock_guard lock(frame->mutex_);
      if (frame->open_ && frame->bypassed_ != 0 && is(frame->bypassed_)) return true;
    }
    return false;
  }
  static bool is_any_below(std::span<TagNode* const> nodes, std::uint64_t tag_hash) noexcept {
    for (const TagNode* node : nodes) {
      for (; node != nullptr; node = node->parent) {
        if (node->hash == tag_hash) return true;
      }
    }
    return false;
  }
  void bound_expiry(std::int64_t expires_ns) {
    if (expires_ns == 0) return;
    expires_ns_ = expires_ns_ == 0 ? expires_ns : std::min(expires_ns_, expires_ns);
  }

  const InvalidationLog& log_;
  const std::int64_t began_ns_ = load_time_ns();
  mutable typename Policy::Mutex mutex_;  // guards everything below
  DepSet deps_;
  bool open_ = true;
  bool wanted_ = true;
  bool storable_;
  bool gathers_ = true;
  std::uint64_t bypassed_ = 0;  // 0: nothing
  std::int64_t expires_ns_ = 0;
  Moment since_;
};

}  // namespace zoocache::core
