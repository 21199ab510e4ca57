// Frozen: the private, immutable copy that stands for an argument which is not plain.
//
//   type    the argument's exact class: a list and a tuple of equal items stay two keys
//   items   each an item itself (plain or Frozen), in the argument's own order, or
//   hashes  for sets: items sorted by these, so that equal sets agree whatever order they came in
//
// Python code cannot make one, and one that is found (by the garbage collector's listing, say) and
// passed as an argument is wrapped again; so no argument ever equals somebody else's frozen form.
// Demands: the GIL. Thread-safety: the GIL guards everything; immutable once published.
#pragma once

#include <Python.h>

#include <cstdint>

namespace zoocache::python {

struct Frozen {
  PyObject_VAR_HEAD PyTypeObject* type;  // strong
  uint64_t* hashes;                      // owned; of an unordered one with items, else nullptr
  uint64_t hash;                         // once `hashed`
  bool unordered;
  bool hashed;
  bool simple;         // hashing and comparing it run no user code
  PyObject* items[1];  // Py_SIZE of them, strong
};

extern PyTypeObject FrozenType;

inline bool is_frozen(PyObject* item) { return Py_TYPE(item) == &FrozenType; }

// New, with all items unset (nullptr). The caller sets every item to an argument or an item, turns
// them into items, and then publishes it with `finish_frozen`. Not tracked by the collector before.
Frozen* new_frozen(PyTypeObject* type, Py_ssize_t size, bool unordered);

// Sorts an unordered one and settles the rest. 0, or -1 with the error that a __hash__ raised.
int finish_frozen(Frozen* frozen);

int hash_frozen(Frozen* frozen, uint64_t* hash);
// 1, 0 or -1 with an error, as match_item.
int match_frozen(Frozen* stored, Frozen* item);

}  // namespace zoocache::python
