// An async follower as a flight knows it.
// Thread-safety: the GIL guards everything; `wake` may come from any thread that holds it.
#pragma once

#include <Python.h>

#include "core/flight.h"

namespace zoocache::python {

// A task that follows: `wake` tells its event loop.
class WaitingTask final : public core::Waiter {
 public:
  explicit WaitingTask(PyObject* wake) : wake_(wake) {}
  ~WaitingTask() override { Py_DECREF(wake_); }
  void wake() override {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject* done = PyObject_CallNoArgs(wake_);
    if (done == nullptr) PyErr_WriteUnraisable(wake_);
    Py_XDECREF(done);
    PyErr_Restore(type, value, traceback);
  }

 private:
  PyObject* wake_;  // strong
};

}  // namespace zoocache::python
