#include "python/awaitable.h"

#include <utility>

#include "python/async_call.h"
#include "python/errors.h"
#include "python/quick_hit.h"
#include "python/static_type.h"

namespace zoocache::python {
namespace {

PyTypeObject awaitable_type = static_type();

// A hit makes and drops one awaitable: some are kept for the next, empty. They are alive for the
// collector (each has one reference, ours), which spares a hit telling it of them. Debug builds
// count references in ways that this does not go with.
#ifdef Py_REF_DEBUG
constexpr std::size_t kMostSpare = 0;
#else
constexpr std::size_t kMostSpare = 128;
#endif
Awaitable* spares[kMostSpare + 1];
std::size_t spare_count = 0;

Awaitable* as_awaitable(PyObject* object) { return reinterpret_cast<Awaitable*>(object); }

// Sends into the delegate until it suspends or everything has ended.
PySendResult drive(Awaitable* self, PyObject* sent, PyObject** result) {
  Begun begun = Begun::kDelegated;
  if (self->stage == Stage::kNew) begun = begin_call(self, result);
  while (begun == Begun::kDelegated) {
    const bool loading = self->stage == Stage::kLoading;
    PySendResult step = PYGEN_ERROR;
    PyObject* yielded = nullptr;
    if (!loading || self->call->enter()) {
      PyObject* delegate = Py_NewRef(self->delegate);
      step = PyIter_Send(delegate, sent, &yielded);
      Py_DECREF(delegate);
    }
    sent = Py_None;
    if (step == PYGEN_NEXT) {
      if (loading) self->call->leave();
      *result = yielded;
      return PYGEN_NEXT;
    }
    begun = delegate_ended(self, step == PYGEN_RETURN ? yielded : nullptr, result);
  }
  finish_call(self);
  return begun == Begun::kValue ? PYGEN_RETURN : PYGEN_ERROR;
}

PySendResult fail(Awaitable* self) {
  finish_call(self);
  return PYGEN_ERROR;
}

bool may_run(Awaitable* self) {
  if (self->running) {
    PyErr_SetString(PyExc_ValueError, "the coroutine of a cached function is already running");
    return false;
  }
  if (self->stage == Stage::kDone) {
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return false;
  }
  return true;
}

// A call that is a plain hit ends here; nullptr without an error: it is none.
PyObject* quick_begin(Awaitable* self) {
  if (self->stage != Stage::kNew || self->kind != CallKind::kCall) return nullptr;
  PyObject* value =
      quick_hit(self->callable, self->args, static_cast<size_t>(self->count), self->kwnames);
  if (value == nullptr) return nullptr;
  self->stage = Stage::kDone;
  if (self->count == 1 && self->kwnames == nullptr) {
    Py_DECREF(std::exchange(self->args, nullptr)[0]);
    self->count = 0;
  } else {
    release_arguments(self);
  }
  return value;
}

PySendResult awaitable_send(PyObject* object, PyObject* sent, PyObject** result) {
  Awaitable* self = as_awaitable(object);
  *result = nullptr;
  if (!may_run(self)) return PYGEN_ERROR;
  if (self->stage == Stage::kNew && sent != Py_None) {
    PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
    return PYGEN_ERROR;
  }
  *result = quick_begin(self);
  if (*result != nullptr) return PYGEN_RETURN;
  Py_INCREF(object);
  self->running = true;
  PySendResult step = PYGEN_ERROR;
  try {
    step = PyErr_Occurred() == nullptr ? drive(self, sent, result) : fail(self);
  } catch (const std::exception&) {
    translate_exception();
    finish_call(self);
  }
  self->running = false;
  Py_DECREF(object);
  return step;
}

// A send's outcome as a method or iterator gives it: StopIteration carries the value.
PyObject* as_iteration(PySendResult step, PyObject* result) {
  if (step == PYGEN_NEXT) return result;
  if (step == PYGEN_RETURN) {
    if (result == Py_None) {
      PyErr_SetNone(PyExc_StopIteration);
    } else {
      // Made by hand: a tuple or an exception as value must not be taken for arguments.
      PyObject* stop = PyObject_CallOneArg(PyExc_StopIteration, result);
      if (stop != nullptr) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
      }
    }
    Py_DECREF(result);
  }
  return nullptr;
}

PyObject* awaitable_send_method(PyObject* object, PyObject* sent) {
  PyObject* result;
  const PySendResult step = awaitable_send(object, sent, &result);
  return as_iteration(step, result);
}

// From 3.12 on `await` asks the iterator and not `am_send`, so that every hit ends with a
// StopIteration. One is used again as long as nobody else holds it; its value goes with the
// awaitable that gave it.
#if PY_VERSION_HEX >= 0x030C0000
PyStopIterationObject* spare_stop = nullptr;

void drop_stop_value() {
  if (spare_stop != nullptr && spare_stop->value != nullptr && Py_REFCNT(spare_stop) == 1) {
    Py_CLEAR(spare_stop->value);
  }
}

void raise_stop(PyObject* value) {
  if (spare_stop == nullptr || Py_REFCNT(spare_stop) != 1) {
    PyObject* made = PyObject_CallNoArgs(PyExc_StopIteration);
    if (made == nullptr) return;
    Py_XDECREF(std::exchange(spare_stop, reinterpret_cast<PyStopIterationObject*>(made)));
  }
  PyStopIterationObject* stop = spare_stop;
  PyObject* const old[] = {
      std::exchange(stop->value, Py_NewRef(value)), std::exchange(stop->traceback, nullptr),
      std::exchange(stop->context, nullptr),        std::exchange(stop->cause, nullptr),
      std::exchange(stop->notes, nullptr),          std::exchange(stop->dict, nullptr)};
  PyErr_SetRaisedException(Py_NewRef(reinterpret_cast<PyObject*>(stop)));
  for (PyObject* part : old) Py_XDECREF(part);
}

PyObject* awaitable_next(PyObject* object) {
  PyObject* result;
  const PySendResult step = awaitable_send(object, Py_None, &result);
  if (step != PYGEN_RETURN) return result;
  if (result != Py_None) raise_stop(result);  // without an error the value is None
  Py_DECREF(result);
  return nullptr;
}
#else
void drop_stop_value() {}

PyObject* awaitable_next(PyObject* object) { return awaitable_send_method(object, Py_None); }
#endif

PyObject* awaitable_self(PyObject* object) { return Py_NewRef(object); }

// Raises what throw(type, value=None, traceback=None) was given.
void raise_thrown(PyObject* args) {
  PyObject *type, *value = nullptr, *traceback = nullptr;
  if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback)) return;
  if (PyExceptionInstance_Check(type)) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(type)), type);
  } else if (PyExceptionClass_Check(type)) {
    PyErr_SetObject(type, value);
  } else {
    PyErr_SetString(PyExc_TypeError, "exceptions must be classes or instances of BaseException");
  }
}

