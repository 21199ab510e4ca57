#include "python/key.h"

#include "python/frozen.h"
#include "python/models.h"

namespace zoocache::python {
namespace {

uint64_t float_bits(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

int hash_object(PyObject* item, ItemKind kind, uint64_t* hash) {
  const Py_hash_t own = PyObject_Hash(item);
  if (own == -1) return -1;
  *hash = mix(static_cast<uint64_t>(own), kind);
  return 0;
}

int hash_tuple(PyObject* item, uint64_t* hash) {
  uint64_t sum = mix(static_cast<uint64_t>(PyTuple_GET_SIZE(item)), ItemKind::kTuple);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(item); ++i) {
    uint64_t item_hash;
    if (hash_item(PyTuple_GET_ITEM(item, i), &item_hash) < 0) return -1;
    sum = combine(sum, item_hash);
  }
  *hash = sum;
  return 0;
}

int match_tuple(PyObject* stored, PyObject* item) {
  const Py_ssize_t size = PyTuple_GET_SIZE(stored);
  if (PyTuple_GET_SIZE(item) != size) return 0;
  for (Py_ssize_t i = 0; i < size; ++i) {
    const int same = match_item(PyTuple_GET_ITEM(stored, i), PyTuple_GET_ITEM(item, i));
    if (same != 1) return same;
  }
  return 1;
}

int match_equal(PyObject* stored, PyObject* item) {
  PyObject* answer = PyObject_RichCompare(stored, item, Py_EQ);
  if (answer == nullptr) return -1;
  const int same = PyObject_IsTrue(answer);
  Py_DECREF(answer);
  return same;
}

// Objects that inherit object's own comparison are equal only to themselves.
bool compares_by_identity(const PyTypeObject* type) {
  return type->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

}  // namespace

uint64_t key_seed = 0;

int init_keys() {
  try {
    key_seed = core::hash_secret().second | 1;
  } catch (...) {
    PyErr_SetString(PyExc_OSError, "the system has no random numbers for the hash seed");
    return -1;
  }
  return PyType_Ready(&FrozenType);
}

bool small_int_other(PyObject* item, int64_t* value) {
  int overflow = 0;
  *value = PyLong_AsLongLongAndOverflow(item, &overflow);
  return overflow == 0;
}

int hash_other(PyObject* item, uint64_t* hash) {
  const PyTypeObject* type = Py_TYPE(item);
  if (type == &PyUnicode_Type) return hash_object(item, ItemKind::kStr, hash);
  if (type == &PyLong_Type) return hash_object(item, ItemKind::kInt, hash);
  if (type == &PyBytes_Type) return hash_object(item, ItemKind::kBytes, hash);
  if (type == &PyTuple_Type) return hash_tuple(item, hash);
  if (type == &FrozenType) return hash_frozen(reinterpret_cast<Frozen*>(item), hash);
  if (type == &PyBool_Type) {
    *hash = mix(item == Py_True, ItemKind::kBool);
    return 0;
  }
  if (type == &PyFloat_Type) {
    *hash = mix(float_bits(PyFloat_AS_DOUBLE(item)), ItemKind::kFloat);
    return 0;
  }
  if (type == &PyComplex_Type) {
    const Py_complex value = reinterpret_cast<PyComplexObject*>(item)->cval;
    *hash = combine(mix(float_bits(value.real), ItemKind::kComplex), float_bits(value.imag));
    return 0;
  }
  met_model = met_model || is_model(item);
  if (hash_object(item, ItemKind::kObject, hash) < 0) return -1;
  *hash = combine(*hash, reinterpret_cast<uintptr_t>(type));
  return 0;
}

int match_other(PyObject* stored, PyObject* item) {
  const PyTypeObject* type = Py_TYPE(item);
  if (type == &PyFloat_Type) {
    return float_bits(PyFloat_AS_DOUBLE(stored)) == float_bits(PyFloat_AS_DOUBLE(item));
  }
  if (type == &PyComplex_Type) {
    const Py_complex left = reinterpret_cast<PyComplexObject*>(stored)->cval;
    const Py_complex right = reinterpret_cast<PyComplexObject*>(item)->cval;
    return float_bits(left.real) == float_bits(right.real) &&
           float_bits(left.imag) == float_bits(right.imag);
  }
  if (compares_by_identity(type)) return 0;
  // What runs from here on may drop the caller's entry, and the items with it.
  Py_INCREF(stored);
  Py_INCREF(item);
  int same;
  if (type == &PyTuple_Type) {
    same = match_tuple(stored, item);
  } else if (type == &FrozenType) {
    same = match_frozen(reinterpret_cast<Frozen*>(stored), reinterpret_cast<Frozen*>(item));
  } else {
    same = match_equal(stored, item);
  }
  Py_DECREF(item);
  Py_DECREF(stored);
  return same;
}

bool match_is_simple_other(PyObject* item) {
  const PyTypeObject* type = Py_TYPE(item);
  if (item == Py_None || type == &PyBytes_Type || type == &PyFloat_Type || type == &PyBool_Type ||
      type == &PyComplex_Type) {
    return true;
  }
  if (compares_by_identity(type)) return type->tp_hash == PyBaseObject_Type.tp_hash;
  if (type == &FrozenType) return reinterpret_cast<Frozen*>(item)->simple;
  if (type != &PyTuple_Type) return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(item); ++i) {
    if (!match_is_simple(PyTuple_GET_ITEM(item, i))) return false;
  }
  return true;
}

}  // namespace zoocache::python
