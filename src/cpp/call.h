// One call after a miss: what the blocking driver and the asynchronous one share.
//
//   look_up ── hit ──> value
//      └─ miss ── join ── kLead ── start_load ── loader ── end_load ──> value
//                   └──── kFollow ── follow ── wait ── take_outcome ──> value | look up again
//
// With a second level, who leads looks there first, and stores there after the flight has ended:
//
//   kLead ── begin_level ── look_in_level ── take_from_level ──> value
//                └──────────────────────────── start_load ── loader ── end_load ── finish_level
//
// Interleavings are numbered in core/flight.h.
// Thread-safety: one thread at a time uses a Call; the asynchronous driver hands it over.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp/state.h"

namespace zoocache::detail {

enum class Join { kLead, kFollow, kAgain };

class Call {
 public:
  // REQUIRES: `function` and `request` outlive the call. `context`: the load around it.
  Call(FunctionState& function, Request& request, FramePtr context);
  // Ends a wait that goes on, and abandons the flight that it leads, if that has no outcome yet.
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // The value of a valid entry.
  ValuePtr look_up();
  // In place of it in the background: whatever there is, it is loaded anew.
  void begin_detached() noexcept {
    detached_ = true;
    born_ = cache_.engine.log().arrive();
  }

  // After a miss: whether the options let an old value be handed out, instead of waiting for a load
  // or instead of the error of one.
  bool in_grace() const noexcept;
  bool forgives_errors() const noexcept;
  // REQUIRES: one of the two.
  ValuePtr serve_old();
  // Whether the load goes to the background, and the caller waits for it no longer than the soft
  // time-out before it takes the old value.
  bool loads_softly() const noexcept;
  // True: this caller has to start that load.
  bool begin_softly();
  // What was loaded meanwhile, else the old value.
  ValuePtr finish_softly();
  // Leads or follows the flight of the key; from the third round on, or `alone`, unshared.
  Join join();
  void load_alone() noexcept { alone_ = true; }

  // Opens the load and declares the dependencies that are known. Throws what that throws, with the
  // load ended.
  void start_load();
  const FramePtr& frame() const noexcept { return frame_; }
  // What the load fills. REQUIRES: this call leads.
  const BoxPtr& box() const noexcept { return flight().box; }
  // Ends the load with the value in the box: stores it, wakes the followers. Throws what the
  // options' callbacks or deps() throw, with the load ended.
  ValuePtr end_load();
  // Ends it with an error, for the followers too.
  void fail_load(std::exception_ptr error);
  // Ends it without an outcome: one of the followers leads.
  void abandon_load() noexcept;

  // The second level, by who leads. False: there is nothing to look for.
  bool begin_level();
  // Looks there, and waits for another process's load of the key, at most so long. Any thread may
  // do it, and several times.
  core::LevelCall::Found look_in_level(std::chrono::nanoseconds at_most) noexcept;
  // How long that may be: under another load, whose claim the other process may wait for, not at
  // all.
  std::chrono::nanoseconds level_patience() const noexcept;
  // The value that was found, put into the table; the flight has ended then. nullptr: load. Throws
  // FlightTimeout if the wait was in vain and the function wants that; then, too, it has ended.
  ValuePtr take_from_level();
  // After the load has ended: whether the call still has to store there or to free its claim.
  bool has_level_work() const noexcept;
  // Does so; may wait for a file or a network.
  void finish_level() noexcept;

  // A call that is one of several which are loaded at once (call_many.cpp); after it leads. Who
  // waits for its flight waits for whatever the loader of all waits for.
  void join_batch(const core::FlightPtr& batch);
  const core::Flight* flight_led() const noexcept { return flight_.get(); }
  const std::shared_ptr<core::LevelCall>& level() const noexcept { return level_; }
  void note_found(core::LevelCall::Found found) noexcept { found_ = found; }
  core::LevelCall::Found found() const noexcept { return found_; }
  void note_level(bool keeps, bool stored) noexcept;
  // As end_load; this is what the load of all gathered.
  ValuePtr end_part(const core::DepSet& deps, const core::LoadFrame<Policy>::Gathered& gathered);
  // In place of an outcome: the old value that the options allow for instead of an error.
  ValuePtr end_with_old();
  // It has no part in the batch any more: another call takes its place.
  void set_aside();

