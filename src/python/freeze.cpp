// freeze and is_plain: which arguments are items as they are, and the frozen copy of the others.
//
// Exact tuples and the exact builtin containers are taken apart here. How every other type is
// keyed is asked of zoocache._freeze.classify once per type and remembered by the type's version,
// which changes when its attributes do.
#include <Python.h>

#include <array>
#include <cstdarg>

#include "python/frozen.h"
#include "python/key.h"

namespace zoocache::python {
namespace {

enum class TypeRule : uint8_t { kUnknown, kPlain, kParts, kUnkeyable };

struct TypeSlot {
  const PyTypeObject* type;  // not owned: a version is never given to a second type
  unsigned int version;
  TypeRule rule;
  PyObject* parts;  // strong; a callable that returns a tuple of the parts, for kParts
};

// A direct-mapped cache: a collision costs one more question, nothing else.
std::array<TypeSlot, 512> type_slots;

TypeSlot& slot_of(const PyTypeObject* type) {
  const auto address = reinterpret_cast<uintptr_t>(type);
  return type_slots[((address >> 4) ^ (address >> 13)) % type_slots.size()];
}

// 0 when the type has no valid version now.
unsigned int version_of(const PyTypeObject* type) {
#if PY_VERSION_HEX < 0x030D0000
  if ((type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG) == 0) return 0;
#endif
  return type->tp_version_tag;
}

TypeRule known_rule(const PyTypeObject* type) {
  const TypeSlot& slot = slot_of(type);
  if (slot.type != type || slot.version == 0 || slot.version != version_of(type)) {
    return TypeRule::kUnknown;
  }
  return slot.rule;
}

// Asks Python. New reference to the callable in `parts` for kParts; kUnknown with an error set.
TypeRule ask_rule(PyTypeObject* type, PyObject** parts) {
  static PyObject* classify = nullptr;
  static PyObject* hook_name = nullptr;
  if (classify == nullptr) {
    PyObject* module = PyImport_ImportModule("zoocache._freeze");
    if (module == nullptr) return TypeRule::kUnknown;
    PyObject* found = PyObject_GetAttrString(module, "classify");
    Py_DECREF(module);
    if (found == nullptr) return TypeRule::kUnknown;
    Py_XSETREF(classify, found);
  }
  if (hook_name == nullptr) hook_name = PyUnicode_InternFromString("__zoocache_key__");
  if (hook_name == nullptr) return TypeRule::kUnknown;
  _PyType_Lookup(type, hook_name);  // gives the type a version if it has none
  const unsigned int version = version_of(type);
  PyObject* answer = PyObject_CallOneArg(classify, reinterpret_cast<PyObject*>(type));
  if (answer == nullptr) return TypeRule::kUnknown;
  const TypeRule rule = answer == Py_None    ? TypeRule::kPlain
                        : answer == Py_False ? TypeRule::kUnkeyable
                                             : TypeRule::kParts;
  *parts = nullptr;
  if (rule == TypeRule::kParts) {
    *parts = answer;
    Py_INCREF(answer);
  }
  // The version was read before asking: a change meanwhile makes this slot a miss, not a lie.
  TypeSlot& slot = slot_of(type);
  PyObject* replaced = slot.parts;
  slot = {type, version, rule, rule == TypeRule::kParts ? answer : nullptr};
  if (rule != TypeRule::kParts) Py_DECREF(answer);
  Py_XDECREF(replaced);
  return rule;
}

TypeRule rule_of(PyTypeObject* type, PyObject** parts) {
  const TypeRule rule = known_rule(type);
  if (rule == TypeRule::kUnknown) return ask_rule(type, parts);
  *parts = slot_of(type).parts;
  Py_XINCREF(*parts);
  return rule;
}

// Exact types whose instances are items and hold no others.
bool is_plain_leaf(PyObject* arg) {
  const PyTypeObject* type = Py_TYPE(arg);
  return type == &PyLong_Type || type == &PyUnicode_Type || arg == Py_None ||
         type == &PyBool_Type || type == &PyFloat_Type || type == &PyBytes_Type ||
         type == &PyComplex_Type || type == &PyType_Type || type == &PyFunction_Type ||
         type == &PyCFunction_Type || arg == Py_Ellipsis || arg == Py_NotImplemented;
}

// Both bounds keep a hit cheap: what is beyond them goes to `freeze`, which decides and reports.
bool is_plain_at(PyObject* arg, int depth, int* items_left) {
  if (is_plain_leaf(arg)) return true;
  if (!PyTuple_CheckExact(arg)) return known_rule(Py_TYPE(arg)) == TypeRule::kPlain;
  const Py_ssize_t size = PyTuple_GET_SIZE(arg);
  if (depth == 0 || size > *items_left) return false;
  *items_left -= static_cast<int>(size);
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (!is_plain_at(PyTuple_GET_ITEM(arg, i), depth - 1, items_left)) return false;
  }
  return true;
}

// The walk over one argument.
class Freezer {
 public:
  explicit Freezer(PyObject* what) : what_(what) {}

