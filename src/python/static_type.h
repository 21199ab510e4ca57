// The start of a static type object: everything zero, to be filled before PyType_Ready.
#pragma once

#include <Python.h>

namespace zoocache::python {

inline PyTypeObject static_type() {
  const PyVarObject head[] = {PyVarObject_HEAD_INIT(nullptr, 0)};
  PyTypeObject type{};
  type.ob_base = head[0];
  return type;
}

}  // namespace zoocache::python