PySendResult throw_into(Awaitable* self, PyObject* args, PyObject** result) {
  if (self->stage == Stage::kNew) {
    raise_thrown(args);
    finish_call(self);
    return PYGEN_ERROR;
  }
  const bool loading = self->stage == Stage::kLoading;
  PyObject* yielded = nullptr;
  if (!loading || self->call->enter()) {
    PyObject* delegate = Py_NewRef(self->delegate);
    PyObject* method = PyObject_GetAttrString(delegate, "throw");
    if (method != nullptr) {
      yielded = PyObject_CallObject(method, args);
      Py_DECREF(method);
    } else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
      PyErr_Clear();
      raise_thrown(args);
    }
    Py_DECREF(delegate);
  }
  if (yielded != nullptr) {
    if (loading) self->call->leave();
    *result = yielded;
    return PYGEN_NEXT;
  }
  PyObject* returned = nullptr;
  if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    returned = PyObject_GetAttrString(value, "value");
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
  }
  const Begun begun = delegate_ended(self, returned, result);
  if (begun == Begun::kDelegated) return drive(self, Py_None, result);
  finish_call(self);
  return begun == Begun::kValue ? PYGEN_RETURN : PYGEN_ERROR;
}

PyObject* awaitable_throw(PyObject* object, PyObject* args) {
  Awaitable* self = as_awaitable(object);
  if (!may_run(self)) return nullptr;
  PyObject* result = nullptr;
  Py_INCREF(object);
  self->running = true;
  PySendResult step = PYGEN_ERROR;
  try {
    step = throw_into(self, args, &result);
  } catch (const std::exception&) {
    translate_exception();
    finish_call(self);
  }
  self->running = false;
  Py_DECREF(object);
  return as_iteration(step, result);
}

