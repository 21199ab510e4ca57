#include "python/call.h"

#include "python/errors.h"
#include "python/tags.h"

namespace zoocache::python {
namespace {

bool is_collectable(PyObject* object) {
  if (!PyTuple_CheckExact(object)) return PyObject_IS_GC(object) != 0;
  for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(object); ++index) {
    if (PyObject_IS_GC(PyTuple_GET_ITEM(object, index)) != 0) return true;
  }
  return false;
}

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

std::int64_t expiry_ns(std::int64_t now_ns, double ttl_s) {
  constexpr double kLongest_s = 4e9;  // beyond that, 127 years, there is no expiry
  if (ttl_s <= 0 || ttl_s >= kLongest_s) return 0;
  return now_ns + static_cast<std::int64_t>(ttl_s * 1e9);
}

// A new reference to the raised exception, which is cleared.
PyObject* take_error() {
#if PY_VERSION_HEX >= 0x030C0000
  return PyErr_GetRaisedException();
#else
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
#endif
}

// Steals the reference.
void put_error(PyObject* error) {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(error);
#else
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(error))), error,
                PyException_GetTraceback(error));
#endif
}

PyObject* copy_of(PyObject* error) {
  PyObject* module = PyImport_ImportModule("copy");
  PyObject* copy =
      module == nullptr ? nullptr : PyObject_CallMethod(module, "copy", "O", error);
  Py_XDECREF(module);
  if (copy != nullptr && copy != error && Py_TYPE(copy) == Py_TYPE(error)) return copy;
  PyErr_Clear();
  Py_XDECREF(copy);
  return nullptr;
}

}  // namespace

void raise_shared(PyObject* error) {
  PyObject* copy = copy_of(error);
  if (copy == nullptr) {
    put_error(Py_NewRef(error));
    return;
  }
  PyException_SetCause(copy, Py_NewRef(error));
  put_error(copy);
}

bool make_probe(const CachedFunction* callable, PyObject* const* items, Py_ssize_t size,
                Probe* probe) {
  probe->items = items;
  probe->size = size;
  probe->has_instance = callable->signature->has_instance();
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
  probe->is_number = size == 1 && !probe->has_instance && small_int(items[0], &probe->number);
  return true;
}

core::Match match_key(const CachedFunction* callable, const Probe& probe, core::Word key,
                      std::uint64_t bits) {
  const bool stored_number = (bits & kKeyIsInt) != 0;
  if (probe.is_number || stored_number) {
    const bool equal = probe.is_number && stored_number &&
                       key == static_cast<core::Word>(probe.number);
    return equal ? core::Match::kYes : core::Match::kNo;
  }
  PyObject* stored = to_object(key);
  if (probe.simple) return match_items(probe, stored);
  // User code may change the table, or detach the callable from it.
  const Function* function = callable->function;
  const std::uint64_t version = function->index.version();
  Py_INCREF(stored);
  core::Match answer = match_items(probe, stored);
  Py_DECREF(stored);
  if (callable->function != function) {
    if (answer != core::Match::kFail) {
      PyErr_SetString(PyExc_RuntimeError, "the cache was reset while a key was compared");
    }
    return core::Match::kFail;
  }
  if (answer != core::Match::kFail && function->index.version() != version) {
    answer = core::Match::kRestart;
  }
  return answer;
}

Call::Call(CachedFunction* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames)
    : callable_(callable), args_(args), nargsf_(nargsf), kwnames_(kwnames) {
  Py_INCREF(callable);
}

Call::~Call() {
  bound_.clear();
  flight_.reset();
  context_.reset();
  outer_.reset();
  state_.reset();
  Py_DECREF(callable_);
}

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
  arrival_ = state_->engine.log().clock();
  if (!current_frame(&context_)) return kBindError;
  for (outer_ = context_; outer_ != nullptr && &outer_->log() != &state_->engine.log();) {
    outer_ = outer_->parent;
  }
  const BindResult bound = bind(*callable_->signature, args_, nargsf_, kwnames_, &bound_);
  if (bound != kBound) return bound;
  if (!make_probe(callable_, bound_.items, bound_.size, &probe_)) return kBindError;
  if (probe_.has_instance && !check_instance(callable_, probe_.items[0])) return kBindError;
  return follow_reset() ? kBound : kBindError;
}

