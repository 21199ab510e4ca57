#include "python/source.h"

#include <utility>
#include <vector>

#include "core/moment.h"
#include "python/core_type.h"
#include "python/frame.h"
#include "python/static_type.h"
#include "python/tags.h"

namespace zoocache::python {
namespace {

using Load = core::LoadFrame<Policy>;

// Calls pass the cache by in every context that it was entered in, until it is closed.
struct Bypass {
  PyObject_HEAD FramePtr frame;
  std::uint64_t tag_hash;
};
Bypass* as_bypass(PyObject* object) { return reinterpret_cast<Bypass*>(object); }

PyTypeObject bypass_type = static_type();

void close_bypass(Bypass* self) {
  if (self->frame == nullptr) return;
  const FramePtr frame = std::move(self->frame);
  frame->close();
  --open_loads;
}

void bypass_dealloc(PyObject* object) {
  Bypass* self = as_bypass(object);
  close_bypass(self);
  self->frame.~FramePtr();
  Py_TYPE(object)->tp_free(object);
}

// Makes it current in the caller's context, if it is not around the caller already. Loads around
// the caller go on without the cache.
PyObject* bypass_enter(PyObject* object, PyObject*) {
  const FramePtr frame = as_bypass(object)->frame;
  const std::uint64_t tag_hash = as_bypass(object)->tag_hash;
  if (frame == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "this bypass is closed");
    return nullptr;
  }
  bool is_around = false;
  const bool looked = look_outwards([&](Load& load) {
    is_around = &load == frame.get();
    if (!is_around) load.bypass(tag_hash);
    return !is_around;
  });
  if (!looked) return nullptr;
  if (is_around) Py_RETURN_NONE;
  EnteredFrame entered;
  if (!entered.enter(frame)) return nullptr;
  entered.forget();  // it stays the context's: once closed, it is passed over
  Py_RETURN_NONE;
}

PyObject* bypass_close(PyObject* object, PyObject*) {
  close_bypass(as_bypass(object));
  Py_RETURN_NONE;
}

PyMethodDef bypass_methods[] = {{"enter", bypass_enter, METH_NOARGS, nullptr},
                                {"close", bypass_close, METH_NOARGS, nullptr},
                                {nullptr, nullptr, 0, nullptr}};

// 0 outside of loads; else a number of the innermost load, which no other load ever has.
PyObject* in_load_now(PyObject*, PyObject*) {
  FramePtr frame;
  if (!current_frame(&frame)) return nullptr;
  if (frame == nullptr) return PyLong_FromLong(0);
  return PyLong_FromUnsignedLongLong(static_cast<const Frame&>(*frame).serial());
}

// Nothing is kept of any load around the caller.
PyObject* distrust(PyObject*, PyObject*) {
  const bool looked = look_outwards([](Load& load) {
    load.distrust();
    return true;
  });
  if (!looked) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef source_functions[] = {{"in_load", in_load_now, METH_NOARGS, nullptr},
                                  {"distrust", distrust, METH_NOARGS, nullptr},
                                  {nullptr, nullptr, 0, nullptr}};

// None, or a moment of that many engines ago. False with an error.
bool read_moment(PyObject* told, std::uint64_t engines_left, core::Moment* moment, bool* is_ours) {
  *is_ours = true;
  if (told == Py_None) return true;
  unsigned long long engine, epoch, generation, home_epoch;
  int trusted;
  if (!PyArg_ParseTuple(told, "KKpKK", &engine, &epoch, &trusted, &generation, &home_epoch)) {
    return false;
  }
  *is_ours = engine == engines_left;
  *moment = {epoch, {trusted != 0, generation, home_epoch}};
  return true;
}

}  // namespace

PyObject* core_moment(PyObject* object, PyObject*) {
  Core* self = as_core(object);
  StatePtr* state = core_state(self);
  if (state == nullptr) return nullptr;
  const core::Moment moment = core::moment_of((*state)->engine.log());
  return Py_BuildValue("KKOKK", static_cast<unsigned long long>(self->engines_left),
                       static_cast<unsigned long long>(moment.epoch),
                       moment.home.trusted ? Py_True : Py_False,
                       static_cast<unsigned long long>(moment.home.generation),
                       static_cast<unsigned long long>(moment.home.epoch));
}

PyObject* core_note_read(PyObject* object, PyObject* args) {
  Core* self = as_core(object);
  PyObject *tags, *since;
  if (!PyArg_ParseTuple(args, "O!O", &PyTuple_Type, &tags, &since)) return nullptr;
  core::Moment moment;
  bool is_ours;
  if (!read_moment(since, self->engines_left, &moment, &is_ours)) return nullptr;
  const core::InvalidationLog* log =
      *self->state == nullptr ? nullptr : &(*self->state)->engine.log();
  FramePtr found;
  const bool looked = look_outwards([&](Load& load) {
    const bool mine = is_ours && &load.log() == log;
    if (mine) {
      found = FramePtr(&load);
    } else {
      load.distrust();
    }
    return !mine;
  });
  if (!looked) return nullptr;
  if (found == nullptr) Py_RETURN_NONE;
  const std::size_t max_length = self->options->engine.max_tag_length;
  const bool read = add_tags(tags, "note_read", max_length,
                             [&found](std::string_view tag) { found->add_tag(tag); });
  if (!read) {
    found->distrust();
    return nullptr;
  }
  found->loaded_since(moment);
  Py_RETURN_NONE;
}

PyObject* core_bypass(PyObject* object, PyObject* tag) {
  Core* self = as_core(object);
  StatePtr* state = core_state(self);
  std::vector<core::TagPath> paths;
  if (state == nullptr || !parse_tags(self, &tag, 1, "bypass", &paths)) return nullptr;
  FramePtr around;
  if (!current_frame(&around)) return nullptr;
  auto* made = PyObject_New(Bypass, &bypass_type);
  if (made == nullptr) return nullptr;
  new (&made->frame) FramePtr(new Frame(*state, (*state)->engine.log().clock(), nullptr, around,
                                        self->options->engine.max_tag_length));
  made->tag_hash = paths.front().back().hash;
  made->frame->gather_nothing();
  made->frame->bypass(made->tag_hash);
  ++open_loads;
  return reinterpret_cast<PyObject*>(made);
}

int init_source(PyObject* module) {
  bypass_type.tp_name = "zoocache._zoocache.Bypass";
  bypass_type.tp_basicsize = sizeof(Bypass);
  bypass_type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  bypass_type.tp_dealloc = bypass_dealloc;
  bypass_type.tp_methods = bypass_methods;
  if (PyType_Ready(&bypass_type) < 0) return -1;
  return PyModule_AddFunctions(module, source_functions);
}

}  // namespace zoocache::python
