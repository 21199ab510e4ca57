// The load that is running in this context.
//
// It travels in a context variable, so that threads and tasks which are started with the context
// belong to the load of whoever started them. A count of open loads spares every call outside of
// loads the look into the context.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include "python/state.h"

namespace zoocache::python {

// How many loads are open in the process.
extern Py_ssize_t open_loads;

int init_frame(PyObject* module);

// What the context variable holds.
struct FrameObject {
  PyObject_HEAD StatePtr state;
  FramePtr frame;
  std::size_t max_tag_length;
};

// New reference; nullptr with a Python error.
FrameObject* new_frame_object(FramePtr frame, StatePtr state, std::size_t max_tag_length);

// The innermost open load around the caller, empty if there is none. False with a Python error if
// the context could not be read.
bool current_frame_slow(FramePtr* frame);
inline bool current_frame(FramePtr* frame) { return open_loads == 0 || current_frame_slow(frame); }

// Whether the caller runs inside a load; true also if that could not be found out.
bool in_load();

// Makes `frame` the current one. A token for `leave_frame`; nullptr with a Python error.
PyObject* enter_frame(FrameObject* frame);
// Takes over the token; keeps a Python error that is set.
void leave_frame(PyObject* token);

// add_deps(tags) and no_store() of the module.
PyObject* add_deps(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* kwnames);
PyObject* no_store(PyObject* module, PyObject* unused);

}  // namespace zoocache::python
