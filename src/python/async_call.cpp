#include "python/async_call.h"

#include <memory>
#include <utility>

#include "python/errors.h"
#include "python/waiting_task.h"

namespace zoocache::python {

PyObject* make_waiter = nullptr;
PyObject* run_job = nullptr;

void release_arguments(Awaitable* self) {
  PyObject** args = std::exchange(self->args, nullptr);
  if (args == nullptr) return;
  Py_ssize_t total = std::exchange(self->count, 0);
  PyObject* kwnames = std::exchange(self->kwnames, nullptr);
  if (kwnames != nullptr) {
    total += PyTuple_GET_SIZE(kwnames);
    Py_DECREF(kwnames);
  }
  for (Py_ssize_t index = 0; index < total; ++index) Py_DECREF(args[index]);
  if (args != self->few) PyMem_Free(args);
}

namespace {

// Runs the job (stolen; nullptr with an error) in another thread; what waits for it gets the sends.
// False with an error.
bool delegate_job(Awaitable* self, PyObject* job, Stage stage) {
  if (job == nullptr) return false;
  self->delegate = PyObject_CallOneArg(run_job, job);
  Py_DECREF(job);
  if (self->delegate == nullptr) return false;
  self->stage = stage;
  return true;
}

// What the call has claimed is let go of, elsewhere and without waiting for it.
void leave_level(Call& call) {
  if (!call.has_level()) return;
  PyObject* job = call.drop_job();
  PyObject* waiting =
      job == nullptr ? nullptr : PyObject_CallFunction(run_job, "OO", job, Py_False);
  if (waiting == nullptr) PyErr_WriteUnraisable(run_job);
  Py_XDECREF(waiting);
  Py_XDECREF(job);
}

}  // namespace

void finish_call(Awaitable* self) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  Call* call = self->call;
  self->call = nullptr;
  const bool has_job = self->stage == Stage::kLooking || self->stage == Stage::kStoring;
  self->stage = Stage::kDone;
  Py_CLEAR(self->delegate);
  Py_CLEAR(self->outcome);
  if (call != nullptr) {
    call->stop_following();
    if (call->leads()) call->abandon();
    // One that a job may be using, or that has a claim, is let go of in another thread.
    if (has_job || call->has_level_work()) leave_level(*call);
    if (self->kind == CallKind::kReload) call->end_detached();
    delete call;
  }
  release_arguments(self);
  PyErr_Restore(type, value, traceback);
}

