// Python's exceptions of this package, and how the engine's become them.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <exception>
#include <new>

#include "zoocache/errors.h"

namespace zoocache::python {

extern PyObject* invalid_tag_type;
extern PyObject* invalid_option_type;
extern PyObject* flight_timeout_type;
extern PyObject* storage_is_full_type;
extern PyObject* home_unreachable_type;
extern PyObject* serialization_error_type;

// Imports them from zoocache._errors. 0, or -1 with a Python error.
int init_errors();

// Sets the Python error for the C++ exception that is being handled.
// REQUIRES: called in a catch block, under which no Python code ran.
void translate_exception();

// The raised exception as a new reference; the error is cleared.
PyObject* take_error();
// Raises it; steals the reference.
void put_error(PyObject* error);
// A copy of an exception for another caller; nullptr without an error if it cannot be copied.
PyObject* copy_of_error(PyObject* error);
// Raises a copy of `error` whose __cause__ is the original (the original if it cannot be copied).
void raise_shared(PyObject* error);

// Runs engine code that runs no Python code. False with a Python error if it threw.
template <class Code>
bool guarded(Code&& code) {
  try {
    code();
    return true;
  } catch (const std::exception&) {
    // Not `...`: a thread that is unwound by force at interpreter exit must pass.
    translate_exception();
    return false;
  }
}

// The same without the GIL, for code that waits for other processes.
template <class Code>
bool guarded_without_gil(Code&& code) {
  std::exception_ptr error;
  PyThreadState* const saved = PyEval_SaveThread();
  try {
    code();
  } catch (const std::exception&) {
    error = std::current_exception();
  }
  PyEval_RestoreThread(saved);  // under no handler: at exit it may not return
  return error == nullptr || guarded([&error] { std::rethrow_exception(error); });
}

}  // namespace zoocache::python
