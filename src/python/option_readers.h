// The options of `configure` as the extension gets them: a dict of what differs from the defaults.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <cstddef>

#include "zoocache/options.h"

namespace zoocache::python {

// Each reads one option, if it is there. False with a Python error.
bool read_size(PyObject* options, const char* name, std::size_t* value);
bool read_seconds(PyObject* options, const char* name, double* value);
bool read_flag(PyObject* options, const char* name, bool* value);

// The home and the storage that the options name, opened: what is wrong with them is said now.
bool read_homes(PyObject* options, Options* engine);

}  // namespace zoocache::python