namespace {

// The iterator behind an awaitable, as `await` finds it; steals the reference.
PyObject* iterator_of(PyObject* awaitable) {
  if (PyCoro_CheckExact(awaitable)) return awaitable;
  const PyAsyncMethods* methods = Py_TYPE(awaitable)->tp_as_async;
  PyObject* iterator = nullptr;
  if (methods != nullptr && methods->am_await != nullptr) {
    iterator = methods->am_await(awaitable);
  } else {
    PyErr_Format(PyExc_TypeError, "a cached async function returned %.80R, which is not awaitable",
                 awaitable);
  }
  Py_DECREF(awaitable);
  return iterator;
}

// Begins to load in this task. False with an error: the load is ended.
bool begin_loading(Awaitable* self) {
  Call& call = *self->call;
  if (!call.start_load()) return false;
  if (call.enter()) {
    PyObject* coroutine = call.call_loader();
    if (coroutine != nullptr) self->delegate = iterator_of(coroutine);
    if (self->delegate != nullptr) {
      self->stage = Stage::kLoading;
      return true;
    }
  }
  call.end_load(nullptr);
  return false;
}

Begun take_stored(Awaitable* self, PyObject** value) {
  PyObject* outcome = std::exchange(self->outcome, nullptr);
  if (!self->is_error) {
    *value = outcome;
    return Begun::kValue;
  }
  put_error(outcome);
  return Begun::kError;
}

// The look into the second level comes first. False with an error: the flight is ended.
bool begin_leading(Awaitable* self, bool anew) {
  Call& call = *self->call;
  const bool level = call.begin_level();
  if (level && !anew) {
    if (delegate_job(self, call.look_job(call.level_patience_s()), Stage::kLooking)) return true;
  }
  if (PyErr_Occurred() == nullptr) return begin_loading(self);
  call.abandon();
  return false;
}

// After a load has ended, with its value (stolen) or an error: what is left to do in the second
// level is done before the caller goes on, and nobody is kept from the value by it.
Begun begin_storing(Awaitable* self, PyObject* result, PyObject** value) {
  Call& call = *self->call;
  if (call.has_level_work()) {
    self->is_error = result == nullptr;
    self->outcome = result == nullptr ? take_error() : result;
    if (delegate_job(self, call.finish_job(), Stage::kStoring)) return Begun::kDelegated;
    PyErr_WriteUnraisable(self->callable->wrapped);
    return take_stored(self, value);
  }
  *value = result;
  return result == nullptr ? Begun::kError : Begun::kValue;
}

// The load that a hit is compared with has ended: with its result (stolen), or an error.
Begun verifying_ended(Awaitable* self, PyObject* result, PyObject** value) {
  *value = self->call->end_verifying(result);
  return *value == nullptr ? Begun::kError : Begun::kValue;
}

Begun begun_with(Look look) { return look == Look::kHit ? Begun::kValue : Begun::kError; }

Begun begin_waiting(Awaitable* self, PyObject** value) {
  Call& call = *self->call;
  PyObject* pair = PyObject_CallFunction(make_waiter, "d", call.flight_timeout_s());
  if (pair == nullptr) return Begun::kError;
  if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
    Py_DECREF(pair);
    PyErr_SetString(PyExc_SystemError, "make_waiter returned no pair");
    return Begun::kError;
  }
  PyObject* iterator = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
  auto waiter = std::make_shared<WaitingTask>(Py_NewRef(PyTuple_GET_ITEM(pair, 1)));
  Py_DECREF(pair);
  const core::Following following = call.follow(waiter);
  if (following == core::Following::kWaiting) {
    self->delegate = iterator;
    self->stage = Stage::kWaiting;
    return Begun::kDelegated;
  }
  Py_XDECREF(PyObject_CallMethod(iterator, "close", nullptr));
  Py_DECREF(iterator);
  if (PyErr_Occurred() != nullptr) return Begun::kError;
  if (following == core::Following::kCycle) {
    self->alone = true;
    return Begun::kAgain;
  }
  const Take taken = call.take_outcome(value);
  if (taken == Take::kRetry) return Begun::kAgain;
  return taken == Take::kTaken ? Begun::kValue : Begun::kError;
}

// The look has ended: with True, or with False when it took too long and goes on elsewhere.
Begun look_ended(Awaitable* self, PyObject* result, PyObject** value) {
  Call& call = *self->call;
  if (result == nullptr) return Begun::kError;
  if (result != Py_True) leave_level(call);
  Py_DECREF(result);
  const Look look = call.take_from_level(value);
  if (look != Look::kMiss) return begun_with(look);
  return begin_loading(self) ? Begun::kDelegated : Begun::kError;
}

// kAgain: there is no background here.
Begun begin_softly(Awaitable* self, PyObject** value) {
  PyObject* waiting = self->call->start_softly();
  if (waiting == nullptr) return Begun::kError;
  if (waiting == Py_False || waiting == Py_True) {
    const bool cannot = waiting == Py_False;
    Py_DECREF(waiting);
    return cannot ? Begun::kAgain : begun_with(self->call->finish_softly(value));
  }
  self->delegate = waiting;
  self->stage = Stage::kSoftly;
  return Begun::kDelegated;
}

// A hit that is loaded anew.
Begun begin_verifying(Awaitable* self, PyObject** value) {
  Call& call = *self->call;
  if (!call.begin_verifying(std::exchange(*value, nullptr))) return Begun::kError;
  if (begin_loading(self)) return Begun::kDelegated;
  return verifying_ended(self, nullptr, value);
}

// A load in the background: *value is a tuple of what it gave, or None if another one runs.
Begun begin_reload(Awaitable* self, PyObject** value) {
  Call& call = *self->call;
  if (!call.begin_detached()) return Begun::kError;
  const Join joined = call.join(false);
  if (joined == Join::kError) return Begun::kError;
  if (joined == Join::kLead) return begin_leading(self, true) ? Begun::kDelegated : Begun::kError;
  *value = Py_NewRef(Py_None);
  return Begun::kValue;
}

