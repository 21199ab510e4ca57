// A Batch as zoocache/_many.py holds it.
#include <utility>

#include "python/batch.h"
#include "python/errors.h"
#include "python/static_type.h"

namespace zoocache::python {
namespace {

struct BatchObject {
  PyObject_HEAD Batch* batch;
};

PyTypeObject batch_type = static_type();

// Runs a step. C++ exceptions come from the engine, with no Python code under way.
template <class Step>
PyObject* run_step(PyObject* object, Step&& step) {
  try {
    return step(*reinterpret_cast<BatchObject*>(object)->batch);
  } catch (const std::exception&) {
    translate_exception();
    return nullptr;
  }
}

template <PyObject* (Batch::*step)()>
PyObject* plain_step(PyObject* object, PyObject*) {
  return run_step(object, [](Batch& batch) { return (batch.*step)(); });
}

PyObject* batch_begin(PyObject* object, PyObject* loads) {
  return run_step(object, [loads](Batch& batch) { return batch.begin(loads == Py_True); });
}

PyObject* batch_end(PyObject* object, PyObject* values) {
  return run_step(object, [values](Batch& batch) { return batch.end(values); });
}

PyObject* batch_set(PyObject* object, PyObject* pair) {
  return run_step(object, [pair](Batch& batch) { return batch.set(pair); });
}

// (function, instance or nothing in a tuple, tuple of items)
PyObject* batch_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *function, *head, *items;
  if (!PyArg_ParseTuple(args, "O!O!O!", &CachedFunctionType, &function, &PyTuple_Type, &head,
                        &PyTuple_Type, &items)) {
    return nullptr;
  }
  auto* self = reinterpret_cast<BatchObject*>(type->tp_alloc(type, 0));
  if (self == nullptr) return nullptr;
  PyObject* instance = PyTuple_GET_SIZE(head) == 0 ? nullptr : PyTuple_GET_ITEM(head, 0);
  const bool made = guarded([&] {
    self->batch = new Batch(reinterpret_cast<CachedFunction*>(function), instance, items);
  });
  if (made) return reinterpret_cast<PyObject*>(self);
  Py_DECREF(reinterpret_cast<PyObject*>(self));
  return nullptr;
}

void batch_dealloc(PyObject* object) {
  delete std::exchange(reinterpret_cast<BatchObject*>(object)->batch, nullptr);
  Py_TYPE(object)->tp_free(object);
}

PyMethodDef batch_methods[] = {{"arrive_job", plain_step<&Batch::arrive_job>, METH_NOARGS, nullptr},
                               {"begin", batch_begin, METH_O, nullptr},
                               {"take", plain_step<&Batch::take>, METH_NOARGS, nullptr},
                               {"start", plain_step<&Batch::start>, METH_NOARGS, nullptr},
                               {"enter", plain_step<&Batch::enter>, METH_NOARGS, nullptr},
                               {"leave", plain_step<&Batch::leave>, METH_NOARGS, nullptr},
                               {"end", batch_end, METH_O, nullptr},
                               {"failed", plain_step<&Batch::failed>, METH_NOARGS, nullptr},
                               {"finish_job", plain_step<&Batch::finish_job>, METH_NOARGS, nullptr},
                               {"note", plain_step<&Batch::note>, METH_NOARGS, nullptr},
                               {"aside", plain_step<&Batch::aside>, METH_NOARGS, nullptr},
                               {"set", batch_set, METH_VARARGS, nullptr},
                               {"values", plain_step<&Batch::values>, METH_NOARGS, nullptr},
                               {"drop_level", plain_step<&Batch::drop_level>, METH_NOARGS, nullptr},
                               {"close", plain_step<&Batch::close>, METH_NOARGS, nullptr},
                               {nullptr, nullptr, 0, nullptr}};

}  // namespace

int init_batch(PyObject* module) {
  batch_type.tp_name = "zoocache._zoocache.Batch";
  batch_type.tp_basicsize = sizeof(BatchObject);
  batch_type.tp_flags = Py_TPFLAGS_DEFAULT;
  batch_type.tp_new = batch_new;
  batch_type.tp_dealloc = batch_dealloc;
  batch_type.tp_methods = batch_methods;
  if (PyType_Ready(&batch_type) < 0) return -1;
  return PyModule_AddObjectRef(module, "Batch", reinterpret_cast<PyObject*>(&batch_type));
}

}  // namespace zoocache::python