// Foreign code may have reset the cache: the call goes on in the new engine, as if it had just
// arrived there.
bool Call::follow_reset() {
  if (callable_->function == function_ && function_ != nullptr) return true;
  if (!callable_attach(callable_)) return false;
  state_ = *callable_->state;
  function_ = callable_->function;
  arrival_ = state_->engine.log().clock();
  outer_.reset();
  return true;
}

namespace {

// What is handed out for a kept value; a new reference.
PyObject* hand_out(const CachedFunction* callable, PyObject* kept) {
  if (callable->options->on_hit == nullptr) return Py_NewRef(kept);
  Py_INCREF(kept);
  PyObject* value = PyObject_CallOneArg(callable->options->on_hit, kept);
  Py_DECREF(kept);
  return value;
}

}  // namespace

Look Call::look_up(PyObject** value) {
  if (!follow_reset()) return Look::kError;
  auto& engine = state_->engine;
  born_ = engine.log().clock();
  const core::EntryId id = find_entry(callable_, probe_);
  if (PyErr_Occurred() != nullptr) return Look::kError;
  if (id != core::kNoEntry) {
    core::HotEntry& hot = engine.slab().hot(id);
    const core::Validity validity = engine.check(id, *function_, born_);
    if (validity == core::Validity::kValid) {
      engine.touch(hot);
      function_->hits.add();
      const core::ColdEntry& cold = engine.slab().cold(id);
      if (outer_ != nullptr) {
        outer_->add_hit(own_key(), cold.deps.nodes(),
                        cold.expires_ns.load(std::memory_order_relaxed));
      }
      if ((hot.state.load(std::memory_order_relaxed) & kValueIsError) != 0) {
        PyObject* error = Py_NewRef(to_object(hot.value));
        raise_shared(error);
        Py_DECREF(error);
        return Look::kError;
      }
      *value = hand_out(callable_, to_object(hot.value));
      return *value == nullptr ? Look::kError : Look::kHit;
    }
    core::Removed removed(engine.log());
    const auto reason = validity == core::Validity::kExpired ? core::Removal::kExpired
                                                             : core::Removal::kInvalidated;
    engine.remove(*function_, id, hot.value, reason, removed);
    removed.flush();
  }
  if (!missed_) core::count(function_->counters.misses);
  missed_ = true;
  return Look::kMiss;
}

std::shared_ptr<PyFlight> Call::make_flight() {
  auto flight =
      std::make_shared<PyFlight>(function_, probe_.hash, born_, state_->engine.log());
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
  shared_ = !alone;
  std::shared_ptr<PyFlight> mine = make_flight();
  if (mine == nullptr) return Join::kError;
  if (alone) {
    flight_ = std::move(mine);
    return Join::kLead;
  }
  const std::uint64_t version = function_->index.version();
  const auto joined = state_->flights.join(
      function_, probe_.hash,
      [this](const core::Flight& other) {
        const auto& flight = static_cast<const PyFlight&>(other);
        const core::Match answer = match_key(callable_, probe_, flight.key, flight.key_bits);
        return answer == core::Match::kRestart ? core::Match::kYes : answer;
      },
      [&]() -> core::FlightPtr { return mine; });
  if (joined.flight == nullptr) return Join::kError;
  flight_ = joined.flight;
  if (!joined.leads) return Join::kFollow;
  // Comparing with other flights ran foreign code: the load that we missed may have ended.
  if (function_->index.version() != version) {
    state_->flights.finish(flight_, core::FlightState::kAbandoned);
    flight_.reset();
    return Join::kAgain;
  }
  return Join::kLead;
}

