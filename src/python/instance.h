// The identity of an instance whose method is cached, as part of a key: weak, so that the entries
// die with the instance and never speak for a later object at the same address.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <cstdint>
#include <vector>

namespace zoocache::python {

struct CachedFunction;

struct InstanceToken {
  PyObject_HEAD PyObject* instance;    // borrowed; nullptr once it died
  CachedFunction* owner;               // borrowed; nullptr once it died
  std::vector<std::uint64_t>* hashes;  // of its keys; some may have been evicted
};

int init_instance();

// New reference to the instance's token in `owner`, which is told of the key `hash`. nullptr with
// a TypeError if the instance cannot be weakly referenced.
InstanceToken* token_for(CachedFunction* owner, PyObject* instance, std::uint64_t hash);
// False with that TypeError, before a load is run for nothing.
bool check_instance(const CachedFunction* owner, PyObject* instance);
inline bool is_token_of(PyObject* stored, PyObject* instance);
// Lets go of all instances: the owner dies.
void drop_instances(CachedFunction* owner);

extern PyTypeObject InstanceTokenType;
inline bool is_token_of(PyObject* stored, PyObject* instance) {
  return Py_TYPE(stored) == &InstanceTokenType &&
         reinterpret_cast<InstanceToken*>(stored)->instance == instance;
}

}  // namespace zoocache::python
