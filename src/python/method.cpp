#include "python/method.h"
#include "python/static_type.h"

#include <vector>

namespace zoocache::python {
namespace {

struct Method {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* function;  // strong, a CachedFunction
  PyObject* instance;  // strong
};

PyTypeObject method_type = static_type();

Method* as_method(PyObject* object) { return reinterpret_cast<Method*>(object); }

using Target = PyObject* (*)(CachedFunction*, PyObject* const*, size_t, PyObject*);

PyObject* call_function(CachedFunction* function, PyObject* const* args, size_t nargsf,
                        PyObject* kwnames) {
  return function->vectorcall(reinterpret_cast<PyObject*>(function), args, nargsf, kwnames);
}

// Calls `target` with the instance before the arguments; in place where the caller left room.
PyObject* with_instance(Method* self, Target target, PyObject* const* args, size_t nargsf,
                        PyObject* kwnames) {
  auto* function = reinterpret_cast<CachedFunction*>(self->function);
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf);
  if ((nargsf & PY_VECTORCALL_ARGUMENTS_OFFSET) != 0) {
    PyObject** room = const_cast<PyObject**>(args) - 1;
    PyObject* saved = *room;
    *room = self->instance;
    PyObject* result = target(function, room, static_cast<size_t>(count + 1), kwnames);
    *room = saved;
    return result;
  }
  const Py_ssize_t total = count + (kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames));
  auto** all =
      static_cast<PyObject**>(PyMem_Malloc(static_cast<size_t>(total + 1) * sizeof(PyObject*)));
  if (all == nullptr) return PyErr_NoMemory();
  all[0] = self->instance;
  for (Py_ssize_t index = 0; index < total; ++index) all[index + 1] = args[index];
  PyObject* result = target(function, all, static_cast<size_t>(count + 1), kwnames);
  PyMem_Free(all);
  return result;
}

PyObject* method_call(PyObject* object, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  return with_instance(as_method(object), call_function, args, nargsf, kwnames);
}

template <Target target>
PyObject* bound_method(PyObject* object, PyObject* const* args, Py_ssize_t count,
                       PyObject* kwnames) {
  return with_instance(as_method(object), target, args, static_cast<size_t>(count), kwnames);
}

// What a bound method does not have itself, its function has: __name__, __doc__, cache_info …
PyObject* method_getattro(PyObject* object, PyObject* name) {
  PyObject* found = PyObject_GenericGetAttr(object, name);
  if (found != nullptr || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
  PyErr_Clear();
  return PyObject_GetAttr(as_method(object)->function, name);
}

PyObject* method_doc(PyObject* object, void*) {
  return PyObject_GetAttrString(as_method(object)->function, "__doc__");
}
PyObject* method_function(PyObject* object, void*) {
  return Py_NewRef(as_method(object)->function);
}
PyObject* method_instance(PyObject* object, void*) {
  return Py_NewRef(as_method(object)->instance);
}

PyObject* method_compare(PyObject* left, PyObject* right, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(right) != &method_type) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  const bool equal = as_method(left)->function == as_method(right)->function &&
                     as_method(left)->instance == as_method(right)->instance;
  return PyBool_FromLong(equal == (operation == Py_EQ));
}

Py_hash_t method_hash(PyObject* object) {
  const auto mixed = (reinterpret_cast<std::uintptr_t>(as_method(object)->function) >> 4) * 31 +
                     (reinterpret_cast<std::uintptr_t>(as_method(object)->instance) >> 4);
  const auto hash = static_cast<Py_hash_t>(mixed);
  return hash == -1 ? -2 : hash;
}

PyObject* method_repr(PyObject* object) {
  return PyUnicode_FromFormat("<bound %R of %R>", as_method(object)->function,
                              as_method(object)->instance);
}

// getattr(instance, name), as bound methods pickle.
PyObject* method_reduce(PyObject* object, PyObject*) {
  PyObject* builtins = PyImport_ImportModule("builtins");
  PyObject* getattr = builtins == nullptr ? nullptr : PyObject_GetAttrString(builtins, "getattr");
  Py_XDECREF(builtins);
  PyObject* name = PyObject_GetAttrString(as_method(object)->function, "__name__");
  if (getattr == nullptr || name == nullptr) {
    Py_XDECREF(getattr);
    Py_XDECREF(name);
    return nullptr;
  }
  return Py_BuildValue("N(ON)", getattr, as_method(object)->instance, name);
}

int method_traverse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(as_method(object)->function);
  Py_VISIT(as_method(object)->instance);
  return 0;
}

int method_clear(PyObject* object) {
  Py_CLEAR(as_method(object)->function);
  Py_CLEAR(as_method(object)->instance);
  return 0;
}

void method_dealloc(PyObject* object) {
  PyObject_GC_UnTrack(object);
  method_clear(object);
  PyObject_GC_Del(object);
}

PyMethodDef method_methods[] = {
    {"invalidate", method_pointer(bound_method<callable_invalidate>), METH_FASTCALL | METH_KEYWORDS,
     kInvalidateCallDoc},
    {"refresh", method_pointer(bound_method<callable_refresh>), METH_FASTCALL | METH_KEYWORDS,
     kRefreshDoc},
    {"peek", method_pointer(bound_method<callable_peek>), METH_FASTCALL | METH_KEYWORDS, kPeekDoc},
    {"get_many", method_pointer(bound_method<method_get_many>), METH_FASTCALL | METH_KEYWORDS,
     kGetManyDoc},
    {"__reduce__", method_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

// For inspect.signature: the user's function, bound.
PyObject* method_wrapped(PyObject* object, void*) {
  auto* function = reinterpret_cast<CachedFunction*>(as_method(object)->function);
  if (function->wrapped == nullptr) Py_RETURN_NONE;
  return PyMethod_New(function->wrapped, as_method(object)->instance);
}

PyGetSetDef method_getset[] = {{"__wrapped__", method_wrapped, nullptr, nullptr, nullptr},
                               {"__doc__", method_doc, nullptr, nullptr, nullptr},
                               {"__func__", method_function, nullptr, nullptr, nullptr},
                               {"__self__", method_instance, nullptr, nullptr, nullptr},
                               {nullptr, nullptr, nullptr, nullptr, nullptr}};

}  // namespace

int init_method(PyObject*) {
  PyTypeObject& type = method_type;
  type.tp_name = "zoocache._zoocache.CachedMethod";
  type.tp_basicsize = sizeof(Method);
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                  Py_TPFLAGS_DISALLOW_INSTANTIATION;
  type.tp_vectorcall_offset = offsetof(Method, vectorcall);
  type.tp_call = PyVectorcall_Call;
  type.tp_dealloc = method_dealloc;
  type.tp_traverse = method_traverse;
  type.tp_clear = method_clear;
  type.tp_getattro = method_getattro;
  type.tp_richcompare = method_compare;
  type.tp_hash = method_hash;
  type.tp_repr = method_repr;
  type.tp_methods = method_methods;
  type.tp_getset = method_getset;
  return PyType_Ready(&type);
}

PyObject* new_method(CachedFunction* function, PyObject* instance) {
  auto* self = PyObject_GC_New(Method, &method_type);
  if (self == nullptr) return nullptr;
  self->vectorcall = method_call;
  self->function = Py_NewRef(reinterpret_cast<PyObject*>(function));
  self->instance = Py_NewRef(instance);
  PyObject_GC_Track(reinterpret_cast<PyObject*>(self));
  return reinterpret_cast<PyObject*>(self);
}

}  // namespace zoocache::python