bool Call::start_load() {
  frame_ = std::make_shared<Frame>(state_->engine.log(), born_, shared_ ? flight_ : nullptr,
                                   context_);
  if (shared_ && context_ != nullptr) {
    enclosing_ = context_->enclosing();
    if (!enclosing_.empty()) {
      state_->flights.nest(*enclosing_.front(), *flight_);
      nested_ = true;
    }
  }
  ++open_loads;
  load_open_ = true;
  frame_object_ =
      new_frame_object(frame_, state_, callable_->core->options->engine.max_tag_length);
  if (frame_object_ != nullptr && enter()) {
    if (declare_deps_before()) {
      leave();
      return true;
    }
  }
  end_load(nullptr);
  return false;
}

bool Call::enter() {
  token_ = enter_frame(frame_object_);
  return token_ != nullptr;
}

void Call::leave() {
  if (token_ == nullptr) return;
  PyObject* token = token_;
  token_ = nullptr;
  leave_frame(token);
}

bool Call::declare(PyObject* tags) {
  std::vector<std::string> read;
  const std::size_t max_length = callable_->core->options->engine.max_tag_length;
  if (!read_tags(tags, "deps", max_length, &read)) return false;
  for (const std::string& tag : read) frame_->add_tag(tag);
  return true;
}

bool Call::declare_deps_before() {
  const CallableOptions& options = *callable_->options;
  if (options.deps_kind == DepsKind::kConstant) return declare(options.deps);
  if (options.deps_kind != DepsKind::kTemplate) return true;
  BoundArguments values;
  if (bind_values(*callable_->signature, args_, nargsf_, kwnames_, &values) != kBound) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_TypeError, "the arguments do not bind");
    return false;
  }
  PyObject* list = PyList_New(values.size);
  if (list == nullptr) return false;
  for (Py_ssize_t index = 0; index < values.size; ++index) {
    PyList_SET_ITEM(list, index, Py_NewRef(values.items[index]));
  }
  PyObject* tags = PyObject_CallOneArg(options.deps, list);
  Py_DECREF(list);
  if (tags == nullptr) return false;
  const bool declared = declare(tags);
  Py_DECREF(tags);
  return declared;
}

bool Call::declare_deps_after() {
  const CallableOptions& options = *callable_->options;
  if (options.deps_kind != DepsKind::kCallable || deps_asked_) return !deps_asked_;
  deps_asked_ = true;
  PyObject* tags = PyObject_Vectorcall(options.deps, args_, PyVectorcall_NARGS(nargsf_), kwnames_);
  if (tags == nullptr) return false;
  const bool declared = declare(tags);
  Py_DECREF(tags);
  return declared;
}

PyObject* Call::call_loader() {
  return PyObject_Vectorcall(callable_->wrapped, args_, PyVectorcall_NARGS(nargsf_), kwnames_);
}

PyObject* Call::end_load(PyObject* result) {
  PyObject* value = nullptr;
  if (result != nullptr && !callable_->options->is_async && PyCoro_CheckExact(result)) {
    PyErr_Format(PyExc_TypeError,
                 "%R returned a coroutine, which can be awaited only once and so cannot be cached; "
                 "make it an async def, or return the awaited value",
                 callable_->wrapped);
    PyObject* error = take_error();
    Py_XDECREF(PyObject_CallMethod(result, "close", nullptr));
    PyErr_Clear();
    Py_CLEAR(result);
    put_error(error);
  }
  if (result != nullptr) value = finish_value(result);
  if (value == nullptr) value = finish_error();
  return value;
}

bool Call::close_frame(core::DepSet* deps, bool* storable, std::int64_t* expires_ns) {
  leave();
  const auto gathered = frame_->close(*deps);
  *storable = gathered.storable;
  *expires_ns = gathered.expires_ns;
  if (load_open_) --open_loads;
  load_open_ = false;
  Py_CLEAR(frame_object_);
  frame_.reset();
  if (nested_) state_->flights.leave_nested(*enclosing_.front(), *flight_);
  nested_ = false;
  return true;
}

