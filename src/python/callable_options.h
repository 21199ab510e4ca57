// The options of a decorated function, from the checked dict that the decorator made.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include "python/callable.h"

namespace zoocache::python {

// False with a Python error. Unknown names are a SystemError: the decorator checks what users give.
bool read_callable_options(PyObject* dict, CallableOptions* options);
int traverse_callable_options(const CallableOptions& options, visitproc visit, void* arg);
void clear_callable_options(CallableOptions& options);

// Whether the function has a parameter of that name.
bool signature_has(const Signature& signature, const char* name);

}  // namespace zoocache::python
