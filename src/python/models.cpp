#include "python/models.h"

namespace zoocache::python {

PyObject* models = nullptr;
bool met_model = false;
PyTypeObject* portable_type = nullptr;

namespace {

PyObject* to_portable = nullptr;  // value -> a form, None if there is no need, False to refuse
PyObject* of_portable = nullptr;  // form -> value
PyObject* tell_inside = nullptr;  // (argument, is_keyed)

// (models, portable_type, to_portable, of_portable, tell_inside): from now on.
PyObject* watch_models(PyObject*, PyObject* args) {
  PyObject *types, *form, *make, *use, *tell;
  if (!PyArg_ParseTuple(args, "O!O!OOO", &PyDict_Type, &types, &PyType_Type, &form, &make, &use,
                        &tell)) {
    return nullptr;
  }
  Py_XSETREF(tell_inside, Py_NewRef(tell));
  Py_XSETREF(models, Py_NewRef(types));
  Py_XSETREF(to_portable, Py_NewRef(make));
  Py_XSETREF(of_portable, Py_NewRef(use));
  Py_INCREF(form);
  PyTypeObject* old = portable_type;
  portable_type = reinterpret_cast<PyTypeObject*>(form);
  Py_XDECREF(old);
  Py_RETURN_NONE;
}

PyMethodDef model_functions[] = {{"watch_models", watch_models, METH_VARARGS, nullptr},
                                 {nullptr, nullptr, 0, nullptr}};

// Values that hold no other object.
bool is_leaf(PyObject* value) {
  return value == Py_None || PyLong_CheckExact(value) || PyUnicode_CheckExact(value) ||
         PyBool_Check(value) || PyFloat_CheckExact(value) || PyBytes_CheckExact(value);
}

}  // namespace

bool is_model(PyObject* object) {
  if (models == nullptr) return false;
  return PyDict_GetItemWithError(models, reinterpret_cast<PyObject*>(Py_TYPE(object))) != nullptr;
}

Portable make_portable(PyObject* value, PyObject** form) {
  if (models == nullptr || is_leaf(value)) return Portable::kNeedless;
  PyObject* made = PyObject_CallOneArg(to_portable, value);
  if (made == nullptr) return Portable::kError;
  if (is_portable(made)) {
    *form = made;
    return Portable::kMade;
  }
  const bool refused = made == Py_False;
  Py_DECREF(made);
  return refused ? Portable::kRefused : Portable::kNeedless;
}

PyObject* make_of_portable(PyObject* form) { return PyObject_CallOneArg(of_portable, form); }

bool tell_of_model(PyObject* object, bool is_keyed) {
  auto* type = reinterpret_cast<PyObject*>(Py_TYPE(object));
  PyObject* told = PyDict_GetItemWithError(models, type);
  if (told == nullptr) return PyErr_Occurred() == nullptr;
  Py_INCREF(told);
  PyObject* answer =
      PyObject_CallFunctionObjArgs(told, object, is_keyed ? Py_True : Py_False, nullptr);
  Py_DECREF(told);
  Py_XDECREF(answer);
  return answer != nullptr;
}

bool tell_of_models_inside(PyObject* argument, bool is_keyed) {
  if (is_leaf(argument)) return true;
  PyObject* answer =
      PyObject_CallFunctionObjArgs(tell_inside, argument, is_keyed ? Py_True : Py_False, nullptr);
  Py_XDECREF(answer);
  return answer != nullptr;
}

int init_models(PyObject* module) { return PyModule_AddFunctions(module, model_functions); }

}  // namespace zoocache::python
