#include "python/errors.h"

namespace zoocache::python {

PyObject* invalid_tag_type = nullptr;
PyObject* invalid_option_type = nullptr;
PyObject* flight_timeout_type = nullptr;
PyObject* storage_is_full_type = nullptr;
PyObject* home_unreachable_type = nullptr;
PyObject* serialization_error_type = nullptr;

int init_errors() {
  PyObject* module = PyImport_ImportModule("zoocache._errors");
  if (module == nullptr) return -1;
  const struct {
    const char* name;
    PyObject** type;
  } wanted[] = {{"InvalidTag", &invalid_tag_type},
                {"InvalidOption", &invalid_option_type},
                {"FlightTimeout", &flight_timeout_type},
                {"StorageIsFull", &storage_is_full_type},
                {"HomeUnreachable", &home_unreachable_type},
                {"SerializationError", &serialization_error_type}};
  for (const auto& one : wanted) {
    *one.type = PyObject_GetAttrString(module, one.name);
    if (*one.type == nullptr) {
      Py_DECREF(module);
      return -1;
    }
  }
  Py_DECREF(module);
  return 0;
}

void translate_exception() {
  try {
    throw;
  } catch (const InvalidTag& error) {
    PyErr_SetString(invalid_tag_type, error.what());
  } catch (const InvalidOption& error) {
    PyErr_SetString(invalid_option_type, error.what());
  } catch (const HomeUnreachable& error) {
    PyErr_SetString(home_unreachable_type, error.what());
  } catch (const SerializationError& error) {
    PyErr_SetString(serialization_error_type, error.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
}

// A new reference to the raised exception, which is cleared.
PyObject* take_error() {
#if PY_VERSION_HEX >= 0x030C0000
  return PyErr_GetRaisedException();
#else
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
#endif
}

// Steals the reference.
void put_error(PyObject* error) {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(error);
#else
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(error))), error,
                PyException_GetTraceback(error));
#endif
}

namespace {

// A class that makes its message anew from what it is given turns "x (3)" into "x (3) (3)".
bool has_args_of(PyObject* copy, PyObject* error) {
  PyObject* left = PyObject_GetAttrString(copy, "args");
  PyObject* right = left == nullptr ? nullptr : PyObject_GetAttrString(error, "args");
  bool same = right != nullptr && PyTuple_CheckExact(left) && PyTuple_CheckExact(right) &&
              PyTuple_GET_SIZE(left) == PyTuple_GET_SIZE(right);
  for (Py_ssize_t index = 0; same && index < PyTuple_GET_SIZE(left); ++index) {
    same = PyTuple_GET_ITEM(left, index) == PyTuple_GET_ITEM(right, index);
  }
  Py_XDECREF(right);
  Py_XDECREF(left);
  return same;
}

}  // namespace

PyObject* copy_of_error(PyObject* error) {
  PyObject* module = PyImport_ImportModule("copy");
  PyObject* copy = module == nullptr ? nullptr : PyObject_CallMethod(module, "copy", "O", error);
  Py_XDECREF(module);
  if (copy != nullptr && copy != error && Py_TYPE(copy) == Py_TYPE(error) &&
      has_args_of(copy, error)) {
    return copy;
  }
  PyErr_Clear();
  Py_XDECREF(copy);
  return nullptr;
}

void raise_shared(PyObject* error) {
  PyObject* copy = copy_of_error(error);
  if (copy == nullptr) {
    put_error(Py_NewRef(error));
    return;
  }
  PyException_SetCause(copy, Py_NewRef(error));
  put_error(copy);
}

}  // namespace zoocache::python
