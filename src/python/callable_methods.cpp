// What a cached function does with one key besides being called: invalidate, refresh, peek.
#include "python/awaitable.h"
#include "python/call.h"
#include "python/callable.h"
#include "python/callable_options.h"
#include "python/errors.h"
#include "python/sync_call.h"

namespace zoocache::python {

namespace {

// `@classmethod` above `@cacheable` gives a plain method from 3.13 on, and
// `Class.load.invalidate(7)` then comes here without the class: it must not pass for the key of
// another call.
bool class_is_given(const CachedFunction* self, PyObject* const* args, size_t nargsf,
                    const char* method) {
#if PY_VERSION_HEX >= 0x030D0000
  const Signature& signature = *self->signature;
  const bool wants_class =
      signature.size() > 0 && !signature.has_instance() &&
      PyUnicode_CompareWithASCIIString(signature.parameters()[0].name, "cls") == 0;
  if (!wants_class || (PyVectorcall_NARGS(nargsf) > 0 && PyType_Check(args[0]))) return true;
  PyErr_Format(PyExc_TypeError,
               "%s(): %R takes a class first and got none; write @cacheable above @classmethod, or "
               "pass the class: Class.method.__func__.%s(Class, ...)",
               method, self->wrapped, method);
  return false;
#else
  static_cast<void>(self);
  static_cast<void>(args);
  static_cast<void>(nargsf);
  static_cast<void>(method);
  return true;
#endif
}

}  // namespace

PyObject* callable_invalidate(CachedFunction* self, PyObject* const* args, size_t nargsf,
                              PyObject* kwnames) {
  if (!class_is_given(self, args, nargsf, "invalidate")) return nullptr;
  Call* call = new Call(self, args, nargsf, kwnames);
  const BindResult bound = call->prepare();
  if (bound == kBadCall) {
    PyErr_Format(PyExc_TypeError, "invalidate(): the arguments do not fit %R", self->wrapped);
  } else if (bound == kBound) {
    static_cast<void>(call->invalidate_key(self->core->origins->current(0)));
  }
  delete call;
  if (PyErr_Occurred() != nullptr) return nullptr;
  Py_RETURN_NONE;
}

PyObject* callable_refresh(CachedFunction* self, PyObject* const* args, size_t nargsf,
                           PyObject* kwnames) {
  if (!class_is_given(self, args, nargsf, "refresh")) return nullptr;
  if (self->options->is_async)
    return new_awaitable(self, args, nargsf, kwnames, CallKind::kRefresh);
  return call_slow(self, args, nargsf, kwnames, true);
}

PyObject* callable_reload(CachedFunction* self, PyObject* const* args, size_t nargsf,
                          PyObject* kwnames) {
  if (self->options->is_async) {
    return new_awaitable(self, args, nargsf, kwnames, CallKind::kReload);
  }
  Call* call = new Call(self, args, nargsf, kwnames);
  call->detach();
  PyObject* result = nullptr;
  if (call->prepare() == kBound) {
    try {
      result = run_detached(*call);
    } catch (const std::exception&) {
      translate_exception();
      if (call->leads()) call->abandon();
    }
  }
  call->end_detached();
  delete call;
  return result;
}

PyObject* callable_peek(CachedFunction* self, PyObject* const* args, size_t nargsf,
                        PyObject* kwnames) {
  if (!class_is_given(self, args, nargsf, "peek")) return nullptr;
  // `default=` is peek's own unless the function has a parameter of that name.
  PyObject* fallback = Py_None;
  PyObject* names = nullptr;
  std::vector<PyObject*> rest;
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf);
  if (kwnames != nullptr && !signature_has(*self->signature, "default")) {
    names = PyList_New(0);
    if (names == nullptr) return nullptr;
    rest.assign(args, args + count);
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(kwnames); ++index) {
      PyObject* name = PyTuple_GET_ITEM(kwnames, index);
      if (PyUnicode_CompareWithASCIIString(name, "default") == 0) {
        fallback = args[count + index];
        continue;
      }
      if (PyList_Append(names, name) < 0) {
        Py_DECREF(names);
        return nullptr;
      }
      rest.push_back(args[count + index]);
    }
    PyObject* tuple = PyList_AsTuple(names);
    Py_DECREF(names);
    if (tuple == nullptr) return nullptr;
    names = tuple;
  }
  Call* call = names == nullptr ? new Call(self, args, nargsf, kwnames)
                                : new Call(self, rest.data(), static_cast<size_t>(count), names);
  const BindResult bound = call->prepare();
  PyObject* value = nullptr;
  if (bound == kBadCall) {
    PyErr_Format(PyExc_TypeError, "peek(): the arguments do not fit %R", self->wrapped);
  } else if (bound == kBound) {
    value = call->peek(fallback);
  }
  delete call;
  Py_XDECREF(names);
  return value;
}

PyObject* get_many(CachedFunction* self, PyObject* const* args, size_t nargsf, PyObject* kwnames,
                   bool of_instance) {
  if (!class_is_given(self, args, nargsf, "get_many")) return nullptr;
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf);
  const Py_ssize_t named = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  const bool has_head = of_instance || (count == 2 && self->signature->has_instance());
  const bool fits =
      count == (has_head ? 2 : 1) && named <= 1 &&
      (named == 0 || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "load") == 0);
  if (!fits) {
    PyErr_SetString(PyExc_TypeError,
                    "get_many() takes the items, any iterable, and load= by its name");
    return nullptr;
  }
  PyObject* head = has_head ? PyTuple_Pack(1, args[0]) : PyTuple_New(0);
  PyObject* module = head == nullptr ? nullptr : PyImport_ImportModule("zoocache._many");
  PyObject* driver = nullptr;
  if (module != nullptr) {
    driver =
        PyObject_GetAttrString(module, self->options->is_async ? "get_many_async" : "get_many");
  }
  PyObject* result = nullptr;
  if (driver != nullptr) {
    PyObject* load = named == 0 ? Py_None : args[count];
    result = PyObject_CallFunctionObjArgs(driver, reinterpret_cast<PyObject*>(self), head,
                                          args[count - 1], load, nullptr);
  }
  Py_XDECREF(driver);
  Py_XDECREF(module);
  Py_XDECREF(head);
  return result;
}

}  // namespace zoocache::python
