// `_zoocache.CachedMethod`: a cached function bound to an instance, with the function's own
// methods: `obj.load.invalidate(42)` is `Class.load.invalidate(obj, 42)`.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include "python/callable.h"

namespace zoocache::python {

int init_method(PyObject* module);
PyObject* new_method(CachedFunction* function, PyObject* instance);

}  // namespace zoocache::python
