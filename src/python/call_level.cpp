// A call and the second level: see core/level_call.h for the order of things. What waits for a file
// or a network runs without the GIL, in the caller's thread or, for async functions, in another.
#include <chrono>
#include <utility>

#include "python/call.h"
#include "python/errors.h"
#include "python/frozen.h"
#include "python/value_codec.h"

namespace zoocache::python {
namespace {

using Found = core::LevelCall::Found;

// What is wrong with one value is not the caller's affair; what ends the program is. False: that.
bool passes_over_error() {
  if (PyErr_ExceptionMatches(PyExc_Exception) == 0) return false;
  PyErr_Clear();
  return true;
}

// The function's name among processes and the classes of its values, once it is asked for: a pair
// or None. New reference; nullptr with an error.
PyObject* level_of(CachedFunction* callable) {
  CallableOptions& options = *callable->options;
  if (options.level != nullptr) return Py_NewRef(options.level);
  PyObject* told = PyObject_CallNoArgs(options.level_plan);
  if (told == nullptr) return nullptr;
  const bool fits = told == Py_None || (PyTuple_Check(told) && PyTuple_GET_SIZE(told) == 2 &&
                                        PyBytes_Check(PyTuple_GET_ITEM(told, 0)) != 0 &&
                                        PyDict_Check(PyTuple_GET_ITEM(told, 1)) != 0);
  if (!fits) {
    Py_DECREF(told);
    PyErr_SetString(PyExc_SystemError, "level_plan: None or (bytes, dict) is wanted");
    return nullptr;
  }
  Py_XSETREF(options.level, Py_NewRef(told));
  return told;
}

// As level_of, the classes alone; nullptr without an error: the function has no name.
PyObject* registry_of(CachedFunction* callable) {
  PyObject* level = level_of(callable);
  if (level == nullptr) return nullptr;
  PyObject* registry = level == Py_None ? nullptr : Py_NewRef(PyTuple_GET_ITEM(level, 1));
  Py_DECREF(level);
  return registry;
}

void run_look(LevelStep& step, bool shared, double at_most_s) {
  const std::chrono::nanoseconds at_most(static_cast<std::int64_t>(at_most_s * 1e9));
  step.found = step.call.look(shared, at_most);
}

void run_finish(LevelStep& step) {
  step.keeps = step.call.is_kept();
  step.stored = step.call.finish(&step.trouble);
}

}  // namespace

// The items in their canonical form behind the function's name; nullptr without an error where the
// arguments have none.
PyObject* Call::canonical_key(PyObject* identity) {
  PyObject* items = PyTuple_New(probe_.size + 1);
  if (items == nullptr) return nullptr;
  PyTuple_SET_ITEM(items, 0, Py_NewRef(identity));
  bool good = true;
  for (Py_ssize_t index = 0; good && index < probe_.size; ++index) {
    PyObject* item = Py_NewRef(probe_.items[index]);
    if (index == 0 && probe_.has_instance) {
      // Known by its identity here; elsewhere only if its class says what it is (__zoocache_key__).
      Py_XSETREF(item, freeze(item, nullptr));
      good = item != nullptr && is_frozen(item);
    }
    PyTuple_SET_ITEM(items, index + 1, item);
  }
  PyObject* key = good ? encode_value(items, Py_None, true) : nullptr;
  Py_DECREF(items);
  return key;
}

bool Call::make_level_key(core::LevelKey* key) {
  if (callable_->options->level_plan == nullptr || state_->engine.level() == nullptr) return false;
  PyObject* level = level_of(callable_);
  PyObject* bytes = nullptr;
  if (level != nullptr && level != Py_None) bytes = canonical_key(PyTuple_GET_ITEM(level, 0));
  Py_XDECREF(level);
  if (bytes == nullptr) {
    if (PyErr_Occurred() != nullptr) passes_over_error();
    return false;
  }
  key->function_id = function_->tag_id;
  const bool made = guarded([&] {
    key->bytes.assign(PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes)));
  });
  Py_DECREF(bytes);
  return made;
}

bool Call::begin_level() {
  core::LevelKey key;
  if (bypass_ || !make_level_key(&key)) return false;
  return guarded([&] {
    level_ =
        std::make_shared<LevelStep>(state_->engine.log(), state_->engine.level(), std::move(key));
  });
}

Found Call::look_in_level(double at_most_s) {
  LevelStep& step = *level_;
  const bool shared = shared_;
  PyThreadState* const saved = PyEval_SaveThread();
  run_look(step, shared, at_most_s);
  PyEval_RestoreThread(saved);
  return step.found;
}

