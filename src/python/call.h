// One call that is not a plain hit: from binding its arguments to its result.
//
//   prepare ── look_up ── hit ──> value
//                └─ miss ── join ── kLead ── start_load ── loader ── end_load ──> value
//                             └──── kFollow ── wait ── take_outcome ──> value | join again
//
// Sync and async callables are two drivers of it. It lives on the heap and is deleted by its
// driver's last line, never by a destructor on the stack: a daemon thread that is unwound by force
// at interpreter exit must not touch Python objects on the way.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <memory>
#include <optional>

#include "python/binding.h"
#include "python/callable.h"
#include "python/evidence.h"
#include "python/frame.h"
#include "python/instance.h"
#include "python/level_job.h"
#include "python/state.h"

namespace zoocache::python {

// A running load: carries the key while it runs and the outcome afterwards.
class PyFlight final : public core::Flight, public Pooled<PyFlight> {
 public:
  using core::Flight::Flight;
  ~PyFlight() override {
    drop_entry(key, 0, key_bits);
    Py_XDECREF(value);
    Py_XDECREF(error);
  }
  core::Word key = 0;
  std::uint64_t key_bits = 0;
  PyObject* value = nullptr;
  PyObject* error = nullptr;
};

// The key of a call while it is looked for. Borrows the items.
struct Probe {
  std::uint64_t hash = 0;
  PyObject* const* items = nullptr;
  Py_ssize_t size = 0;
  std::int64_t number = 0;
  bool is_number = false;     // one item, an int that fits a word
  bool has_instance = false;  // item 0 is keyed by identity
  bool simple = true;         // comparing runs no user code
};

// Hashes the items. False with the error that a __hash__ raised.
bool make_probe(const CachedFunction* callable, PyObject* const* items, Py_ssize_t size,
                Probe* probe);
core::Match match_key(const CachedFunction* callable, const Probe& probe, core::Word key,
                      std::uint64_t bits);

// The entry of `probe`; kNoEntry if there is none, or with a Python error.
inline core::EntryId find_entry(CachedFunction* callable, const Probe& probe) {
  const auto& engine = (*callable->state)->engine;
  return engine.find(*callable->function, probe.hash, [&](const core::HotEntry& hot) {
    return match_key(callable, probe, hot.key, hot.state.load(std::memory_order_relaxed));
  });
}

enum class Look { kHit, kMiss, kError };
enum class Join { kLead, kFollow, kAgain, kError };
enum class Take { kTaken, kRetry, kError };

class Call final : public Pooled<Call> {
 public:
  // The arguments outlive the call. Takes its own reference to `callable`.
  Call(CachedFunction* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames);
  // REQUIRES: no load is open.
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Binds and hashes. kBadCall: run the user's function for its TypeError.
  BindResult prepare();
  // Before prepare(): the call belongs to no load around it, and loads whatever there is.
  void detach() { detached_ = true; }
  // In place of look_up() then.
  bool begin_detached();
  // The background load has ended, or never began.
  void end_detached();

  // A new reference to the value of a valid entry, handed out as the options say.
  Look look_up(PyObject** value);

  // After a miss: whether the options let an old value be handed out, instead of waiting for a load
  // or instead of the error of one.
  bool in_grace() const;
  bool forgives_errors() const;
  // Hands out the old value. REQUIRES: one of the two.
  PyObject* serve_old();
  // Whether the load goes to the background, and the caller waits for it no longer than the soft
  // time-out before it takes the old value.
  bool loads_softly() const;
  // Does so, blocking. kMiss: there is no background here.
  Look load_softly(PyObject** value);
  // The parts of it: True, False if there is no background here, or what the driver has to run;
  // then the outcome.
  PyObject* start_softly();
  Look finish_softly(PyObject** value);
  // After a hit that look_up gave: starts the load that it asked for.
  void refresh_ahead();

  // After a hit that look_up gave: whether it is to be loaded anew and compared.
  bool is_to_verify() const { return evidence_ != nullptr; }
  // Leads a load, shared with nobody and not stored, in place of the hit (stolen). False with an
  // error.
  bool begin_verifying(PyObject* hit);
  // After it, with its result (stolen) or an error: what the caller gets.
  PyObject* end_verifying(PyObject* fresh);
  // Whether an ordinary call would find a value.
  bool would_hit();

  // Leads or follows the flight of the key. `alone`: leads a flight of its own, unshared.
  Join join(bool alone);