  PyObject* freeze(PyObject* arg, int depth) {
    if (is_plain_leaf(arg)) return Py_NewRef(arg);
    if (depth > kMaxKeyDepth) {
      return refuse("it is nested more than %d levels deep, or contains itself", kMaxKeyDepth);
    }
    if (PyTuple_CheckExact(arg)) return freeze_tuple(arg, depth);
    if (PyList_CheckExact(arg)) return freeze_list(arg, depth);
    if (PyDict_CheckExact(arg)) return freeze_dict(arg, depth);
    if (PyAnySet_CheckExact(arg)) return freeze_set(arg, depth);
    if (Py_TYPE(arg) == &PyByteArray_Type) return freeze_bytearray(arg, depth);
    if (is_frozen(arg)) return freeze_frozen(arg);
    return freeze_other(arg, depth);
  }

 private:
  PyObject* refuse(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    PyObject* reason = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    if (reason == nullptr) return nullptr;
    if (what_ == nullptr) {
      PyErr_Format(PyExc_TypeError,
                   "the result of key= cannot be a cache key: %U; return a str, a number or a "
                   "tuple of them",
                   reason);
    } else {
      PyErr_Format(PyExc_TypeError,
                   "argument %R cannot be part of a cache key: %U; compute a key with key=, or "
                   "leave the argument out with ignore=(%R,)",
                   what_, reason, what_);
    }
    Py_DECREF(reason);
    return nullptr;
  }

  // A container is more than its items: its copy has a head too.
  bool count(Py_ssize_t size) {
    items_left_ -= size + 4;
    if (items_left_ >= 0) return true;
    refuse("it has more than %zd items in all", kMaxKeyItems);
    return false;
  }

  // A tuple is its own item until one of its own is not.
  PyObject* freeze_tuple(PyObject* arg, int depth) {
    const Py_ssize_t size = PyTuple_GET_SIZE(arg);
    if (!count(size)) return nullptr;
    PyObject* copy = nullptr;
    for (Py_ssize_t i = 0; i < size; ++i) {
      PyObject* own = PyTuple_GET_ITEM(arg, i);
      PyObject* item = freeze(own, depth + 1);
      if (item == nullptr) {
        Py_XDECREF(copy);
        return nullptr;
      }
      if (copy == nullptr && item == own) {
        Py_DECREF(item);
        continue;
      }
      if (copy == nullptr) {
        copy = PyTuple_New(size);
        if (copy == nullptr) {
          Py_DECREF(item);
          return nullptr;
        }
        for (Py_ssize_t j = 0; j < i; ++j) {
          PyTuple_SET_ITEM(copy, j, Py_NewRef(PyTuple_GET_ITEM(arg, j)));
        }
      }
      PyTuple_SET_ITEM(copy, i, item);
    }
    return copy == nullptr ? Py_NewRef(arg) : copy;
  }

  // Everything is copied before the first item is frozen: freezing may run user code that changes
  // the argument.
  PyObject* freeze_list(PyObject* arg, int depth) {
    const Py_ssize_t size = PyList_GET_SIZE(arg);
    if (!count(size)) return nullptr;
    Frozen* frozen = new_frozen(Py_TYPE(arg), size, false);
    if (frozen == nullptr) return nullptr;
    if (PyList_GET_SIZE(arg) != size) return changed(frozen);
    for (Py_ssize_t i = 0; i < size; ++i) frozen->items[i] = Py_NewRef(PyList_GET_ITEM(arg, i));
    return finish(frozen, depth);
  }

  PyObject* freeze_dict(PyObject* arg, int depth) {
    const Py_ssize_t size = 2 * PyDict_GET_SIZE(arg);
    if (!count(size)) return nullptr;
    Frozen* frozen = new_frozen(Py_TYPE(arg), size, false);
    if (frozen == nullptr) return nullptr;
    if (2 * PyDict_GET_SIZE(arg) != size) return changed(frozen);
    PyObject* key;
    PyObject* value;
    PyObject** next = frozen->items;
    for (Py_ssize_t at = 0; PyDict_Next(arg, &at, &key, &value); next += 2) {
      next[0] = Py_NewRef(key);
      next[1] = Py_NewRef(value);
    }
    return finish(frozen, depth);
  }

