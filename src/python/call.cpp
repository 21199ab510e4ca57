#include "python/call.h"

#include "python/errors.h"
#include "python/models.h"
#include "python/tags.h"

namespace zoocache::python {
namespace {

core::Match match_items(const Probe& probe, PyObject* key) {
  PyObject* const* stored = &key;
  if (probe.size != 1) {
    if (!PyTuple_CheckExact(key) || PyTuple_GET_SIZE(key) != probe.size) return core::Match::kNo;
    stored = reinterpret_cast<PyTupleObject*>(key)->ob_item;
  }
  Py_ssize_t index = 0;
  if (probe.has_instance) {
    if (!is_token_of(stored[0], probe.items[0])) return core::Match::kNo;
    index = 1;
  }
  for (; index < probe.size; ++index) {
    const int equal = match_item(stored[index], probe.items[index]);
    if (equal <= 0) return equal == 0 ? core::Match::kNo : core::Match::kFail;
  }
  return core::Match::kYes;
}

}  // namespace

bool make_probe(const CachedFunction* callable, PyObject* const* items, Py_ssize_t size,
                Probe* probe) {
  probe->items = items;
  probe->size = size;
  probe->has_instance = callable->signature->has_instance();
  probe->is_number = size == 1 && !probe->has_instance && small_int(items[0], &probe->number);
  if (probe->is_number) return hash_item(items[0], &probe->hash) == 0;
  std::uint64_t hash = 0;
  for (Py_ssize_t index = 0; index < size; ++index) {
    std::uint64_t item_hash;
    if (index == 0 && probe->has_instance) {
      item_hash = mix(reinterpret_cast<std::uintptr_t>(items[0]), ItemKind::kObject);
    } else {
      if (hash_item(items[index], &item_hash) < 0) return false;
      probe->simple = probe->simple && match_is_simple(items[index]);
    }
    hash = size == 1 ? item_hash : combine(hash, item_hash);
  }
  probe->hash = hash;
  return true;
}

namespace {

// Whatever user code does to the table meanwhile: of keys that the caller keeps alive.
core::Match compare_key(const Probe& probe, core::Word key, std::uint64_t bits) {
  const bool stored_number = (bits & kKeyIsInt) != 0;
  if (probe.is_number || stored_number) {
    const bool equal =
        probe.is_number && stored_number && key == static_cast<core::Word>(probe.number);
    return equal ? core::Match::kYes : core::Match::kNo;
  }
  return match_items(probe, to_object(key));
}

// Whether the callable was detached from its table while a key was compared; then the error is set.
bool was_reset(const CachedFunction* callable, const Function* function, core::Match answer) {
  if (callable->function == function) return false;
  if (answer != core::Match::kFail) {
    PyErr_SetString(PyExc_RuntimeError, "the cache was reset while a key was compared");
  }
  return true;
}

}  // namespace

core::Match match_key(const CachedFunction* callable, const Probe& probe, core::Word key,
                      std::uint64_t bits) {
  if (probe.is_number || probe.simple || (bits & kKeyIsInt) != 0) {
    return compare_key(probe, key, bits);
  }
  // User code may change the table, or detach the callable from it.
  const Function* function = callable->function;
  const std::uint64_t version = function->index.version();
  PyObject* stored = Py_NewRef(to_object(key));
  const core::Match answer = compare_key(probe, key, bits);
  Py_DECREF(stored);
  if (was_reset(callable, function, answer)) return core::Match::kFail;
  const bool changed = function->index.version() != version;
  return changed && answer != core::Match::kFail ? core::Match::kRestart : answer;
}

Call::Call(CachedFunction* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames)
    : callable_(callable), args_(args), nargsf_(nargsf), kwnames_(kwnames) {
  Py_INCREF(callable);
}

Call::~Call() {
  // It timed out, or was interrupted or cancelled: nobody knows what that depends on.
  if (untold_ && outer_ != nullptr) outer_->distrust();
  bound_.clear();
  Py_CLEAR(old_);
  Py_CLEAR(payload_);
  Py_CLEAR(hit_);
  Py_CLEAR(evidence_);
  old_deps_.reset();
  flight_.reset();
  batch_.reset();
  context_.reset();
  outer_.reset();
  state_.reset();
  Py_DECREF(callable_);
}

namespace {

// The clock of a call that begins; where that waits for a network, without the GIL.
core::Epoch arrive(const StatePtr& state) {
  core::Epoch clock = 0;
  if (state->engine.log().try_arrive(&clock)) return clock;
  // Others may reset the cache meanwhile.
  const StatePtr kept = state;  // NOLINT(performance-unnecessary-copy-initialization)
  PyThreadState* const saved = PyEval_SaveThread();
  clock = kept->engine.log().arrive();
  PyEval_RestoreThread(saved);
  return clock;
}

// Whether this call's key has objects of models.h in it: calls inside of it have their own answer.
class MetModel {
 public:
  MetModel() : before_(met_model) { met_model = false; }
  ~MetModel() { met_model = before_; }
  MetModel(const MetModel&) = delete;
  MetModel& operator=(const MetModel&) = delete;

