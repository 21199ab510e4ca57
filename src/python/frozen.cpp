#include "python/frozen.h"

#include <algorithm>
#include <cstddef>

#include "python/key.h"

namespace zoocache::python {
namespace {

Frozen* as_frozen(PyObject* self) { return reinterpret_cast<Frozen*>(self); }
PyObject* as_object(Frozen* self) { return reinterpret_cast<PyObject*>(self); }

int frozen_traverse(PyObject* self, visitproc visit, void* arg) {
  Frozen* frozen = as_frozen(self);
  Py_VISIT(frozen->type);
  for (Py_ssize_t i = 0; i < Py_SIZE(frozen); ++i) Py_VISIT(frozen->items[i]);
  return 0;
}

void frozen_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Frozen* frozen = as_frozen(self);
  for (Py_ssize_t i = 0; i < Py_SIZE(frozen); ++i) Py_XDECREF(frozen->items[i]);
  Py_DECREF(frozen->type);
  PyMem_Free(frozen->hashes);
  PyObject_GC_Del(self);
}

Py_hash_t frozen_hash(PyObject* self) {
  uint64_t hash;
  if (hash_frozen(as_frozen(self), &hash) < 0) return -1;
  const auto folded = static_cast<Py_hash_t>(hash);
  return folded == -1 ? -2 : folded;
}

PyObject* frozen_richcompare(PyObject* self, PyObject* other, int operation) {
  if (!is_frozen(self) || !is_frozen(other) || (operation != Py_EQ && operation != Py_NE)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  const int same = match_item(self, other);
  if (same < 0) return nullptr;
  return PyBool_FromLong(same == (operation == Py_EQ));
}

PyObject* frozen_repr(PyObject* self) {
  Frozen* frozen = as_frozen(self);
  PyObject* items = PyTuple_New(Py_SIZE(frozen));
  if (items == nullptr) return nullptr;
  for (Py_ssize_t i = 0; i < Py_SIZE(frozen); ++i) {
    Py_INCREF(frozen->items[i]);
    PyTuple_SET_ITEM(items, i, frozen->items[i]);
  }
  PyObject* text = PyUnicode_FromFormat("<%s %R>", frozen->type->tp_name, items);
  Py_DECREF(items);
  return text;
}

struct Hashed {
  uint64_t hash;
  PyObject* item;
};

// Whether the runs of equally hashed items hold the same items. Equality of items is transitive, so
// the first free partner is as good as any.
int match_run(PyObject* const* stored, PyObject* const* items, Py_ssize_t size, bool* taken) {
  std::fill(taken, taken + size, false);
  for (Py_ssize_t i = 0; i < size; ++i) {
    bool found = false;
    for (Py_ssize_t j = 0; j < size && !found; ++j) {
      if (taken[j]) continue;
      const int same = match_item(stored[i], items[j]);
      if (same < 0) return -1;
      if (same != 0) found = taken[j] = true;
    }
    if (!found) return 0;
  }
  return 1;
}

int match_unordered(Frozen* stored, Frozen* item) {
  const Py_ssize_t size = Py_SIZE(stored);
  if (size == 0) return 1;
  const auto bytes = static_cast<size_t>(size);
  if (std::memcmp(stored->hashes, item->hashes, bytes * sizeof(uint64_t)) != 0) return 0;
  auto* taken = static_cast<bool*>(PyMem_Malloc(bytes));
  if (taken == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  int same = 1;
  for (Py_ssize_t begin = 0; begin < size && same == 1;) {
    Py_ssize_t end = begin + 1;
    while (end < size && stored->hashes[end] == stored->hashes[begin]) ++end;
    same = match_run(stored->items + begin, item->items + begin, end - begin, taken);
    begin = end;
  }
  PyMem_Free(taken);
  return same;
}

// C++20's designated initialisers cannot follow the macro of the head.
PyTypeObject frozen_type() {
  const PyVarObject head[] = {PyVarObject_HEAD_INIT(nullptr, 0)};
  PyTypeObject type{};
  type.ob_base = head[0];
  type.tp_name = "zoocache._zoocache.Frozen";
  type.tp_doc = "The private copy that stands for an argument that cannot be a key itself.";
  type.tp_basicsize = offsetof(Frozen, items);
  type.tp_itemsize = sizeof(PyObject*);
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                  Py_TPFLAGS_IMMUTABLETYPE;
  type.tp_dealloc = frozen_dealloc;
  type.tp_traverse = frozen_traverse;
  type.tp_hash = frozen_hash;
  type.tp_richcompare = frozen_richcompare;
  type.tp_repr = frozen_repr;
  return type;
}

int sort_by_hash(Frozen* frozen) {
  const Py_ssize_t size = Py_SIZE(frozen);
  const auto count = static_cast<size_t>(size);
  auto* order = static_cast<Hashed*>(PyMem_Malloc(count * sizeof(Hashed)));
  frozen->hashes = static_cast<uint64_t*>(PyMem_Malloc(count * sizeof(uint64_t)));
  if (order == nullptr || frozen->hashes == nullptr) {
    PyMem_Free(order);
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < size; ++i) {
    order[i].item = frozen->items[i];
    if (hash_item(order[i].item, &order[i].hash) < 0) {
      PyMem_Free(order);
      return -1;
    }
  }
  std::sort(order, order + size,
            [](const Hashed& left, const Hashed& right) { return left.hash < right.hash; });
  for (Py_ssize_t i = 0; i < size; ++i) {
    frozen->items[i] = order[i].item;
    frozen->hashes[i] = order[i].hash;
  }
  PyMem_Free(order);
  return 0;
}

}  // namespace

PyTypeObject FrozenType = frozen_type();

Frozen* new_frozen(PyTypeObject* type, Py_ssize_t size, bool unordered) {
  Frozen* frozen = PyObject_GC_NewVar(Frozen, &FrozenType, size);
  if (frozen == nullptr) return nullptr;
  Py_INCREF(type);
  frozen->type = type;
  frozen->hashes = nullptr;
  frozen->hash = 0;
  frozen->unordered = unordered;
  frozen->hashed = false;
  frozen->simple = true;
  std::fill(frozen->items, frozen->items + size, nullptr);
  return frozen;
}

int finish_frozen(Frozen* frozen) {
  if (frozen->unordered && Py_SIZE(frozen) > 0 && sort_by_hash(frozen) < 0) return -1;
  // A heap type and its instances can form a cycle; static types are for ever.
  bool tracked = (frozen->type->tp_flags & Py_TPFLAGS_HEAPTYPE) != 0;
  for (Py_ssize_t i = 0; i < Py_SIZE(frozen); ++i) {
    PyObject* item = frozen->items[i];
    frozen->simple = frozen->simple && match_is_simple(item);
    tracked = tracked || PyObject_GC_IsTracked(item);
  }
  if (tracked) PyObject_GC_Track(as_object(frozen));
  return 0;
}

int hash_frozen(Frozen* frozen, uint64_t* hash) {
  if (!frozen->hashed) {
    uint64_t sum = mix(reinterpret_cast<uintptr_t>(frozen->type), ItemKind::kFrozen);
    sum = combine(sum, static_cast<uint64_t>(Py_SIZE(frozen)));
    for (Py_ssize_t i = 0; i < Py_SIZE(frozen); ++i) {
      uint64_t item_hash;
      if (frozen->hashes != nullptr) {
        item_hash = frozen->hashes[i];
      } else if (hash_item(frozen->items[i], &item_hash) < 0) {
        return -1;
      }
      sum = combine(sum, item_hash);
    }
    frozen->hash = sum;
    frozen->hashed = true;
  }
  *hash = frozen->hash;
  return 0;
}

int match_frozen(Frozen* stored, Frozen* item) {
  if (stored->type != item->type || stored->unordered != item->unordered ||
      Py_SIZE(stored) != Py_SIZE(item)) {
    return 0;
  }
  if (stored->hashed && item->hashed && stored->hash != item->hash) return 0;
  if (stored->unordered) return match_unordered(stored, item);
  for (Py_ssize_t i = 0; i < Py_SIZE(stored); ++i) {
    const int same = match_item(stored->items[i], item->items[i]);
    if (same != 1) return same;
  }
  return 1;
}

}  // namespace zoocache::python
