// The driver of calls to synchronous functions: leads in the calling thread, follows by blocking
// it. Thread-safety: the GIL guards everything; waiting releases it.
#pragma once

#include <Python.h>

#include "python/call.h"

namespace zoocache::python {

int init_sync_call();

// A whole call that is no plain hit. `refresh`: kills the key first.
PyObject* call_slow(CachedFunction* self, PyObject* const* args, size_t nargsf, PyObject* kwnames,
                    bool refresh);

// Runs a prepared call to its end. A new reference, or nullptr with a Python error.
PyObject* run_sync(Call& call);
// Runs a prepared detached call: a tuple of the loaded value, None if another load of the key
// runs, or nullptr with the loader's error.
PyObject* run_detached(Call& call);

}  // namespace zoocache::python