// False with the error if the delegate would not end.
bool close_delegate(Awaitable* self) {
  if (self->delegate == nullptr) return true;
  const bool loading = self->stage == Stage::kLoading;
  if (loading && !self->call->enter()) return false;
  PyObject* delegate = Py_NewRef(self->delegate);
  PyObject* closed = PyObject_CallMethod(delegate, "close", nullptr);
  if (closed == nullptr && PyErr_ExceptionMatches(PyExc_AttributeError)) {
    PyErr_Clear();  // an iterator without close()
    closed = Py_NewRef(Py_None);
  }
  Py_DECREF(delegate);
  if (loading) self->call->leave();
  Py_XDECREF(closed);
  return closed != nullptr;
}

PyObject* awaitable_close(PyObject* object, PyObject*) {
  Awaitable* self = as_awaitable(object);
  if (self->running) {
    PyErr_SetString(PyExc_ValueError, "the coroutine of a cached function is already running");
    return nullptr;
  }
  if (self->stage == Stage::kDone) Py_RETURN_NONE;
  self->running = true;
  const bool closed = close_delegate(self);
  finish_call(self);
  self->running = false;
  if (!closed) return nullptr;
  Py_RETURN_NONE;
}

void awaitable_finalize(PyObject* object) {
  Awaitable* self = as_awaitable(object);
  self->finalized = true;
  if (self->stage == Stage::kDone) return;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (self->stage != Stage::kNew && !close_delegate(self)) PyErr_WriteUnraisable(object);
  finish_call(self);
  PyErr_Restore(type, value, traceback);
}

int awaitable_traverse(PyObject* object, visitproc visit, void* arg) {
  Awaitable* self = as_awaitable(object);
  Py_VISIT(self->callable);
  if (self->call != nullptr) Py_VISIT(self->callable);  // the call's own reference
  Py_VISIT(self->delegate);
  Py_VISIT(self->outcome);
  Py_VISIT(self->kwnames);
  const Py_ssize_t total =
      self->count + (self->kwnames == nullptr ? 0 : PyTuple_GET_SIZE(self->kwnames));
  for (Py_ssize_t index = 0; self->args != nullptr && index < total; ++index) {
    Py_VISIT(self->args[index]);
  }
  return 0;
}

int awaitable_clear(PyObject* object) {
  finish_call(as_awaitable(object));
  Py_CLEAR(as_awaitable(object)->callable);
  return 0;
}

// False after a hit.
bool holds_anything(const Awaitable* self) {
  return self->call != nullptr || self->delegate != nullptr || self->args != nullptr;
}

void awaitable_dealloc(PyObject* object) {
  Awaitable* self = as_awaitable(object);
  if (self->stage != Stage::kDone && PyObject_CallFinalizerFromDealloc(object) < 0) return;
  Py_SET_REFCNT(object, 1);  // the collector may run in what follows
  if (self->weakrefs != nullptr) PyObject_ClearWeakRefs(object);
  if (holds_anything(self)) finish_call(self);
  Py_CLEAR(self->callable);
  drop_stop_value();
  // One that was finalised carries the collector's mark of it, and would not be a second time.
  if (!self->finalized && spare_count < kMostSpare) {
    spares[spare_count++] = self;
  } else {
    PyObject_GC_UnTrack(object);
    PyObject_GC_Del(object);
  }
}

// Tracked by the collector.
Awaitable* allocate() {
  while (spare_count != 0) {
    Awaitable* spare = spares[--spare_count];
    if (Py_REFCNT(spare) == 1) return spare;
    Py_DECREF(spare);  // somebody found it through the collector
  }
  Awaitable* self = PyObject_GC_New(Awaitable, &awaitable_type);
  if (self == nullptr) return nullptr;
  self->weakrefs = nullptr;
  self->callable = nullptr;
  self->args = nullptr;
  self->count = 0;
  self->kwnames = nullptr;
  self->call = nullptr;
  self->delegate = nullptr;
  self->outcome = nullptr;
  self->running = false;
  self->finalized = false;
  self->stage = Stage::kDone;
  PyObject_GC_Track(reinterpret_cast<PyObject*>(self));
  return self;
}