  // Opens the load and declares what `deps=` gives beforehand. False: it failed and is ended.
  bool start_load();
  // Makes the load the current one, if it is not; a load that ends need not be left.
  bool enter();
  void leave();
  // Ends the load with the loader's result (stolen), or nullptr and an error. Stores, wakes the
  // followers; the value to return, or nullptr with an error.
  PyObject* end_load(PyObject* result);
  // Ends a load that came to no outcome, or never began: one of the followers leads instead.
  void abandon();
  // The flight is this call's and has no outcome yet.
  bool leads() const { return leads_; }

  // Starts waiting; kCycle and kEnded as FlightTable::follow.
  core::Following follow(std::shared_ptr<core::Waiter> waiter);
  void stop_following();
  // The outcome of the flight that was followed. kRetry: look up and join anew; `rounds` counts.
  Take take_outcome(PyObject** value);

  // Runs the loader, or what `on_load` puts in its place.
  PyObject* call_loader();
  // The second level, by the leader of a flight before it loads. False: the call has no part in it.
  bool begin_level();
  // Looks there, without the GIL: blocking, or as a job for another thread.
  core::LevelCall::Found look_in_level(double at_most_s);
  PyObject* look_job(double at_most_s);
  // How long a look may wait for another process's load: under another load, whose claim that one
  // may wait for, not at all.
  double level_patience_s() const { return context_ == nullptr ? flight_timeout_s() : 0; }
  // The value that was found, put into the table; the flight has ended then. kMiss: load.
  Look take_from_level(PyObject** value);
  // Gives it up, whatever it is doing: the job frees the claim, if there is one, where it is run or
  // dropped.
  bool has_level() const { return level_ != nullptr; }
  PyObject* drop_job() {
    return new_level_job(state_, [step = std::move(level_)] {});
  }
  // After the load has ended, when the call still has to store there or to free its claim: without
  // the GIL, as above. A job's outcome is noted when it has run.
  bool has_level_work() const;
  void finish_level();
  PyObject* finish_job();
  void note_level();

  // A call that is one of several which are loaded at once (batch.h); after it leads. Its flight
  // ends with the batch's: who waits for the one waits for whatever the other's loader waits for.
  void join_batch(const FlightPtr& batch);
  // Ends a load as `end_load` does, of which this is what all of them gathered.
  PyObject* end_part(PyObject* result, const core::DepSet& deps,
                     const core::LoadFrame<Policy>::Gathered& gathered);
  // In place of an outcome: the old value that the options allow for instead of an error.
  PyObject* end_with_old();
  // It has no part in the batch any more; another call with the same arguments counts in its place.
  void set_aside();
  const FlightPtr& own_flight() const { return flight_; }
  const StatePtr& state() const { return state_; }
  const FramePtr& context() const { return context_; }
  const std::shared_ptr<LevelStep>& level_step() const { return level_; }
  void forget_level() { level_.reset(); }

  double flight_timeout_s() const;
  CachedFunction* callable() const { return callable_; }
  const Probe& probe() const { return probe_; }
  int rounds() const { return rounds_; }
  // The value of a valid entry, else `fallback`; new reference. Loads and counts nothing; a load
  // around the call depends on what it saw.
  PyObject* peek(PyObject* fallback);

  // Kills the entry, loads in flight and outer entries through the log. False with an error: a home
  // was not told.
  bool invalidate_key(std::uint32_t origin);
  // The two halves of it: here; and, if the log is shared, elsewhere by a job, whose outcome
  // was_announced() gives.
  bool invalidate_here(std::uint32_t origin);
  bool is_to_be_announced() const { return announcement_ != nullptr; }
  PyObject* announce_job();
  bool was_announced();
  // Kills what there is under the key and stores a value that was not loaded here, as of now.
  // `ttl_s` < 0: the core's default.
  PyObject* replace(PyObject* value, PyObject* tags, double ttl_s);