// From a look-up to a value, an error, or a delegate that gets the sends.
Begun advance(Awaitable* self, PyObject** value) {
  constexpr int kSharedRounds = 2;
  Call& call = *self->call;
  for (;;) {
    const Look look = call.look_up(value);
    if (look == Look::kHit && call.is_to_verify()) return begin_verifying(self, value);
    if (look == Look::kHit) call.refresh_ahead();
    if (look != Look::kMiss) return begun_with(look);
    if (call.loads_softly()) {
      const Begun softly = begin_softly(self, value);
      if (softly != Begun::kAgain) return softly;
    }
    const Join joined = call.join(self->alone || call.rounds() >= kSharedRounds);
    if (joined == Join::kError) return Begun::kError;
    if (joined == Join::kAgain) continue;
    if (joined == Join::kLead) {
      return begin_leading(self, false) ? Begun::kDelegated : Begun::kError;
    }
    if (call.in_grace()) {
      *value = call.serve_old();
      return *value == nullptr ? Begun::kError : Begun::kValue;
    }
    const Begun begun = begin_waiting(self, value);
    if (begun != Begun::kAgain) return begun;
  }
}

// Where the home may have to be asked over a network, another thread does so first. kAgain: it need
// not be.
Begun begin_arriving(Awaitable* self) {
  if (!callable_attach(self->callable)) return Begun::kError;
  const StatePtr state = *self->callable->state;
  core::InvalidationLog& log = state->engine.log();
  if (!log.arrival_waits() || self->callable->options->is_off) return Begun::kAgain;
  PyObject* job = new_level_job(state, [&log] { log.arrive(); });
  return delegate_job(self, job, Stage::kArriving) ? Begun::kDelegated : Begun::kError;
}

Begun go_on(Awaitable* self, PyObject** value) {
  const auto nargsf = static_cast<size_t>(self->count);
  self->call = new Call(self->callable, self->args, nargsf, self->kwnames);
  if (self->kind == CallKind::kReload) self->call->detach();
  const BindResult bound = self->call->prepare();
  if (bound == kBadCall) {  // the user's function raises its own TypeError
    PyObject* wrong =
        PyObject_Vectorcall(self->callable->wrapped, self->args, nargsf, self->kwnames);
    if (wrong != nullptr) {
      Py_XDECREF(PyObject_CallMethod(wrong, "close", nullptr));
      Py_DECREF(wrong);
      PyErr_SetString(PyExc_TypeError, "the arguments do not fit the function's signature");
    }
    return Begun::kError;
  }
  if (bound != kBound) return Begun::kError;
  if (self->kind == CallKind::kReload) return begin_reload(self, value);
  if (self->kind == CallKind::kRefresh) {
    if (!self->call->invalidate_here(0)) return Begun::kError;
    if (self->call->is_to_be_announced()) {
      const bool begun = delegate_job(self, self->call->announce_job(), Stage::kAnnouncing);
      return begun ? Begun::kDelegated : Begun::kError;
    }
  }
  return advance(self, value);
}

}  // namespace

Begun begin_call(Awaitable* self, PyObject** value) {
  if (self->callable->wrapped != nullptr) {
    const Begun begun = begin_arriving(self);
    if (begun != Begun::kAgain) return begun;
  }
  return go_on(self, value);
}

Begun delegate_ended(Awaitable* self, PyObject* result, PyObject** value) {
  Py_CLEAR(self->delegate);
  if (self->stage == Stage::kArriving) {
    if (result == nullptr) return Begun::kError;
    Py_DECREF(result);
    return go_on(self, value);
  }
  Call& call = *self->call;
  if (self->stage == Stage::kAnnouncing) {
    if (result == nullptr) return Begun::kError;
    Py_DECREF(result);
    return call.was_announced() ? advance(self, value) : Begun::kError;
  }
  if (self->stage == Stage::kLooking) return look_ended(self, result, value);
  if (self->stage == Stage::kLoading) {
    PyObject* loaded = call.end_load(result);
    return call.is_to_verify() ? verifying_ended(self, loaded, value)
                               : begin_storing(self, loaded, value);
  }
  if (self->stage == Stage::kStoring) {
    if (result == nullptr) return Begun::kError;  // cancelled; the job goes on
    Py_DECREF(result);
    call.note_level();
    return take_stored(self, value);
  }
  if (self->stage == Stage::kSoftly) {
    if (result == nullptr) return Begun::kError;
    Py_DECREF(result);
    return begun_with(call.finish_softly(value));
  }
  call.stop_following();
  if (result == nullptr) return Begun::kError;
  const bool woken = result == Py_True;
  Py_DECREF(result);
  if (!woken) {
    if (self->callable->options->raise_on_timeout) {
      raise_flight_timeout(call);
      return Begun::kError;
    }
    self->alone = true;
    return advance(self, value);
  }
  const Take taken = call.take_outcome(value);
  if (taken == Take::kRetry) return advance(self, value);
  return taken == Take::kTaken ? Begun::kValue : Begun::kError;
}

}  // namespace zoocache::python