// Where `total` arguments are kept; nullptr with the error set.
PyObject** room_for(Awaitable* self, Py_ssize_t total) {
  if (total <= kFewArguments) return self->few;
  auto* room =
      static_cast<PyObject**>(PyMem_Malloc(static_cast<size_t>(total) * sizeof(PyObject*)));
  if (room == nullptr) PyErr_NoMemory();
  return room;
}

// asyncio is not imported before somebody calls async functions.
bool import_waiter() {
  PyObject* module = PyImport_ImportModule("zoocache._aio");
  if (module == nullptr) return false;
  make_waiter = PyObject_GetAttrString(module, "make_waiter");
  if (make_waiter != nullptr) run_job = PyObject_GetAttrString(module, "run_job");
  Py_DECREF(module);
  return run_job != nullptr;
}

PyMethodDef awaitable_methods[] = {{"send", awaitable_send_method, METH_O, nullptr},
                                   {"throw", awaitable_throw, METH_VARARGS, nullptr},
                                   {"close", awaitable_close, METH_NOARGS, nullptr},
                                   {nullptr, nullptr, 0, nullptr}};

PyAsyncMethods awaitable_async = {awaitable_self, nullptr, nullptr, awaitable_send};

// As coroutines have them: asyncio shows tasks by `__qualname__`.
PyObject* awaitable_name(PyObject* object, void* qualified) {
  auto* callable = reinterpret_cast<PyObject*>(as_awaitable(object)->callable);
  return PyObject_GetAttrString(callable == nullptr ? Py_None : callable,
                                qualified == nullptr ? "__name__" : "__qualname__");
}

PyGetSetDef awaitable_getset[] = {
    {"__name__", awaitable_name, nullptr, nullptr, nullptr},
    {"__qualname__", awaitable_name, nullptr, nullptr, &awaitable_type},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

}  // namespace

bool is_awaitable_of_call(PyObject* object) { return Py_TYPE(object) == &awaitable_type; }

int init_awaitable(PyObject*) {
  awaitable_type.tp_name = "zoocache._zoocache.CachedAwaitable";
  awaitable_type.tp_basicsize = sizeof(Awaitable);
  awaitable_type.tp_flags =
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  awaitable_type.tp_dealloc = awaitable_dealloc;
  awaitable_type.tp_finalize = awaitable_finalize;
  awaitable_type.tp_traverse = awaitable_traverse;
  awaitable_type.tp_clear = awaitable_clear;
  awaitable_type.tp_iternext = awaitable_next;
  awaitable_type.tp_as_async = &awaitable_async;
  awaitable_type.tp_methods = awaitable_methods;
  awaitable_type.tp_getset = awaitable_getset;
  awaitable_type.tp_weaklistoffset = offsetof(Awaitable, weakrefs);
  return PyType_Ready(&awaitable_type);
}

PyObject* new_awaitable(CachedFunction* callable, PyObject* const* args, size_t nargsf,
                        PyObject* kwnames, CallKind kind) {
  if (run_job == nullptr && !import_waiter()) return nullptr;
  Awaitable* self = allocate();
  if (self == nullptr) return nullptr;
  auto* object = reinterpret_cast<PyObject*>(self);
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf);
  const Py_ssize_t total = count + (kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames));
  self->callable =
      reinterpret_cast<CachedFunction*>(Py_NewRef(reinterpret_cast<PyObject*>(callable)));
  self->stage = Stage::kNew;
  self->kind = kind;
  self->alone = false;
  if (total > 0) {
    PyObject** room = room_for(self, total);
    if (room == nullptr) {
      Py_DECREF(object);
      return nullptr;
    }
    for (Py_ssize_t index = 0; index < total; ++index) room[index] = Py_NewRef(args[index]);
    self->args = room;
    self->count = count;
    self->kwnames = Py_XNewRef(kwnames);
  }
  return object;
}

}  // namespace zoocache::python
