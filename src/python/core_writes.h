// Methods of `_zoocache.Core` for blocks that write: see core/intent.h.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

namespace zoocache::python {

// (tags) -> (engine, token). The number of the engine that holds them: one that was reset since
// took its holds along, and those of the present one are others'.
PyObject* core_begin_write(PyObject* core, PyObject* tags);
// (engine, token, tags, origin) -> epoch; 0: the home has not acknowledged it yet. What is cached
// by an engine that came since is invalidated, too.
PyObject* core_end_write(PyObject* core, PyObject* args);
// (engine, token, tags)
PyObject* core_cancel_write(PyObject* core, PyObject* args);

}  // namespace zoocache::python
