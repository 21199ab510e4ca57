// The load that is running in this context.
//
// It travels in a context variable, so that threads and tasks which are started with the context
// belong to the load of whoever started them. A count of open loads spares every call outside of
// loads the look into the context.
//
// The variable holds a cell that refers to the load. Setting a context variable costs more than
// all the rest of a short load, so a cell that nobody but the current context can reach is changed
// in place, which nobody can tell from setting the variable:
//
//   context ── map ── node ── cell ── load      each held once: changed in place
//        copy ──┘                               the map is held twice: a new cell is set
//
// A cell with a load that has ended says the same as one with the load around it, in every context
// that holds it and for ever: whoever looks passes over loads that have ended. So the end of a load
// needs no look at who shares its cell.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include "python/state.h"

namespace zoocache::python {

// How many loads are open in the process.
extern Py_ssize_t open_loads;

int init_frame(PyObject* module);

// The innermost open load around the caller, empty if there is none. False with a Python error if
// the context could not be read.
bool current_frame_slow(FramePtr* frame);
inline bool current_frame(FramePtr* frame) { return open_loads == 0 || current_frame_slow(frame); }

// From the innermost open load around the caller outwards, until `look(frame)` is false. False with
// a Python error.
template <class Look>
bool look_outwards(Look&& look) {
  FramePtr frame;
  if (!current_frame(&frame)) return false;
  for (; frame != nullptr; frame = frame->parent) {
    if (frame->is_open() && !look(*frame)) break;
  }
  return true;
}

// Whether the caller runs inside a load; true also if that could not be found out.
bool in_load();

struct Cell;

// That a load is the current one: in which cell, and what was current before.
class EnteredFrame {
 public:
  EnteredFrame() = default;
  EnteredFrame(const EnteredFrame&) = delete;
  EnteredFrame& operator=(const EnteredFrame&) = delete;
  explicit operator bool() const { return cell_ != nullptr; }

  // False with a Python error.
  bool enter(const FramePtr& frame);
  // Takes an open load out of the context again. Keeps a Python error that is set.
  void leave(const FramePtr& frame);
  // Whether who passes over `frame`, once it has ended, comes to what was current before it. Else
  // it has to be left before it ends: a task may go on in another context, and a load in the
  // background belongs to no load around it.
  bool is_parent_of(const core::LoadFrame<Policy>& frame) const;
  // In place of leaving a load that has ended: has the cell forget it, for the memory's sake.
  void forget();

 private:
  void let_go();

  Cell* cell_ = nullptr;  // strong
  FramePtr before_;
};

// add_deps(tags) and no_store() of the module.
PyObject* add_deps(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* kwnames);
PyObject* no_store(PyObject* module, PyObject* unused);

}  // namespace zoocache::python
