// What a home or a storage tells about itself, as Python sees it. Thread-safety: the GIL guards
// everything.
#pragma once

#include <Python.h>

#include "zoocache/home.h"
#include "zoocache/storage.h"

namespace zoocache::python {

// A dict of the members of HomeStatus, the counters in a dict of their own. New reference, or
// nullptr with an error.
PyObject* home_dict(const HomeStatus& status);
// The same of a storage.
PyObject* storage_dict(const StorageStatus& status);

}  // namespace zoocache::python