PyObject* Call::look_job(double at_most_s) {
  return new_level_job(
      state_, [step = level_, shared = shared_, at_most_s] { run_look(*step, shared, at_most_s); });
}

Look Call::take_from_level(PyObject** value) {
  if (level_ == nullptr) return Look::kMiss;
  if (level_->found == Found::kTimedOut && callable_->options->raise_on_timeout &&
      level_patience_s() > 0) {
    raise_flight_timeout(*this);
    return Look::kError;
  }
  if (level_->found != Found::kValue) return Look::kMiss;
  const core::StoredValue& found = level_->call.value();
  PyObject* registry = registry_of(callable_);
  PyObject* made = nullptr;
  PyObject* kept = nullptr;
  std::size_t size_bytes = 0;
  if (registry != nullptr) {
    made = decode_value(found.payload.data(), found.payload.size(), registry);
    Py_DECREF(registry);
  }
  if (made != nullptr && read_size(made, &size_bytes)) {
    PyObject* keep = callable_->options->on_store;
    kept = keep == nullptr ? Py_NewRef(made) : PyObject_CallOneArg(keep, made);
  }
  bool taken = false;
  if (kept != nullptr) {
    flight_->born = level_->call.born_here();
    if (found.lives_ns != 0) flight_->expires_ns = state_->engine.now_ns() + found.lives_ns;
    taken = guarded([&] { level_->call.depend(flight_->deps); }) &&
            store(kept, 0, 0, flight_->expires_ns, size_bytes) && stored_;
  }
  if (!taken) {  // it is no value here, or was invalidated since, or a writer holds a tag of it
    Py_XDECREF(kept);
    Py_XDECREF(made);
    flight_->deps.clear();
    flight_->expires_ns = 0;
    return PyErr_Occurred() == nullptr || passes_over_error() ? Look::kMiss : Look::kError;
  }
  level_.reset();
  core::count(function_->counters.level_hits);
  flight_->deps_complete = true;
  tell_outer(*flight_, true);
  flight()->value = kept;
  finish_flight(core::FlightState::kDone);
  *value = made;
  return Look::kHit;
}

// What was invalidated while the level was asked is in what the loader is about to read.
void Call::begin_level_load() {
  if (level_ == nullptr) return;
  level_->call.begin_load();
  born_ = state_->engine.log().clock();
  flight_->born = born_;
}

bool Call::encode_for_level(PyObject* value) {
  if (level_ == nullptr) return true;
  PyObject* registry = registry_of(callable_);
  if (registry == nullptr) return PyErr_Occurred() == nullptr;
  payload_ = encode_value(value, registry, false);
  Py_DECREF(registry);
  if (payload_ != nullptr) return true;
  core::count(function_->counters.level_refusals);
  PyObject* tell = callable_->options->on_unserializable;
  if (tell == nullptr || PyErr_ExceptionMatches(serialization_error_type) == 0) return false;
  PyObject* error = take_error();
  PyObject* told = PyObject_CallOneArg(tell, error);
  Py_DECREF(error);
  Py_XDECREF(told);
  return told != nullptr;
}

// After the flight has what it depends on and when it expires.
void Call::keep_in_level() {
  if (payload_ == nullptr || !stored_) return;
  const std::int64_t lives_ns = core::left_ns(flight_->expires_ns, state_->engine.now_ns());
  const bool kept = guarded([&] {
    std::string payload(PyBytes_AS_STRING(payload_),
                        static_cast<std::size_t>(PyBytes_GET_SIZE(payload_)));
    level_->call.keep(std::move(payload), flight_->deps, lives_ns);
  });
  if (!kept) PyErr_Clear();  // no memory: the value is good, only not kept
}

bool Call::has_level_work() const { return level_ != nullptr && level_->call.has_work(); }

void Call::finish_level() {
  LevelStep& step = *level_;
  PyThreadState* const saved = PyEval_SaveThread();
  run_finish(step);
  PyEval_RestoreThread(saved);
  note_level();
}

PyObject* Call::finish_job() {
  return new_level_job(state_, [step = level_] { run_finish(*step); });
}

void Call::note_level() {
  if (level_ == nullptr) return;
  if (level_->keeps) {
    core::count(level_->stored ? function_->counters.level_stores
                               : function_->counters.level_refusals);
  }
  level_.reset();
}

}  // namespace zoocache::python
