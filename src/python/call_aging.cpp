// What a call does with values that are about to expire, or have: see AgingOptions.
#include <utility>

#include "python/call.h"
#include "python/errors.h"
#include "python/models.h"

namespace zoocache::python {

PyObject* Call::hand_out(PyObject* kept) {
  PyObject* hook = callable_->options->on_hit;
  if (hook == nullptr && !is_portable(kept)) return Py_NewRef(kept);
  Py_INCREF(kept);
  PyObject* value = nullptr;
  PyObject *args, *kwargs;
  if (is_portable(kept)) {
    value = make_of_portable(kept);
  } else if (!callable_->options->hit_sees_call) {
    value = PyObject_CallOneArg(hook, kept);
  } else if (pack_arguments(&args, &kwargs)) {
    value = PyObject_CallFunctionObjArgs(hook, kept, args, kwargs, nullptr);
    Py_DECREF(args);
    Py_DECREF(kwargs);
  }
  Py_DECREF(kept);
  return value;
}

// Before the entry may be removed.
void Call::keep_old(core::EntryId id) {
  auto& engine = state_->engine;
  const core::HotEntry& hot = engine.slab().hot(id);
  stale_ = engine.stale(id, *function_);
  if (!stale_.kept || (hot.state.load(std::memory_order_relaxed) & kValueIsError) != 0) return;
  old_ = Py_NewRef(to_object(hot.value));
  old_deps_ = std::make_unique<core::DepSet>(engine.log());
  old_deps_->add_nodes(engine.slab().cold(id).deps.nodes());
}

bool Call::may_serve(double span_s, bool invalidated) const {
  return old_ != nullptr && (invalidated || !stale_.invalidated) &&
         static_cast<double>(stale_.age_ns) < span_s * 1e9;
}

bool Call::in_grace() const {
  const CallableOptions& options = *callable_->options;
  return may_serve(options.grace_s, options.stale_while_revalidate);
}

bool Call::forgives_errors() const {
  const CallableOptions& options = *callable_->options;
  return may_serve(options.stale_if_error_s, options.stale_if_error_invalidated);
}

PyObject* Call::serve_old() {
  untold_ = false;
  core::count(function_->counters.stale_hits);
  if (outer_ != nullptr) outer_->add_stale(own_key(), *old_deps_);
  return hand_out(old_);
}

bool Call::pack_arguments(PyObject** packed_args, PyObject** packed_kwargs) const {
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf_);
  PyObject* args = PyTuple_New(count);
  PyObject* kwargs = args == nullptr ? nullptr : PyDict_New();
  for (Py_ssize_t index = 0; kwargs != nullptr && index < count; ++index) {
    PyTuple_SET_ITEM(args, index, Py_NewRef(args_[index]));
  }
  const Py_ssize_t named = kwnames_ == nullptr ? 0 : PyTuple_GET_SIZE(kwnames_);
  for (Py_ssize_t index = 0; kwargs != nullptr && index < named; ++index) {
    if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(kwnames_, index), args_[count + index]) < 0) {
      Py_CLEAR(kwargs);
    }
  }
  if (kwargs == nullptr) Py_CLEAR(args);
  *packed_args = args;
  *packed_kwargs = kwargs;
  return kwargs != nullptr;
}

// `hook(fn, args, kwargs[, timeout_s])`
PyObject* Call::call_background(PyObject* hook, double timeout_s) {
  PyObject *args, *kwargs;
  if (!pack_arguments(&args, &kwargs)) return nullptr;
  auto* fn = reinterpret_cast<PyObject*>(callable_);
  PyObject* result = timeout_s < 0
                         ? PyObject_CallFunctionObjArgs(hook, fn, args, kwargs, nullptr)
                         : PyObject_CallFunction(hook, "OOOd", fn, args, kwargs, timeout_s);
  Py_DECREF(args);
  Py_DECREF(kwargs);
  return result;
}

void Call::refresh_ahead() {
  if (!refresh_wanted_) return;
  refresh_wanted_ = false;
  PyObject* hook = callable_->options->start_refresh;
  PyObject* started = hook == nullptr ? Py_NewRef(Py_False) : call_background(hook, -1);
  if (started == nullptr) PyErr_WriteUnraisable(callable_->wrapped);
  if (started == Py_True) {
    core::count(function_->counters.refreshes);
  } else {
    end_detached();
  }
  Py_XDECREF(started);
}

bool Call::loads_softly() const {
  return callable_->options->soft_timeout_s > 0 && callable_->options->load_softly != nullptr &&
         in_grace();
}

PyObject* Call::start_softly() {
  const core::EntryId id = find_entry(callable_, probe_);
  if (PyErr_Occurred() != nullptr) return nullptr;
  if (id == core::kNoEntry || !state_->engine.begin_refresh(id)) {
    Py_RETURN_TRUE;  // somebody waits for a load already
  }
  const CallableOptions& options = *callable_->options;
  PyObject* started = call_background(options.load_softly, options.soft_timeout_s);
  if (started == nullptr || started == Py_False) {
    end_detached();
  } else {
    core::count(function_->counters.refreshes);
  }
  return started;
}

Look Call::finish_softly(PyObject** value) {
  PyObject* old = std::exchange(old_, nullptr);
  std::unique_ptr<core::DepSet> deps = std::move(old_deps_);
  const Look look = look_up(value);  // what was loaded meanwhile
  if (look != Look::kMiss) {
    Py_DECREF(old);
    return look;
  }
  Py_XDECREF(std::exchange(old_, old));
  old_deps_ = std::move(deps);
  *value = serve_old();
  return *value == nullptr ? Look::kError : Look::kHit;
}

Look Call::load_softly(PyObject** value) {
  PyObject* waited = start_softly();
  if (waited == nullptr) return Look::kError;
  const bool cannot = waited == Py_False;
  Py_DECREF(waited);
  return cannot ? Look::kMiss : finish_softly(value);
}

bool Call::begin_detached() {
  if (!follow_reset()) return false;
  born_ = state_->engine.log().arrive();
  return true;
}

void Call::end_detached() {
  if (function_ == nullptr || callable_->function != function_) return;
  PyObject* error = PyErr_Occurred() == nullptr ? nullptr : take_error();
  const core::EntryId id = find_entry(callable_, probe_);
  if (id != core::kNoEntry) state_->engine.end_refresh(id);
  PyErr_Clear();
  if (error != nullptr) put_error(error);
}

}  // namespace zoocache::python