void Call::tell_outer(bool storable) {
  if (outer_ == nullptr) return;
  outer_->add_load(own_key(), flight_->deps, flight_->expires_ns, storable);
}

bool Call::read_ttl(PyObject* value, double* ttl_s, bool* lives) {
  const CallableOptions& options = *callable_->options;
  *ttl_s = options.ttl_s < 0 ? callable_->core->options->default_ttl_s : options.ttl_s;
  *lives = true;
  if (options.ttl_of_value == nullptr) return true;
  PyObject* answer = PyObject_CallOneArg(options.ttl_of_value, value);
  if (answer == nullptr) return false;
  if (answer != Py_None) *ttl_s = PyFloat_AsDouble(answer);
  const bool good = answer == Py_None || (PyErr_Occurred() == nullptr && *ttl_s >= 0);
  if (!good) {
    PyErr_Clear();
    PyErr_Format(invalid_option_type,
                 "ttl= returned %.80R: a time in seconds, 0 or more, or None is wanted", answer);
  }
  *lives = answer == Py_None || *ttl_s > 0;  // 0: not worth keeping
  Py_DECREF(answer);
  return good;
}

bool Call::read_size(PyObject* value, std::size_t* size_bytes) {
  PyObject* sizer = callable_->options->size_of_value;
  *size_bytes = 0;
  if (sizer == nullptr) return true;
  PyObject* answer = PyObject_CallOneArg(sizer, value);
  if (answer == nullptr) return false;
  *size_bytes = PyLong_AsSize_t(answer);
  const bool good = PyErr_Occurred() == nullptr;
  if (!good) {
    PyErr_Clear();
    PyErr_Format(invalid_option_type, "size= returned %.80R: a number of bytes is wanted", answer);
  }
  Py_DECREF(answer);
  return good;
}

// Puts the outcome into the table, if its dependencies still stand. Takes no reference.
bool Call::store(PyObject* kept, std::uint64_t bits, double ttl_s, std::int64_t bound_ns,
                 std::size_t size_bytes) {
  auto& engine = state_->engine;
  core::NewEntry entry;
  const core::HiddenTag own(function_->tag_id, probe_.hash);
  auto standing = core::InvalidationLog::Standing::kInvalidated;
  const bool bound = guarded([&] {
    standing = engine.log().bind(flight_->deps, function_->node, &own.path(), flight_->born,
                                 &entry.deps);
  });
  if (!bound) return false;
  if (standing != core::InvalidationLog::Standing::kCurrent) {
    core::count(function_->counters.not_stored);
    engine.note_not_stored(*function_, probe_.hash, standing);
    return true;
  }
  const CallableOptions& options = *callable_->options;
  const std::int64_t own_ns = expiry_ns(engine.now_ns(), ttl_s);
  entry.hash = probe_.hash;
  entry.key = flight()->key;
  if ((flight()->key_bits & kKeyIsInt) == 0) Py_INCREF(to_object(entry.key));
  entry.value = to_word(Py_NewRef(kept));
  entry.user_bits = flight()->key_bits | bits;
  const bool key_collectable =
      (flight()->key_bits & kKeyIsInt) == 0 && is_collectable(to_object(entry.key));
  if (key_collectable || PyObject_IS_GC(kept) != 0) entry.user_bits |= kCollectable;
  entry.born = flight_->born;
  entry.expires_ns = own_ns == 0 || (bound_ns != 0 && bound_ns < own_ns) ? bound_ns : own_ns;
  const bool slides = options.sliding ||
                      (options.ttl_s < 0 && callable_->core->options->read_extend_ttl);
  // An inner entry's time bounds this one's: reading it does not prolong the inner one.
  if (slides && bound_ns == 0 && own_ns != 0) entry.sliding_s = static_cast<float>(ttl_s);
  entry.value_bytes = size_bytes;
  core::Removed removed(engine.log());
  engine.store(*function_, entry, [this](const core::HotEntry& hot) {
    return match_key(callable_, probe_, hot.key, hot.state.load(std::memory_order_relaxed));
  }, removed);
  removed.flush();
  return PyErr_Occurred() == nullptr;
}