 private:
  bool before_;
};

}  // namespace

BindResult Call::prepare() {
  if (callable_->wrapped == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the garbage collector has cleared this cached function");
    return kBindError;
  }
  if (!callable_attach(callable_)) return kBindError;
  state_ = *callable_->state;
  function_ = callable_->function;
  // Read before anything of the call is looked at: what is invalidated from here on may be missed
  // by the call, what was invalidated before may not.
  const bool is_off = callable_->options->is_off;
  arrival_ = is_off ? state_->engine.log().clock() : arrive(state_);
  if (!detached_ && !current_frame(&context_)) return kBindError;
  bypass_ = is_off || (context_ != nullptr && context_->bypasses());
  for (outer_ = context_; outer_ != nullptr && &outer_->log() != &state_->engine.log();) {
    outer_ = outer_->parent;
  }
  const MetModel met;  // by the hash of a set already, when that is frozen
  const BindResult bound = bind(*callable_->signature, args_, nargsf_, kwnames_, &bound_);
  if (bound != kBound) return bound;
  if (callable_->core->key_context != nullptr && !add_context()) return kBindError;
  if (!make_probe(callable_, bound_.items, bound_.size, &probe_)) return kBindError;
  if (models != nullptr) look_at_models();
  if (probe_.has_instance && !check_instance(callable_, probe_.items[0])) return kBindError;
  return follow_reset() ? kBound : kBindError;
}

// One more item: what decides beside the arguments. False with an error.
bool Call::add_context() {
  PyObject* told = PyObject_CallNoArgs(callable_->core->key_context);
  if (told == nullptr) return false;
  // No argument is equal to it: keys that were made without it stay others.
  PyObject* whole = PyList_New(1);
  if (whole == nullptr) {
    Py_DECREF(told);
    return false;
  }
  PyList_SET_ITEM(whole, 0, told);
  PyObject* item = freeze(whole, nullptr);
  Py_DECREF(whole);
  return item != nullptr && bound_.append(item);
}

// After the items were hashed.
void Call::look_at_models() {
  const Py_ssize_t named = kwnames_ == nullptr ? 0 : PyTuple_GET_SIZE(kwnames_);
  for (Py_ssize_t index = 0; index < PyVectorcall_NARGS(nargsf_) + named; ++index) {
    has_models_ = has_models_ || is_model(args_[index]);
  }
  // In a container they are in the key, if the argument is.
  has_models_ = has_models_ || callable_->signature->leaves_out();
  const bool in_key = met_model || (probe_.has_instance && is_model(probe_.items[0]));
  bypass_ = bypass_ || in_key;
  in_key_ = in_key;
}

// The running load is told of them. False with an error.
bool Call::tell_of_models() {
  const Py_ssize_t named = kwnames_ == nullptr ? 0 : PyTuple_GET_SIZE(kwnames_);
  for (Py_ssize_t index = 0; index < PyVectorcall_NARGS(nargsf_) + named; ++index) {
    if (is_model(args_[index])) {
      if (!tell_of_model(args_[index], !bypass_)) return false;
    } else if (!tell_of_models_inside(args_[index], !bypass_)) {
      return false;
    }
  }
  return true;
}

// Foreign code may have reset the cache: the call goes on in the new engine, as if it had just
// arrived there.
bool Call::follow_reset_slow() {
  if (!callable_attach(callable_)) return false;
  state_ = *callable_->state;
  function_ = callable_->function;
  arrival_ = arrive(state_);
  outer_.reset();
  return true;
}

// An entry in whose data nothing was written that is not committed.
bool Call::hits_in_bypass(core::EntryId id) const {
  auto& engine = state_->engine;
  return engine.check(id, *function_, born_) == core::Validity::kValid &&
         !context_->bypasses(engine.slab().cold(id).deps.nodes());
}

Look Call::look_up(PyObject** value) {
  if (!follow_reset()) return Look::kError;
  auto& engine = state_->engine;
  Py_CLEAR(old_);
  born_ = engine.log().clock();
  core::Validity was = core::Validity::kValid;
  core::EntryId id = may_look() ? find_entry(callable_, probe_) : core::kNoEntry;
  if (PyErr_Occurred() != nullptr) return Look::kError;
  if (bypass_ && id != core::kNoEntry && !hits_in_bypass(id)) id = core::kNoEntry;
  if (id != core::kNoEntry) {
    core::HotEntry& hot = engine.slab().hot(id);
    const core::Validity validity = engine.check(id, *function_, born_);
    if (validity == core::Validity::kValid) {
      engine.touch(hot);
      if (!missed_) function_->hits.add();  // a call is a hit or a miss, not both
      const core::ColdEntry& cold = engine.slab().cold(id);
      untold_ = wants_verifying(id);
      if (untold_ && !begin_evidence(id)) return Look::kError;
      if (outer_ != nullptr && !untold_) {
        outer_->add_hit(own_key(), cold.deps.nodes(),
                        cold.expires_ns.load(std::memory_order_relaxed));
      }
      if ((hot.state.load(std::memory_order_relaxed) & kValueIsError) != 0) {
        PyObject* error = Py_NewRef(to_object(hot.value));
        // One that cannot be copied would gather the frames of every caller.
        PyException_SetTraceback(error, Py_None);
        raise_shared(error);
        Py_DECREF(error);
        return Look::kError;
      }
      // In a bypass a load in the background might see what nobody else may.
      refresh_wanted_ = !bypass_ && !untold_ && engine.wants_refresh(id, *function_);
      *value = hand_out(to_object(hot.value));
      return *value == nullptr ? Look::kError : Look::kHit;
    }
    was = validity;
    keep_old(id);
    core::Removed removed(engine.log());
    engine.bury(*function_, id, hot.value, validity, removed);
    removed.flush();
  }
  if (!missed_) {
    miss_reason_ = engine.miss_reason(*function_, probe_.hash, was);
    core::count_miss(function_->counters, miss_reason_);
  }
  missed_ = true;
  untold_ = true;
  return Look::kMiss;
}

core::Counted<PyFlight> Call::make_flight() {
  core::Counted<PyFlight> flight(new PyFlight(function_, probe_.hash, born_, state_->engine.log()));
  if (probe_.is_number) {
    flight->key = static_cast<core::Word>(probe_.number);
    flight->key_bits = kKeyIsInt;
    return flight;
  }
  PyObject* first = probe_.size == 0 ? nullptr : probe_.items[0];
  if (probe_.has_instance) {
    first = reinterpret_cast<PyObject*>(token_for(callable_, first, probe_.hash));
    if (first == nullptr) return nullptr;
  } else {
    Py_XINCREF(first);
  }
  if (probe_.size == 1) {
    flight->key = to_word(first);
    return flight;
  }
  PyObject* key = PyTuple_New(probe_.size);
  if (key == nullptr) {
    Py_XDECREF(first);
    return nullptr;
  }
  if (first != nullptr) PyTuple_SET_ITEM(key, 0, first);
  for (Py_ssize_t index = 1; index < probe_.size; ++index) {
    PyTuple_SET_ITEM(key, index, Py_NewRef(probe_.items[index]));
  }
  flight->key = to_word(key);
  return flight;
}

Join Call::join(bool alone) {
  alone = alone || bypass_;
  shared_ = !alone;
  core::Counted<PyFlight> mine = make_flight();
  if (mine == nullptr) return Join::kError;
  if (alone) {
    flight_ = std::move(mine);
    leads_ = true;
    return Join::kLead;
  }
  const std::uint64_t version = function_->index.version();
  const auto joined = state_->flights.join(
      function_, probe_.hash,
      [this](const core::Flight& other) {
        const auto& flight = static_cast<const PyFlight&>(other);
        // Not match_key: a flight is what it is, whatever became of the table.
        const Function* function = callable_->function;
        const core::Match answer = compare_key(probe_, flight.key, flight.key_bits);
        return was_reset(callable_, function, answer) ? core::Match::kFail : answer;
      },
      [&]() -> FlightPtr { return mine; });
  if (joined.flight == nullptr) return Join::kError;
  flight_ = joined.flight;
  if (!joined.leads) return Join::kFollow;
  // Comparing with other flights ran foreign code: the load that we missed may have ended.
  if (function_->index.version() != version) {
    state_->flights.finish(flight_, core::FlightState::kAbandoned);
    flight_.reset();
    return Join::kAgain;
  }
  leads_ = true;
  return Join::kLead;
}

void Call::finish_flight(core::FlightState outcome) {
  leads_ = false;
  leave_batch();
  state_->flights.finish(flight_, outcome);
}

void Call::abandon() {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (load_open_) close_frame();
  if (leads_) finish_flight(core::FlightState::kAbandoned);
  PyErr_Restore(type, value, traceback);
}

core::Following Call::follow(std::shared_ptr<core::Waiter> waiter) {
  enclosing_ = context_ == nullptr ? std::vector<core::Flight*>{} : context_->enclosing();
  const core::Following following = state_->flights.follow(flight_, enclosing_, waiter);
  if (following == core::Following::kWaiting) {
    waiter_ = std::move(waiter);
    core::count(function_->counters.flights_joined);
  }
  return following;
}

void Call::stop_following() {
  if (waiter_ == nullptr) return;
  state_->flights.leave(flight_, enclosing_, waiter_.get());
  waiter_.reset();
}

Take Call::take_outcome(PyObject** value) {
  const core::FlightState outcome = flight_->state();
  const FlightPtr flight = flight_;
  if (outcome == core::FlightState::kAbandoned || outcome == core::FlightState::kRunning) {
    flight_.reset();
    return Take::kRetry;
  }
  bool fresh = flight->born >= arrival_;
  if (!fresh && flight->deps_complete) {
    const core::HiddenTag own(function_->tag_id, probe_.hash);
    const auto standing =
        state_->engine.log().standing(flight->deps, function_->node, &own.path(), flight->born);
    fresh = standing == core::InvalidationLog::Standing::kCurrent ||
            standing == core::InvalidationLog::Standing::kHeld;
  }
  if (!fresh) {
    ++rounds_;
    flight_.reset();
    return Take::kRetry;
  }
  auto& ended = static_cast<PyFlight&>(*flight);
  if (outcome == core::FlightState::kFailed && forgives_errors()) {
    *value = serve_old();
    return *value == nullptr ? Take::kError : Take::kTaken;
  }
  tell_outer(*flight, flight->deps_complete);
  if (outcome == core::FlightState::kFailed) {
    raise_shared(ended.error);
    return Take::kError;
  }
  *value = hand_out(ended.value);
  return *value == nullptr ? Take::kError : Take::kTaken;
}

double Call::flight_timeout_s() const {
  const double own = callable_->options->flight_timeout_s;
  return own < 0 ? callable_->core->options->engine.flight_timeout_s : own;
}

void raise_flight_timeout(const Call& call) {
  PyObject* seconds = PyFloat_FromDouble(call.flight_timeout_s());
  if (seconds == nullptr) return;
  PyErr_Format(flight_timeout_type,
               "%R: another caller's load did not end within flight_timeout=%S s; allow more, or "
               "say on_flight_timeout='load' to load beside it",
               call.callable()->wrapped, seconds);
  Py_DECREF(seconds);
}

PyObject* Call::peek(PyObject* fallback) {
  const core::EntryId id = bypass_ ? core::kNoEntry : find_entry(callable_, probe_);
  if (PyErr_Occurred() != nullptr) return nullptr;
  auto& engine = state_->engine;
  const bool valid =
      id != core::kNoEntry && engine.inspect(id, *function_) == core::Validity::kValid &&
      (engine.slab().hot(id).state.load(std::memory_order_relaxed) & kValueIsError) == 0;
  if (!valid) {
    const core::DepSet nothing(engine.log());
    if (outer_ != nullptr) outer_->add_load(own_key(), nothing, 0, true);
    return Py_NewRef(fallback);
  }
  const core::ColdEntry& cold = engine.slab().cold(id);
  if (outer_ != nullptr) {
    outer_->add_hit(own_key(), cold.deps.nodes(), cold.expires_ns.load(std::memory_order_relaxed));
  }
  return hand_out(to_object(engine.slab().hot(id).value));
}

bool Call::invalidate_here(std::uint32_t origin) {
  auto& engine = state_->engine;
  std::shared_ptr<Announcement> what;
  if (engine.log().home() != nullptr) {
    what = std::make_shared<Announcement>();
    what->origin = origin;
    what->function_id = function_->tag_id;
    what->has_key = make_level_key(&what->key);
    if (PyErr_Occurred() != nullptr) return false;
    if (engine.level() != nullptr) {
      what->hold.emplace(engine.log(), function_->tag_id, probe_.hash);
    }
  }
  core::Removed removed(engine.log());
  // Whoever refreshes wants a load that began after this.
  arrival_ = engine.invalidate_key(*function_, probe_.hash, origin, removed);
  removed.flush();
  if (what != nullptr) what->epoch = arrival_;
  announcement_ = std::move(what);
  return true;
}

void Call::announce(core::Engine<Policy>& engine, Announcement& what) {
  try {
    engine.announce_key(what.function_id, what.has_key ? &what.key : nullptr, what.origin);
  } catch (const std::exception&) {
    what.error = std::current_exception();
  }
  if (what.hold) what.hold->kill_again(what.origin, what.epoch);
  what.hold.reset();
}

bool Call::invalidate_key(std::uint32_t origin) {
  if (!invalidate_here(origin)) return false;
  if (announcement_ == nullptr) return true;
  auto& engine = state_->engine;
  Announcement& what = *announcement_;
  PyThreadState* const saved = PyEval_SaveThread();
  announce(engine, what);
  PyEval_RestoreThread(saved);
  return was_announced();
}

PyObject* Call::announce_job() {
  return new_level_job(
      state_, [what = announcement_, &engine = state_->engine] { announce(engine, *what); });
}

bool Call::was_announced() {
  const std::shared_ptr<Announcement> what = std::move(announcement_);
  return what->error == nullptr || guarded([&] { std::rethrow_exception(what->error); });
}

}  // namespace zoocache::python
