// Keys: when two arguments are the same argument.
//
// Promises: equality is type-strict (1, 1.0 and True are three), through tuples and every container
// that is frozen here; two arguments that a function could tell apart by type, value or order are
// never one key. Hashable objects of unknown types are compared by exact type and `==`.
//
// An *item* is what is stored and compared for one argument: the argument itself when it is plain,
// else a private frozen copy (frozen.h) that no argument can equal:
//
//   7, "a", (1, "b"), an object with a hash     -> itself
//   [1, {2}], a dataclass, ndarray, datetime    -> Frozen(type, items...)
//
// Demands: the GIL; `init_keys` returned 0 before anything else is used. Functions that may run
// user code say so; the caller holds references to what it passes while they run.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <cstdint>
#include <cstring>

#include "core/hash.h"

namespace zoocache::python {

// Containers nested deeper than this are refused with a TypeError.
inline constexpr int kMaxKeyDepth = 200;
// One argument with more items than this, counted through all levels, is refused too: lists that
// share their parts are small objects but can have more items than memory holds.
inline constexpr Py_ssize_t kMaxKeyItems = Py_ssize_t{1} << 22;

// Readies the types and draws the seed. 0, or -1 with a Python error.
int init_keys();

// Mixed into every hash, so that nobody outside can choose arguments that collide.
extern uint64_t key_seed;

// Told apart by the hash, so that 1, 1.0, True and "1" do not share one chain.
enum class ItemKind : uint64_t {
  kInt = 0x9E3779B97F4A7C15U,
  kStr = 0xC2B2AE3D27D4EB4FU,
  kBytes = 0x165667B19E3779F9U,
  kBool = 0xD6E8FEB86659FD93U,
  kFloat = 0xA0761D6478BD642FU,
  kComplex = 0xE7037ED1A0B428DBU,
  kTuple = 0x8EBC6AF09C88C6E3U,
  kFrozen = 0x589965CC75374CC3U,
  kObject = 0x1D8E4E27C47D124FU,
};

inline uint64_t mix(uint64_t value, ItemKind kind) {
  return core::fold_multiply(value ^ static_cast<uint64_t>(kind), key_seed);
}

// Appends one item's hash to a running hash; order matters.
inline uint64_t combine(uint64_t hash, uint64_t item_hash) {
  return core::fold_multiply(hash ^ item_hash, key_seed ^ 0x9FB21C651E98DF25U);
}

bool small_int_other(PyObject* item, int64_t* value);

// Whether `item` is exactly an int that fits 64 bits, and its value. Allocates nothing.
inline bool small_int(PyObject* item, int64_t* value) {
  if (!PyLong_CheckExact(item)) return false;
  auto* number = reinterpret_cast<PyLongObject*>(item);
#if PY_VERSION_HEX >= 0x030C0000
  if (PyUnstable_Long_IsCompact(number)) [[likely]] {
    *value = PyUnstable_Long_CompactValue(number);
    return true;
  }
#else
  const Py_ssize_t digits = Py_SIZE(number);  // its sign is the number's
  if (digits == 1 || digits == -1) [[likely]] {
    *value = digits * static_cast<int64_t>(number->ob_digit[0]);
    return true;
  }
  if (digits == 0) {
    *value = 0;
    return true;
  }
#endif
  return small_int_other(item, value);
}

bool is_plain_other(PyObject* arg);

// Whether `arg` is an item as it is. Runs no user code. False also for what has not been classified
// yet: `freeze` then returns the argument itself.
inline bool is_plain(PyObject* arg) {
  const PyTypeObject* type = Py_TYPE(arg);
  if (type == &PyLong_Type || type == &PyUnicode_Type) [[likely]]
    return true;
  if (arg == Py_None || type == &PyBool_Type || type == &PyFloat_Type || type == &PyBytes_Type) {
    return true;
  }
  return is_plain_other(arg);
}

// New reference to the item for `arg`, which is `arg` when it is plain. nullptr with the error that
// user code raised, or with a TypeError that names the parameter `what` (a str; nullptr for what
// `key=` returned) and the remedy. May run user code.
PyObject* freeze(PyObject* arg, PyObject* what);

int hash_other(PyObject* item, uint64_t* hash);

// Hash of an int that fits 64 bits or of a str that knows its own; false for other items. Runs no
// user code.
inline bool hash_ordinary(PyObject* item, uint64_t* hash) {
  int64_t value;
  if (small_int(item, &value)) {
    *hash = mix(static_cast<uint64_t>(value), ItemKind::kInt);
    return true;
  }
  if (PyUnicode_CheckExact(item)) {
    const Py_hash_t known = reinterpret_cast<PyASCIIObject*>(item)->hash;
    if (known != -1) [[likely]] {
      *hash = mix(static_cast<uint64_t>(known), ItemKind::kStr);
      return true;
    }
  }
  return false;
}

// Hash of an item, well mixed. 0, or -1 with the error that a __hash__ raised. Runs user code only
// for objects of user types.
inline int hash_item(PyObject* item, uint64_t* hash) {
  return hash_ordinary(item, hash) ? 0 : hash_other(item, hash);
}

// REQUIRES: two exact strs.
inline bool str_equal(PyObject* left, PyObject* right) {
  if (left == right) return true;
#if PY_VERSION_HEX < 0x030C0000
  if (!PyUnicode_IS_READY(left) || !PyUnicode_IS_READY(right)) {
    return PyUnicode_Compare(left, right) == 0;
  }
#endif
  const Py_ssize_t length = PyUnicode_GET_LENGTH(left);
  const auto kind = PyUnicode_KIND(left);
  if (PyUnicode_GET_LENGTH(right) != length || PyUnicode_KIND(right) != kind) return false;
  return std::memcmp(PyUnicode_DATA(left), PyUnicode_DATA(right),
                     static_cast<size_t>(length) * static_cast<size_t>(kind)) == 0;
}

int match_other(PyObject* stored, PyObject* item);

// Whether two items are the same argument: 1, 0, or -1 with the error that an __eq__ raised. Runs
// user code only for objects of user types (match_is_simple tells beforehand), and keeps `stored`
// and `item` alive meanwhile.
inline int match_item(PyObject* stored, PyObject* item) {
  if (stored == item) return 1;
  const PyTypeObject* type = Py_TYPE(item);
  if (Py_TYPE(stored) != type) return 0;
  if (type == &PyLong_Type) {
    int64_t left;
    int64_t right;
    if (small_int(stored, &left) && small_int(item, &right)) return left == right;
  } else if (type == &PyUnicode_Type) {
    return str_equal(stored, item);
  }
  return match_other(stored, item);
}

bool match_is_simple_other(PyObject* item);

// Whether neither hash_item of this item nor match_item with it on either side runs user code.
inline bool match_is_simple(PyObject* item) {
  const PyTypeObject* type = Py_TYPE(item);
  if (type == &PyLong_Type || type == &PyUnicode_Type) [[likely]]
    return true;
  return match_is_simple_other(item);
}

}  // namespace zoocache::python
