// The load of a call: from opening its frame to storing what came of it. See call.h.
#include <algorithm>
#include <vector>

#include "python/awaitable.h"
#include "python/call.h"
#include "python/errors.h"
#include "python/models.h"
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

}  // namespace

bool Call::start_load() {
  begin_level_load();
  // What code of ours waits for, the whole batch waits for.
  const FlightPtr& waiting = batch_ == nullptr ? flight_ : batch_;
  frame_ = FramePtr(new Frame(state_, born_, shared_ ? waiting : nullptr, context_,
                              callable_->core->options->engine.max_tag_length));
  if (evidence_ != nullptr) static_cast<Frame&>(*frame_).verify(own_key());
  if (shared_ && context_ != nullptr) {
    enclosing_ = context_->enclosing();
    if (!enclosing_.empty()) {
      state_->flights.nest(*enclosing_.front(), *flight_);
      nested_ = true;
    }
  }
  ++open_loads;
  load_open_ = true;
  const CallableOptions& options = *callable_->options;
  bool declared = true;
  if (options.deps_kind == DepsKind::kConstant) declared = declare(options.deps);
  if (options.deps_kind == DepsKind::kTemplate) {  // it may run users' code
    declared = enter() && declare_template();
  }
  if (bypass_) frame_->distrust();
  if (declared && has_models_) declared = enter() && tell_of_models();
  if (declared) return true;
  end_load(nullptr);
  return false;
}

bool Call::enter() { return entered_ || entered_.enter(frame_); }

void Call::leave() {
  if (entered_) entered_.leave(frame_);
}

bool Call::declare(PyObject* tags) {
  const std::size_t max_length = callable_->core->options->engine.max_tag_length;
  return add_tags(tags, "deps", max_length, [this](std::string_view tag) { frame_->add_tag(tag); });
}

bool Call::declare_template() {
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
  PyObject* tags = PyObject_CallOneArg(callable_->options->deps, list);
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
  PyObject* tags = PyObject_Vectorcall(options.deps, args_, argument_count(nargsf_), kwnames_);
  if (tags == nullptr) return false;
  const bool declared = declare(tags);
  Py_DECREF(tags);
  return declared;
}

namespace {

const char* told(core::MissReason reason) {
  switch (reason) {
    case core::MissReason::kInvalidated:
      return "invalidated";
    case core::MissReason::kExpired:
      return "expired";
    case core::MissReason::kEvicted:
      return "evicted";
    case core::MissReason::kNotStored:
      return "not stored";
    case core::MissReason::kNeverLoaded:
      break;
  }
  return "never loaded";
}

}  // namespace

// `hook(loader, reason, *args, **kwargs)`; a load that no miss asked for is a "refresh".
PyObject* Call::call_hook(PyObject* hook) {
  PyObject* reason = PyUnicode_InternFromString(missed_ ? told(miss_reason_) : "refresh");
  if (reason == nullptr) return nullptr;
  const Py_ssize_t named = kwnames_ == nullptr ? 0 : PyTuple_GET_SIZE(kwnames_);
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf_);
  std::vector<PyObject*> all{callable_->wrapped, reason};
  all.insert(all.end(), args_, args_ + count + named);
  Py_INCREF(hook);  // it may be taken away while it runs
  PyObject* result =
      PyObject_Vectorcall(hook, all.data(), static_cast<std::size_t>(count) + 2, kwnames_);
  Py_DECREF(hook);
  Py_DECREF(reason);
  return result;
}

PyObject* Call::call_loader() {
  if (callable_->options->on_load != nullptr) return call_hook(callable_->options->on_load);
  return PyObject_Vectorcall(callable_->wrapped, args_, argument_count(nargsf_), kwnames_);
}

