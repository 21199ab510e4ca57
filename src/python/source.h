// What code says that reads users' data for them, such as an ORM's integration: what a load has
// read and as of when, and that a transaction has written what nobody else may see yet.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

namespace zoocache::python {

// () -> the moment now, as a tuple of ints that `note_read` takes.
PyObject* core_moment(PyObject* core, PyObject* unused);
// (tags, since) -> None: the load of this cache around the caller depends on the tags, a tuple, and
// is as old as `since`, a moment or None. Loads of other caches inside of it are not kept: what
// invalidates this cache says nothing to them.
PyObject* core_note_read(PyObject* core, PyObject* args);
// tag -> Bypass: what depends on it, or on anything below, is not to be hit.
PyObject* core_bypass(PyObject* core, PyObject* tag);

int init_source(PyObject* module);

}  // namespace zoocache::python
