// The start of a static type object: everything zero, to be filled before PyType_Ready; and what
// its tables of methods are made of.
#pragma once

#include <Python.h>

namespace zoocache::python {

inline PyTypeObject static_type() {
  const PyVarObject head[] = {PyVarObject_HEAD_INIT(nullptr, 0)};
  PyTypeObject type{};
  type.ob_base = head[0];
  return type;
}

// A function as a table of methods has it, whatever its flags make of its parameters.
template <class Function>
PyCFunction method_pointer(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

}  // namespace zoocache::python