// The success of a load; nullptr with an error if a callback of the options failed. Steals.
PyObject* Call::finish_value(PyObject* result) {
  const CallableOptions& options = *callable_->options;
  double ttl_s = 0;
  std::size_t size_bytes = 0;
  int wanted = 1;
  PyObject* kept = nullptr;
  bool good = declare_deps_after();
  if (good && options.store_if != nullptr) {
    PyObject* answer = PyObject_CallOneArg(options.store_if, result);
    wanted = answer == nullptr ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    good = wanted >= 0;
  }
  bool lives = true;
  good = good && read_ttl(result, &ttl_s, &lives) && read_size(result, &size_bytes);
  if (good) {
    kept = options.on_store == nullptr ? Py_NewRef(result)
                                       : PyObject_CallOneArg(options.on_store, result);
  }
  if (kept == nullptr) {
    Py_DECREF(result);
    return nullptr;
  }
  bool storable = true;
  std::int64_t bound_ns = 0;
  close_frame(&flight_->deps, &storable, &bound_ns);
  flight_->deps_complete = true;
  flight_->expires_ns = bound_ns;
  core::count(function_->counters.loads);
  if (wanted == 0 || !storable || !lives) {
    core::count(function_->counters.not_stored);
    state_->engine.note_not_stored(*function_, probe_.hash,
                                   core::InvalidationLog::Standing::kCurrent);
  } else if (!store(kept, 0, ttl_s, bound_ns, size_bytes)) {
    PyErr_WriteUnraisable(callable_->wrapped);  // the value is good, only not kept
  }
  if (ttl_s > 0) {
    const std::int64_t own_ns = expiry_ns(state_->engine.now_ns(), ttl_s);
    if (own_ns != 0 && (bound_ns == 0 || own_ns < bound_ns)) flight_->expires_ns = own_ns;
  }
  tell_outer(true);
  flight()->value = kept;
  state_->flights.finish(flight_, core::FlightState::kDone);
  return result;
}

bool Call::caches_error(PyObject* error) {
  PyObject* classes = callable_->options->cached_errors;
  return classes != nullptr && PyErr_GivenExceptionMatches(error, classes) != 0;
}

// The failure of a load; always nullptr, with the error set.
PyObject* Call::finish_error() {
  PyObject* error = take_error();
  const bool is_exception = PyErr_GivenExceptionMatches(error, PyExc_Exception) != 0;
  // What the outcome depends on is known only in part if `deps=` would have looked at it later.
  bool complete = true;
  if (is_exception && token_ != nullptr && !declare_deps_after()) {
    PyErr_Clear();
    complete = false;
  }
  bool storable = true;
  std::int64_t bound_ns = 0;
  if (load_open_) close_frame(&flight_->deps, &storable, &bound_ns);
  flight_->deps_complete = complete;
  flight_->expires_ns = bound_ns;
  if (!is_exception) {
    tell_outer(complete);
    state_->flights.finish(flight_, core::FlightState::kAbandoned);
    put_error(error);
    return nullptr;
  }
  core::count(function_->counters.loads);
  core::count(function_->counters.load_errors);
  if (complete && storable && caches_error(error)) {
    const CallableOptions& options = *callable_->options;
    double ttl_s = options.ttl_s < 0 ? callable_->core->options->default_ttl_s : options.ttl_s;
    if (options.error_ttl_s >= 0) ttl_s = options.error_ttl_s;
    PyObject* kept = copy_of(error);
    if (kept == nullptr) kept = Py_NewRef(error);
    PyException_SetTraceback(kept, Py_None);  // frames of the first caller are not kept alive
    if (!store(kept, kValueIsError, ttl_s, bound_ns, 0)) PyErr_WriteUnraisable(callable_->wrapped);
    Py_DECREF(kept);
  }
  tell_outer(complete);
  flight()->error = Py_NewRef(error);
  state_->flights.finish(flight_, core::FlightState::kFailed);
  put_error(error);
  return nullptr;
}

