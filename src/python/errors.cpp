#include "python/errors.h"

namespace zoocache::python {

PyObject* invalid_tag_type = nullptr;
PyObject* invalid_option_type = nullptr;
PyObject* flight_timeout_type = nullptr;
PyObject* storage_is_full_type = nullptr;

int init_errors() {
  PyObject* module = PyImport_ImportModule("zoocache._errors");
  if (module == nullptr) return -1;
  const struct {
    const char* name;
    PyObject** type;
  } wanted[] = {{"InvalidTag", &invalid_tag_type},
                {"InvalidOption", &invalid_option_type},
                {"FlightTimeout", &flight_timeout_type},
                {"StorageIsFull", &storage_is_full_type}};
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
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
}

}  // namespace zoocache::python
