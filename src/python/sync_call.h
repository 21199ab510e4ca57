// The driver of calls to synchronous functions: leads in the calling thread, follows by blocking
// it. Thread-safety: the GIL guards everything; waiting releases it.
#pragma once

#include <Python.h>

#include "python/call.h"

namespace zoocache::python {

int init_sync_call();

// Runs a prepared call to its end. A new reference, or nullptr with a Python error.
PyObject* run_sync(Call& call);

}  // namespace zoocache::python