void Call::abandon() {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  bool storable = true;
  std::int64_t bound_ns = 0;
  if (load_open_) close_frame(&flight_->deps, &storable, &bound_ns);
  if (flight_->state() == core::FlightState::kRunning) {
    state_->flights.finish(flight_, core::FlightState::kAbandoned);
  }
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
  const core::FlightPtr flight = flight_;
  if (outcome == core::FlightState::kAbandoned || outcome == core::FlightState::kRunning) {
    flight_.reset();
    return Take::kRetry;
  }
  bool fresh = flight->born >= arrival_;
  if (!fresh && flight->deps_complete) {
    const core::HiddenTag own(function_->tag_id, probe_.hash);
    const auto standing = state_->engine.log().standing(flight->deps, function_->node, &own.path(),
                                                        flight->born);
    fresh = standing == core::InvalidationLog::Standing::kCurrent ||
            standing == core::InvalidationLog::Standing::kHeld;
  }
  if (!fresh) {
    ++rounds_;
    flight_.reset();
    return Take::kRetry;
  }
  tell_outer(flight->deps_complete);
  auto& ended = static_cast<PyFlight&>(*flight);
  if (outcome == core::FlightState::kFailed) {
    raise_shared(ended.error);
    return Take::kError;
  }
  *value = hand_out(callable_, ended.value);
  return *value == nullptr ? Take::kError : Take::kTaken;
}

double Call::flight_timeout_s() const {
  const double own = callable_->options->flight_timeout_s;
  return own < 0 ? callable_->core->options->engine.flight_timeout_s : own;
}

PyObject* Call::peek(PyObject* fallback) {
  const core::EntryId id = find_entry(callable_, probe_);
  if (PyErr_Occurred() != nullptr) return nullptr;
  auto& engine = state_->engine;
  const bool valid = id != core::kNoEntry &&
                     engine.inspect(id, *function_) == core::Validity::kValid &&
                     (engine.slab().hot(id).state.load(std::memory_order_relaxed) &
                      kValueIsError) == 0;
  if (!valid) {
    const core::DepSet nothing(engine.log());
    if (outer_ != nullptr) outer_->add_load(own_key(), nothing, 0, true);
    return Py_NewRef(fallback);
  }
  const core::ColdEntry& cold = engine.slab().cold(id);
  if (outer_ != nullptr) {
    outer_->add_hit(own_key(), cold.deps.nodes(), cold.expires_ns.load(std::memory_order_relaxed));
  }
  return hand_out(callable_, to_object(engine.slab().hot(id).value));
}

void Call::invalidate_key(std::uint32_t origin) {
  auto& engine = state_->engine;
  const core::HiddenTag own(function_->tag_id, probe_.hash);
  // Whoever refreshes wants a load that began after this.
  arrival_ = engine.log().invalidate(own.path(), origin);
  core::Removed removed(engine.log());
  engine.remove_key(*function_, probe_.hash, [this](const core::HotEntry& hot) {
    return match_key(callable_, probe_, hot.key, hot.state.load(std::memory_order_relaxed));
  }, core::Removal::kInvalidated, removed);
  removed.flush();
}

PyObject* Call::replace(PyObject* value, PyObject* tags, double ttl_s) {
  std::vector<std::string> read;
  const std::size_t max_length = callable_->core->options->engine.max_tag_length;
  std::size_t size_bytes = 0;
  if (!read_tags(tags, "deps", max_length, &read) || !read_size(value, &size_bytes)) return nullptr;
  // Outer entries that used the old value, or its absence, die; so do loads in flight.
  invalidate_key(callable_->core->origins->current(1));
  born_ = state_->engine.log().clock();
  flight_ = make_flight();
  if (flight_ == nullptr) return nullptr;
  for (const std::string& tag : read) flight_->deps.add_tag(tag);
  if (ttl_s < 0) ttl_s = callable_->core->options->default_ttl_s;
  if (!store(value, 0, ttl_s, 0, size_bytes)) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace zoocache::python
