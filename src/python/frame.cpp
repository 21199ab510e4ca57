#include "python/frame.h"

#include <new>
#include <utility>

#include "python/errors.h"
#include "python/static_type.h"
#include "python/tags.h"

namespace zoocache::python {

Py_ssize_t open_loads = 0;

// What the context variable holds.
struct Cell {
  PyObject_HEAD FramePtr frame;
  Py_ssize_t entered;  // how many EnteredFrames refer to it
  bool replaced;       // a context that held it has another cell
};

namespace {

PyObject* variable = nullptr;

void cell_dealloc(PyObject* object) {
  reinterpret_cast<Cell*>(object)->frame.~FramePtr();
  Py_TYPE(object)->tp_free(object);
}

PyTypeObject cell_type = static_type();

// Borrowed: what the context holds; nullptr without an error if that is nothing.
Cell* current_cell() {
  PyObject* value = nullptr;
  if (PyContextVar_Get(variable, nullptr, &value) < 0) return nullptr;
  Py_DECREF(value);  // the context holds it
  return Py_TYPE(value) == &cell_type ? reinterpret_cast<Cell*>(value) : nullptr;
}

// What an object refers to: how much, a cell, and the last that is neither a cell nor a context.
struct Referents {
  Cell* cell = nullptr;
  PyObject* other = nullptr;
  int others = 0;
};

int note_referent(PyObject* object, void* told) {
  auto* referents = static_cast<Referents*>(told);
  if (Py_TYPE(object) == &cell_type) {
    referents->cell = reinterpret_cast<Cell*>(object);
  } else if (Py_TYPE(object) != &PyContext_Type) {
    referents->other = object;
    ++referents->others;
  }
  return 0;
}

Referents referents_of(PyObject* object) {
  Referents referents;
  const traverseproc traverse = Py_TYPE(object)->tp_traverse;
  if (traverse != nullptr) traverse(object, note_referent, &referents);
  return referents;
}

// The one object behind `object` that nobody else holds; nullptr if there is none such.
PyObject* only_referent(PyObject* object) {
  const Referents referents = referents_of(object);
  const bool only = referents.others == 1 && Py_REFCNT(referents.other) == 1;
  return only ? referents.other : nullptr;
}

// Borrowed: the context's cell if no other context can reach it, else nullptr. A context holds a
// map, which is shared with its copies; the map is a tree of nodes, which is shared with maps that
// were made of it. Where these are laid out in another way nothing is found.
Cell* own_cell() {
  PyObject* context = PyThreadState_Get()->context;
  PyObject* map = context == nullptr ? nullptr : only_referent(context);
  PyObject* node = map == nullptr ? nullptr : only_referent(map);
  if (node == nullptr) return nullptr;
  Cell* cell = referents_of(node).cell;
  return cell != nullptr && Py_REFCNT(cell) == 1 + cell->entered ? cell : nullptr;
}

// Borrowed: the cell with `frame` that the context holds now in place of `old` (which may be
// nullptr); nullptr with a Python error.
Cell* set_new_cell(const FramePtr& frame, Cell* old) {
  if (old != nullptr) old->replaced = true;
  auto* cell = PyObject_New(Cell, &cell_type);
  if (cell == nullptr) return nullptr;
  new (&cell->frame) FramePtr(frame);
  cell->entered = 0;
  cell->replaced = false;
  PyObject* token = PyContextVar_Set(variable, reinterpret_cast<PyObject*>(cell));
  Py_DECREF(cell);
  Py_XDECREF(token);
  return token == nullptr ? nullptr : cell;
}

// A task that outlives the load that started it belongs to the load around that one.
FramePtr first_open(FramePtr frame) {
  while (frame != nullptr && !frame->is_open()) frame = frame->parent;
  return frame;
}

void forget_ended(Cell* cell) {
  if (cell == nullptr || cell->frame == nullptr || cell->frame->is_open()) return;
  const FramePtr ended = std::exchange(cell->frame, first_open(cell->frame->parent));
}

}  // namespace

int init_frame(PyObject*) {
  cell_type.tp_name = "zoocache._zoocache.CurrentLoad";
  cell_type.tp_basicsize = sizeof(Cell);
  cell_type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  cell_type.tp_dealloc = cell_dealloc;
  if (PyType_Ready(&cell_type) < 0) return -1;
  variable = PyContextVar_New("zoocache_load", Py_None);
  return variable == nullptr ? -1 : 0;
}

bool current_frame_slow(FramePtr* frame) {
  const Cell* cell = current_cell();
  if (cell == nullptr) return PyErr_Occurred() == nullptr;
  *frame = first_open(cell->frame);
  return true;
}

bool in_load() {
  const Cell* cell = current_cell();
  if (cell != nullptr) return first_open(cell->frame) != nullptr;
  if (PyErr_Occurred() == nullptr) return false;
  PyErr_Clear();
  return true;
}

bool EnteredFrame::enter(const FramePtr& frame) {
  Cell* cell = own_cell();
  if (cell != nullptr) {
    before_ = std::exchange(cell->frame, frame);
  } else {
    Cell* shared = current_cell();
    if (shared == nullptr && PyErr_Occurred() != nullptr) return false;
    if (shared != nullptr) before_ = first_open(shared->frame);
    cell = set_new_cell(frame, shared);
    if (cell == nullptr) return false;
  }
  Py_INCREF(cell);
  ++cell->entered;
  cell_ = cell;
  return true;
}

void EnteredFrame::let_go() {
  --cell_->entered;
  Py_CLEAR(cell_);
  before_.reset();
}

void EnteredFrame::leave(const FramePtr& frame) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  // Another load: a loader swapped the context under us, and there is nothing to put back.
  Cell* cell = current_cell();
  if (cell != nullptr && first_open(cell->frame) == frame) {
    Cell* own = own_cell();
    if (own != nullptr) {
      own->frame = before_;
    } else if (set_new_cell(before_, cell) == nullptr) {
      PyErr_Clear();
    }
  }
  let_go();
  PyErr_Restore(type, value, traceback);
}

bool EnteredFrame::is_parent_of(const core::LoadFrame<Policy>& frame) const {
  return before_ == frame.parent || first_open(before_) == first_open(frame.parent);
}

void EnteredFrame::forget() {
  if (cell_->replaced) forget_ended(current_cell());
  forget_ended(cell_);
  let_go();
}

PyObject* add_deps(PyObject*, PyObject* const* args, Py_ssize_t count, PyObject* kwnames) {
  const Py_ssize_t named = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  const bool fits =
      count + named == 1 &&
      (named == 0 || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "deps") == 0);
  if (!fits) {
    PyErr_SetString(PyExc_TypeError, "add_deps() takes one argument, deps: a tag or several");
    return nullptr;
  }
  FramePtr frame;
  if (!current_frame(&frame)) return nullptr;
  if (frame == nullptr) Py_RETURN_NONE;
  const std::size_t max_length = static_cast<const Frame&>(*frame).max_tag_length();
  const auto add = [&frame](std::string_view tag) {
    frame = first_open(std::move(frame));  // reading may have run foreign code
    if (frame != nullptr) frame->add_tag(tag);
  };
  if (!add_tags(args[0], "add_deps", max_length, add)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* no_store(PyObject*, PyObject*) {
  FramePtr frame;
  if (!current_frame(&frame)) return nullptr;
  if (frame != nullptr) frame->forbid_store();
  Py_RETURN_NONE;
}

}  // namespace zoocache::python