  core::Following follow(std::shared_ptr<core::Waiter> waiter);
  void stop_following();
  // The value of the flight that was followed, nullptr: look up again. Throws the leader's error.
  ValuePtr take_outcome();

  const FramePtr& context() const noexcept { return context_; }
  // The wait has lasted too long: load alone, or throw FlightTimeout if the function wants that.
  void give_up_waiting();

 private:
  struct CppFlight final : core::Flight {
    using core::Flight::Flight;
    BoxPtr box;      // the key; the value is the leader's until the flight has ended
    ValuePtr value;  // the box's, owning it
    std::exception_ptr error;
  };
  using Gathered = core::LoadFrame<Policy>::Gathered;
  using Standing = core::InvalidationLog::Standing;
  // What look_up met and did not remove.
  struct Old {
    ValuePtr value;
    core::Stale stale;
    core::DepSet deps;
  };

  CppFlight& flight() const noexcept { return static_cast<CppFlight&>(*flight_); }
  core::DepSet::Key own_key() const noexcept { return {function_.function.tag_id, request_.hash}; }
  void declare(const std::vector<std::string>& tags);
  void declare_deps_after();
  bool is_stored_meanwhile();
  void finish(core::FlightState outcome);
  void leave_batch() noexcept;
  Gathered close_frame();
  void store(const ValuePtr& value, const Gathered& gathered);
  Standing keep(Box& box, const ValuePtr& value, std::size_t size_bytes, float sliding_s);
  ValuePtr keep_found(const core::StoredValue& found);
  void begin_level_load() noexcept;
  void encode_for_level(const void* value);
  void keep_in_level();
  void tell_outer(const core::Flight& flight);
  void keep_old(core::EntryId id);
  bool may_serve(double span_s, bool invalidated) const noexcept;
  const AgingOptions& aging() const noexcept { return function_.settings.bounds.aging; }
  // The call ends and nobody knows what that depends on: what the load around makes of it is not
  // kept.
  void forbid_outer() noexcept;

  FunctionState& function_;
  CacheState& cache_;
  Request& request_;
  const FramePtr context_;
  std::shared_ptr<core::LoadFrame<Policy>> outer_;  // innermost open load of the same cache
  const core::Epoch arrival_;
  core::Epoch born_ = 0;
  core::FlightPtr flight_;
  core::FlightPtr batch_;  // of the load that ours is a part of
  FramePtr frame_;
  std::vector<core::Flight*> enclosing_;
  std::shared_ptr<core::Waiter> waiter_;
  bool alone_ = false;
  bool detached_ = false;
  bool leads_ = false;  // `flight_` is ours and has no outcome yet
  bool shared_ = true;
  bool nested_ = false;
  bool deps_asked_ = false;   // those that are computed after the load
  std::int64_t took_ns_ = 0;  // the load, once its frame is closed
  int rounds_ = 0;
  std::unique_ptr<Old> old_;
  std::shared_ptr<core::LevelCall> level_;
  core::LevelCall::Found found_ = core::LevelCall::Found::kNothing;
  std::optional<std::string> payload_;  // the value as bytes for the level
};

// How the key is told to other processes; false: the function has no part in the second level.
bool make_level_key(const FunctionState& function, const Request& request, core::LevelKey* key);

// The load of `request` in the background has ended, or never began.
void end_refresh(FunctionState& function, const Request& request);

// The innermost open load of `log`'s cache, from `context` outwards.
std::shared_ptr<core::LoadFrame<Policy>> open_load_of(FramePtr context,
                                                      const core::InvalidationLog& log);

}  // namespace zoocache::detail