PyObject* Call::end_load(PyObject* result) {
  PyObject* value = nullptr;
  if (result != nullptr && (PyCoro_CheckExact(result) || is_awaitable_of_call(result))) {
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

core::LoadFrame<Policy>::Gathered Call::close_frame() {
  if (entered_ && !entered_.is_parent_of(*frame_)) leave();
  const auto gathered = frame_->close(flight_->deps);
  flight_->storable = gathered.storable;
  flight_->since = gathered.since;
  if (!gathered.since.is_now()) {
    flight_->born = std::min(flight_->born, gathered.since.epoch);
    if (level_ != nullptr) level_->call.be_no_newer_than(gathered.since.home);
  }
  if (load_open_) --open_loads;
  load_open_ = false;
  if (entered_) entered_.forget();
  frame_.reset();
  if (nested_) state_->flights.leave_nested(*enclosing_.front(), *flight_);
  nested_ = false;
  return gathered;
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

// Binds what the load depends on. May throw.
core::InvalidationLog::Standing Call::bind_deps(core::Dependencies* bound) {
  core::InvalidationLog& log = state_->engine.log();
  // Nothing was invalidated since, the own key neither; a stored value may be older than what is
  // held for being declared just now.
  if (flight_->born == log.clock() && level_ == nullptr) {
    if (flight_->deps.empty()) return core::InvalidationLog::Standing::kCurrent;
    return log.bind(flight_->deps, function_->node, nullptr, flight_->born, bound);
  }
  const core::HiddenTag own(function_->tag_id, probe_.hash);
  return log.bind(flight_->deps, function_->node, &own.path(), flight_->born, bound);
}

// Puts the outcome into the table, if its dependencies still stand. Takes no reference.
bool Call::store(PyObject* kept, std::uint64_t bits, double ttl_s, std::int64_t bound_ns,
                 std::size_t size_bytes) {
  auto& engine = state_->engine;
  core::NewEntry entry;
  auto standing = core::InvalidationLog::Standing::kInvalidated;
  if (!guarded([&] { standing = bind_deps(&entry.deps); })) return false;
  if (standing != core::InvalidationLog::Standing::kCurrent) {
    core::count(function_->counters.not_stored);
    engine.note_not_stored(*function_, probe_.hash, standing);
    return true;
  }
  stored_ = true;
  const CallableOptions& options = *callable_->options;
  const std::int64_t own_ns = ttl_s > 0 ? core::expiry_ns(engine.now_ns(), ttl_s) : 0;
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
  const bool slides =
      options.sliding || (options.ttl_s < 0 && callable_->core->options->read_extend_ttl);
  // An inner entry's time bounds this one's: reading it does not prolong the inner one.
  if (slides && bound_ns == 0 && own_ns != 0) entry.sliding_s = static_cast<float>(ttl_s);
  entry.value_bytes = size_bytes;
  core::Removed removed(engine.log());
  engine.store(
      *function_, entry,
      [this](const core::HotEntry& hot) {
        return match_key(callable_, probe_, hot.key, hot.state.load(std::memory_order_relaxed));
      },
      removed);
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
  PyObject* form = nullptr;
  if (good && models != nullptr && !bypass_) {
    const Portable portable = enter() ? make_portable(result, &form) : Portable::kError;
    good = portable != Portable::kError;
    if (portable == Portable::kRefused) wanted = 0;
  }
  ttl_s = core::jittered(ttl_s, options.jitter);
  if (frame_ != nullptr && frame_->is_store_forbidden()) wanted = 0;  // no_store()
  good = good &&
         (wanted == 0 || !lives || form != nullptr || is_to_verify() || encode_for_level(result));
  if (good && form != nullptr) {
    kept = form;
    Py_SETREF(result, make_of_portable(form));
    if (result == nullptr) Py_CLEAR(kept);
  } else if (good) {
    kept = options.on_store == nullptr || is_to_verify()
               ? Py_NewRef(result)
               : PyObject_CallOneArg(options.on_store, result);
  }
  if (kept == nullptr) {
    Py_XDECREF(result);
    return nullptr;
  }
  const auto gathered = close_frame();
  const std::int64_t bound_ns = gathered.expires_ns;
  flight_->storable = gathered.storable && lives;  // no time to live leaves none to an outer load
  flight_->deps_complete = true;
  flight_->expires_ns = bound_ns;
  core::count_load(function_->counters, gathered.took_ns);
  if (is_to_verify()) {
    wanted = 0;  // there is an entry already
  } else if (wanted == 0 || !gathered.wanted || !gathered.storable || !lives) {
    core::count(function_->counters.not_stored);
    state_->engine.note_not_stored(*function_, probe_.hash,
                                   core::InvalidationLog::Standing::kCurrent);
  } else if (!store(kept, form == nullptr ? 0 : kValueIsPortable, ttl_s, bound_ns, size_bytes)) {
    PyErr_WriteUnraisable(callable_->wrapped);  // the value is good, only not kept
  }
  if (ttl_s > 0) {
    const std::int64_t own_ns = core::expiry_ns(state_->engine.now_ns(), ttl_s);
    if (own_ns != 0 && (bound_ns == 0 || own_ns < bound_ns)) flight_->expires_ns = own_ns;
  }
  keep_in_level();
  tell_outer(*flight_, true);
  flight()->value = kept;
  finish_flight(core::FlightState::kDone);
  return result;
}

bool Call::caches_error(PyObject* error) {
  PyObject* classes = callable_->options->cached_errors;
  return classes != nullptr && PyErr_GivenExceptionMatches(error, classes) != 0;
}

// The failure of a load: nullptr with the error set, or an old value in its place.
PyObject* Call::finish_error() {
  PyObject* error = take_error();
  const bool is_exception = PyErr_GivenExceptionMatches(error, PyExc_Exception) != 0;
  // What the outcome depends on is known only in part if `deps=` would have looked at it later.
  bool complete = true;
  if (is_exception && entered_ && !declare_deps_after()) {
    PyErr_Clear();
    complete = false;
  }
  core::LoadFrame<Policy>::Gathered gathered{true, true, 0, {}, 0};
  if (load_open_) gathered = close_frame();
  const std::int64_t bound_ns = gathered.expires_ns;
  flight_->deps_complete = complete;
  flight_->expires_ns = bound_ns;
  if (!is_exception) {
    tell_outer(*flight_, false);  // it was broken off: more might have come
    finish_flight(core::FlightState::kAbandoned);
    put_error(error);
    return nullptr;
  }
  if (level_ != nullptr) level_->call.fail();
  core::count_load(function_->counters, gathered.took_ns);
  core::count(function_->counters.load_errors);
  const bool verifies = is_to_verify();  // then the caller gets the hit
  const bool kept =
      !verifies && complete && gathered.wanted && gathered.storable && caches_error(error);
  if (kept) {
    const CallableOptions& options = *callable_->options;
    double ttl_s = options.ttl_s < 0 ? callable_->core->options->default_ttl_s : options.ttl_s;
    if (options.error_ttl_s >= 0) ttl_s = options.error_ttl_s;
    ttl_s = core::jittered(ttl_s, options.jitter);
    PyObject* copy = copy_of_error(error);  // keeps none of the first caller's frames alive
    if (copy == nullptr) copy = Py_NewRef(error);
    if (!store(copy, kValueIsError, ttl_s, bound_ns, 0)) PyErr_WriteUnraisable(callable_->wrapped);
    Py_DECREF(copy);
  }
  if (!kept && !verifies) {
    state_->engine.note_not_stored(*function_, probe_.hash, core::Removal::kFailed);
  }
  if (kept) Py_CLEAR(old_);  // the error is the newer answer
  const bool forgiven = forgives_errors();
  if (!forgiven && !verifies) tell_outer(*flight_, complete);
  flight()->error = Py_NewRef(error);
  finish_flight(core::FlightState::kFailed);
  if (forgiven) {
    Py_DECREF(error);
    return serve_old();
  }
  put_error(error);
  return nullptr;
}

PyObject* Call::replace(PyObject* value, PyObject* tags, double ttl_s) {
  std::vector<std::string> read;
  const std::size_t max_length = callable_->core->options->engine.max_tag_length;
  std::size_t size_bytes = 0;
  if (!read_tags(tags, "deps", max_length, &read) || !read_size(value, &size_bytes)) return nullptr;
  // Outer entries that used the old value, or its absence, die; so do loads in flight.
  if (!invalidate_key(callable_->core->origins->current(1)) || !follow_reset()) return nullptr;
  if (bypass_) Py_RETURN_NONE;
  born_ = state_->engine.log().clock();
  flight_ = make_flight();
  if (flight_ == nullptr) return nullptr;
  for (const std::string& tag : read) flight_->deps.add_tag(tag);
  if (ttl_s < 0) ttl_s = callable_->core->options->default_ttl_s;
  if (!begin_level() && PyErr_Occurred() != nullptr) return nullptr;
  begin_level_load();
  if (!encode_for_level(value) || !store(value, 0, ttl_s, 0, size_bytes)) return nullptr;
  flight_->expires_ns = ttl_s > 0 ? core::expiry_ns(state_->engine.now_ns(), ttl_s) : 0;
  keep_in_level();
  if (has_level_work()) finish_level();
  Py_RETURN_NONE;
}

}  // namespace zoocache::python
