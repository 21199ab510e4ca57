// What a home tells about itself, as Python sees it. Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include "zoocache/home.h"

namespace zoocache::python {

// A dict of the members of HomeStatus, the counters in a dict of their own. New reference, or
// nullptr with an error.
PyObject* home_dict(const HomeStatus& status);

}  // namespace zoocache::python