  PyObject* freeze_set(PyObject* arg, int depth) {
    PyObject* copy = PySequence_Tuple(arg);
    if (copy == nullptr) return nullptr;
    PyObject* item = freeze_parts(Py_TYPE(arg), copy, true, depth);
    Py_DECREF(copy);
    return item;
  }

  PyObject* freeze_bytearray(PyObject* arg, int depth) {
    PyObject* copy =
        PyBytes_FromStringAndSize(PyByteArray_AS_STRING(arg), PyByteArray_GET_SIZE(arg));
    if (copy == nullptr) return nullptr;
    Frozen* frozen = new_frozen(Py_TYPE(arg), 1, false);
    if (frozen == nullptr) {
      Py_DECREF(copy);
      return nullptr;
    }
    frozen->items[0] = copy;
    return finish(frozen, depth);
  }

  PyObject* freeze_frozen(PyObject* arg) {
    Frozen* frozen = new_frozen(&FrozenType, 1, false);
    if (frozen == nullptr) return nullptr;
    frozen->items[0] = Py_NewRef(arg);
    return finished(frozen);
  }

  PyObject* freeze_other(PyObject* arg, int depth) {
    PyObject* take_apart = nullptr;
    PyTypeObject* type = Py_TYPE(arg);
    switch (rule_of(type, &take_apart)) {
      case TypeRule::kUnknown:
        return nullptr;
      case TypeRule::kPlain:
        return Py_NewRef(arg);
      case TypeRule::kUnkeyable:
        return refuse(depth == 0 ? "a '%.200s' object is not hashable"
                                 : "it contains a '%.200s' object, which is not hashable",
                      type->tp_name);
      case TypeRule::kParts:
        break;
    }
    Py_INCREF(type);  // user code may give the argument another class
    PyObject* parts = PyObject_CallOneArg(take_apart, arg);
    Py_DECREF(take_apart);
    PyObject* item = nullptr;
    if (parts != nullptr && !PyTuple_CheckExact(parts)) {
      PyErr_Format(PyExc_SystemError, "the parts of a '%.200s' object are not a tuple",
                   type->tp_name);
    } else if (parts != nullptr) {
      item = freeze_parts(type, parts, false, depth);
    }
    Py_XDECREF(parts);
    Py_DECREF(type);
    return item;
  }

  PyObject* freeze_parts(PyTypeObject* type, PyObject* parts, bool unordered, int depth) {
    const Py_ssize_t size = PyTuple_GET_SIZE(parts);
    if (!count(size)) return nullptr;
    Frozen* frozen = new_frozen(type, size, unordered);
    if (frozen == nullptr) return nullptr;
    for (Py_ssize_t i = 0; i < size; ++i) frozen->items[i] = Py_NewRef(PyTuple_GET_ITEM(parts, i));
    return finish(frozen, depth);
  }

  PyObject* finish(Frozen* frozen, int depth) {
    for (Py_ssize_t i = 0; i < Py_SIZE(frozen); ++i) {
      PyObject* item = freeze(frozen->items[i], depth + 1);
      if (item == nullptr) {
        Py_DECREF(frozen);
        return nullptr;
      }
      Py_SETREF(frozen->items[i], item);
    }
    return finished(frozen);
  }

  static PyObject* finished(Frozen* frozen) {
    if (finish_frozen(frozen) == 0) return reinterpret_cast<PyObject*>(frozen);
    Py_DECREF(frozen);
    return nullptr;
  }

  // The allocation of the copy ran the garbage collector, and a finaliser changed the argument.
  static PyObject* changed(Frozen* frozen) {
    Py_DECREF(frozen);
    PyErr_SetString(PyExc_RuntimeError, "an argument changed size while its key was computed");
    return nullptr;
  }

  PyObject* what_;
  Py_ssize_t items_left_ = kMaxKeyItems;
};

}  // namespace

bool is_plain_other(PyObject* arg) {
  constexpr int kDepth = 16;
  int items_left = 4096;
  return is_plain_at(arg, kDepth, &items_left);
}

PyObject* freeze(PyObject* arg, PyObject* what) { return Freezer(what).freeze(arg, 0); }

}  // namespace zoocache::python