 private:
  // What other processes are told of a key that was invalidated here.
  struct Announcement {
    std::uint32_t origin = 0;
    core::Epoch epoch = 0;  // that it has here
    std::uint64_t function_id = 0;
    bool has_key = false;
    core::LevelKey key;
    std::optional<core::KeyHold> hold;
    std::exception_ptr error;
  };
  // Throws nothing; without the GIL.
  static void announce(core::Engine<Policy>& engine, Announcement& what);
  bool follow_reset() {
    return (callable_->function == function_ && function_ != nullptr) || follow_reset_slow();
  }
  bool follow_reset_slow();
  PyFlight* flight() const { return static_cast<PyFlight*>(flight_.get()); }
  core::Counted<PyFlight> make_flight();
  bool add_context();
  bool may_look() const {
    if (callable_->options->is_off) return false;
    return !bypass_ || (context_ != nullptr && !in_key_);
  }
  bool wants_verifying(core::EntryId id);
  bool begin_evidence(core::EntryId id);
  // What is handed out for a kept value; a new reference.
  PyObject* hand_out(PyObject* kept);
  bool hits_in_bypass(core::EntryId id) const;
  void look_at_models();
  bool tell_of_models();
  bool declare_template();
  bool declare_deps_after();
  bool declare(PyObject* tags);
  PyObject* finish_value(PyObject* result);
  PyObject* finish_error();
  core::LoadFrame<Policy>::Gathered close_frame();
  void finish_flight(core::FlightState outcome);
  void leave_batch();
  bool store(PyObject* kept, std::uint64_t bits, double ttl_s, std::int64_t bound_ns,
             std::size_t size_bytes);
  core::InvalidationLog::Standing bind_deps(core::Dependencies* bound);
  PyObject* call_hook(PyObject* hook);
  PyObject* canonical_key(PyObject* identity);
  bool make_level_key(core::LevelKey* key);
  void begin_level_load();
  bool encode_for_level(PyObject* value);
  void keep_in_level();
  bool read_ttl(PyObject* value, double* ttl_s, bool* lives);
  bool read_size(PyObject* value, std::size_t* size_bytes);
  bool caches_error(PyObject* error);
  core::DepSet::Key own_key() const { return {function_->tag_id, probe_.hash}; }
  void tell_outer(const core::Flight& flight, bool complete) {
    untold_ = false;
    if (outer_ == nullptr) return;
    outer_->add_load(own_key(), flight.deps, flight.expires_ns, complete && flight.storable,
                     flight.since);
  }
  void keep_old(core::EntryId id);
  bool may_serve(double span_s, bool invalidated) const;
  PyObject* call_background(PyObject* hook, double timeout_s);
  // The arguments as a tuple and a dict. False with an error.
  bool pack_arguments(PyObject** args, PyObject** kwargs) const;

  CachedFunction* callable_;
  StatePtr state_;
  Function* function_ = nullptr;
  PyObject* const* args_;
  size_t nargsf_;
  PyObject* kwnames_;
  BoundArguments bound_;
  Probe probe_;
  FramePtr context_;  // the innermost load around the call
  FramePtr outer_;    // the innermost of the same cache
  core::Epoch arrival_ = 0;
  core::Epoch born_ = 0;
  FlightPtr flight_;
  FlightPtr batch_;  // of the load that ours is a part of
  std::shared_ptr<core::Waiter> waiter_;
  std::vector<core::Flight*> enclosing_;
  FramePtr frame_;
  EnteredFrame entered_;
  bool shared_ = true;
  bool bypass_ = false;      // the cache is passed by (LoadFrame::bypass), see hits_in_bypass
  bool in_key_ = false;      // objects of models.h are in the key
  bool has_models_ = false;  // among the arguments: see models.h
  bool nested_ = false;      // an edge from the enclosing flight to ours is set
  bool leads_ = false;
  bool load_open_ = false;
  bool missed_ = false;
  core::MissReason miss_reason_ = core::MissReason::kNeverLoaded;
  bool stored_ = false;      // `store` has put it into the table
  bool deps_asked_ = false;  // the callable in `deps=` was called for this load
  int rounds_ = 0;
  // What look_up met and did not remove: the value (strong) of an entry past its time.
  core::Stale stale_;
  PyObject* old_ = nullptr;
  std::unique_ptr<core::DepSet> old_deps_;
  Evidence* evidence_ = nullptr;  // strong; the hit is to be verified, or is being
  PyObject* hit_ = nullptr;       // strong; what the hit gave
  std::shared_ptr<LevelStep> level_;
  std::shared_ptr<Announcement> announcement_;
  PyObject* payload_ = nullptr;  // the value as bytes for the level; strong
  bool detached_ = false;
  bool refresh_wanted_ = false;
  bool untold_ = false;  // the call has missed, and the load around it does not know the outcome
};

// Sets the FlightTimeout of a caller who asked for it.
void raise_flight_timeout(const Call& call);

}  // namespace zoocache::python
