#include "python/frame.h"

#include <new>
#include <utility>

#include "python/errors.h"
#include "python/static_type.h"
#include "python/tags.h"

namespace zoocache::python {

Py_ssize_t open_loads = 0;

namespace {

PyObject* variable = nullptr;

void frame_dealloc(PyObject* object) {
  auto* self = reinterpret_cast<FrameObject*>(object);
  // The frame's dependencies refer to the log: it goes before the state.
  self->frame.~FramePtr();
  self->state.~StatePtr();
  Py_TYPE(object)->tp_free(object);
}

PyTypeObject frame_type = static_type();

}  // namespace

int init_frame(PyObject*) {
  frame_type.tp_name = "zoocache._zoocache.LoadFrame";
  frame_type.tp_basicsize = sizeof(FrameObject);
  frame_type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  frame_type.tp_dealloc = frame_dealloc;
  if (PyType_Ready(&frame_type) < 0) return -1;
  variable = PyContextVar_New("zoocache_load", Py_None);
  return variable == nullptr ? -1 : 0;
}

FrameObject* new_frame_object(FramePtr frame, StatePtr state, std::size_t max_tag_length) {
  auto* self = PyObject_New(FrameObject, &frame_type);
  if (self == nullptr) return nullptr;
  new (&self->frame) FramePtr(std::move(frame));
  new (&self->state) StatePtr(std::move(state));
  self->max_tag_length = max_tag_length;
  return self;
}

namespace {

// New reference to what the context holds; nullptr without an error if that is no load.
FrameObject* frame_in_context() {
  PyObject* value = nullptr;
  if (PyContextVar_Get(variable, nullptr, &value) < 0) return nullptr;
  if (Py_TYPE(value) == &frame_type) return reinterpret_cast<FrameObject*>(value);
  Py_DECREF(value);
  return nullptr;
}

// A task that outlives the load that started it belongs to the load around that one.
FramePtr first_open(FramePtr frame) {
  while (frame != nullptr && !frame->is_open()) frame = frame->parent;
  return frame;
}

}  // namespace

bool current_frame_slow(FramePtr* frame) {
  FrameObject* found = frame_in_context();
  if (found == nullptr) return PyErr_Occurred() == nullptr;
  *frame = first_open(found->frame);
  Py_DECREF(found);
  return true;
}

bool in_load() {
  PyObject* value = nullptr;
  if (PyContextVar_Get(variable, nullptr, &value) < 0) {
    PyErr_Clear();
    return true;
  }
  Py_DECREF(value);  // the context holds it
  return value != Py_None;
}

PyObject* enter_frame(FrameObject* frame) {
  return PyContextVar_Set(variable, reinterpret_cast<PyObject*>(frame));
}

void leave_frame(PyObject* token) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  // Fails when a loader swapped the context under us; then there is nothing to put back.
  if (PyContextVar_Reset(variable, token) < 0) PyErr_Clear();
  Py_DECREF(token);
  PyErr_Restore(type, value, traceback);
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
  PyObject* tags = args[0];
  FrameObject* found = open_loads == 0 ? nullptr : frame_in_context();
  if (found == nullptr) {
    if (PyErr_Occurred()) return nullptr;
    Py_RETURN_NONE;
  }
  std::vector<std::string> read;
  const bool good = read_tags(tags, "add_deps", found->max_tag_length, &read);
  if (good) {
    const FramePtr frame = first_open(found->frame);
    for (const std::string& tag : read) {
      if (frame != nullptr) frame->add_tag(tag);
    }
  }
  Py_DECREF(found);
  if (!good) return nullptr;
  Py_RETURN_NONE;
}

PyObject* no_store(PyObject*, PyObject*) {
  FramePtr frame;
  if (!current_frame(&frame)) return nullptr;
  if (frame != nullptr) frame->forbid_store();
  Py_RETURN_NONE;
}

}  // namespace zoocache::python
