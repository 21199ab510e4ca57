#include "python/core_type.h"

#include <frameobject.h>

#include <chrono>
#include <memory>
#include <span>

#include "python/callable.h"
#include "python/core_writes.h"
#include "python/errors.h"
#include "python/home_status.h"
#include "python/option_readers.h"
#include "python/source.h"
#include "python/static_type.h"
#include "python/tags.h"

namespace zoocache::python {

std::uint32_t Origins::current(int skip) {
  constexpr std::size_t kMost = 4096;
  PyFrameObject* frame = PyEval_GetFrame();
  if (frame == nullptr) return 0;
  Py_INCREF(frame);
  for (; skip > 0 && frame != nullptr; --skip) {
    PyFrameObject* back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  if (frame == nullptr) return 0;
  PyCodeObject* code = PyFrame_GetCode(frame);
#if PY_VERSION_HEX >= 0x030B0000
  const int place = PyFrame_GetLasti(frame);  // cheaper than the line, which is wanted once
#else
  const int place = PyFrame_GetLineNumber(frame);
#endif
  const auto key = core::fold_multiply(reinterpret_cast<std::uintptr_t>(code),
                                       0x9E3779B97F4A7C15ULL + static_cast<unsigned>(place));
  std::uint32_t origin = 0;
  const auto found = known_.find(key);
  if (found != known_.end()) {
    origin = found->second;
  } else if (places_.size() < kMost) {
    places_.push_back({reinterpret_cast<PyObject*>(code), PyFrame_GetLineNumber(frame)});
    Py_INCREF(code);
    origin = static_cast<std::uint32_t>(places_.size());
    known_.emplace(key, origin);
  }
  Py_DECREF(code);
  Py_DECREF(frame);
  return origin;
}

PyObject* Origins::text(std::uint32_t origin) const {
  if (origin == 0 || origin > places_.size()) Py_RETURN_NONE;
  const Place& place = places_[origin - 1];
  PyObject* file = PyObject_GetAttrString(place.code, "co_filename");
  if (file == nullptr) return nullptr;
  PyObject* text = PyUnicode_FromFormat("%S:%d", file, place.line);
  Py_DECREF(file);
  return text;
}

void Origins::clear() {
  std::vector<Place> places;
  places.swap(places_);
  known_.clear();
  for (const Place& place : places) Py_DECREF(place.code);
}

Py_ssize_t key_contexts = 0;

StatePtr* core_state(Core* core) {
  if (*core->state == nullptr) {
    const bool made =
        guarded([&] { *core->state = StatePtr(new EngineState(core->options->engine)); });
    if (!made) return nullptr;
  }
  return core->state;
}

void core_detach(Core* core, bool leak) {
  ++core->engines_left;
  for (CachedFunction* callable : *core->callables) callable_detach(callable, leak);
  StatePtr old;
  old.swap(*core->state);
  if (leak) static_cast<void>(new StatePtr(std::move(old)));
}

bool parse_tags(Core* self, PyObject* const* args, Py_ssize_t count, const char* what,
                std::vector<core::TagPath>* paths) {
  const std::size_t max_length = self->options->engine.max_tag_length;
  for (Py_ssize_t index = 0; index < count; ++index) {
    std::string_view text;
    if (!tag_text(args[index], what, &text)) return false;
    if (!guarded([&] { paths->push_back(core::TagPath::parse(text, max_length)); })) return false;
  }
  return true;
}

namespace {

PyObject* core_new(PyTypeObject* type, PyObject*, PyObject*) {
  auto* self = as_core(type->tp_alloc(type, 0));
  if (self == nullptr) return nullptr;
  self->state = new StatePtr;
  self->options = new CoreOptions;
  self->callables = new std::unordered_set<CachedFunction*>;
  self->origins = new Origins;
  return reinterpret_cast<PyObject*>(self);
}

void core_dealloc(PyObject* object) {
  Core* self = as_core(object);
  if (self->weakrefs != nullptr) PyObject_ClearWeakRefs(object);
  if (self->key_context != nullptr) --key_contexts;
  Py_CLEAR(self->key_context);
  delete self->state;
  delete self->options;
  delete self->callables;
  delete self->origins;
  Py_TYPE(object)->tp_free(object);
}

// `tag=` is how the older package of this name called its only parameter: the tags then are that
// one.
bool read_invalidate_keywords(PyObject* kwnames, PyObject* const** args, Py_ssize_t* count,
                              bool* waits) {
  PyObject* const* values = *args + *count;
  for (Py_ssize_t index = 0; kwnames != nullptr && index < PyTuple_GET_SIZE(kwnames); ++index) {
    PyObject* name = PyTuple_GET_ITEM(kwnames, index);
    if (PyUnicode_CompareWithASCIIString(name, "tag") == 0 && *count == 0) {
      *args = values + index;
      *count = 1;
    } else if (PyUnicode_CompareWithASCIIString(name, "wait") == 0) {
      const int truth = PyObject_IsTrue(values[index]);
      if (truth < 0) return false;
      *waits = truth == 1;
    } else {
      PyErr_Format(PyExc_TypeError,
                   "invalidate() has no option %R beside its tags; it has wait=", name);
      return false;
    }
  }
  return true;
}

// Until no process serves what was killed. Throws HomeUnreachable.
void wait_everywhere(core::InvalidationLog& log, core::Epoch epoch) {
  constexpr std::chrono::seconds kLongest{120};  // a lease is 60 s at the most
  core::LogHome* const home = log.home();
  if (home == nullptr || home->wait_applied(home->position().generation, epoch, kLongest)) return;
  throw HomeUnreachable(
      "invalidated, but whether every process has heard of it could not be found out in time");
}

// Declares the paths changed; with a home, without the GIL. The epoch, or nullptr with an error.
PyObject* declare(const StatePtr& state, std::span<const core::TagPath> paths, std::uint32_t origin,
                  bool waits) {
  core::InvalidationLog& log = state->engine.log();
  core::Epoch epoch = 0;
  std::uint64_t generation = 0;
  const bool done = declared(log, [&] {
    epoch = log.invalidate(paths, origin);
    if (log.home() != nullptr) generation = log.home()->position().generation;
    if (waits) wait_everywhere(log, epoch);
  });
  if (!done) return nullptr;
  if (log.home() == nullptr) return PyLong_FromUnsignedLongLong(epoch);
  static PyObject* receipt = nullptr;
  if (receipt == nullptr) {
    PyObject* module = PyImport_ImportModule("zoocache._receipt");
    if (module == nullptr) return nullptr;
    receipt = PyObject_GetAttrString(module, "Receipt");
    Py_DECREF(module);
    if (receipt == nullptr) return nullptr;
  }
  return PyObject_CallFunction(receipt, "KK", epoch, generation);
}

// (generation, epoch, timeout_s) -> "yes", "late" or "unknown"; without the GIL. See core::reach.
PyObject* core_reach(PyObject* object, PyObject* args) {
  unsigned long long generation, epoch;
  double timeout_s;
  if (!PyArg_ParseTuple(args, "KKd", &generation, &epoch, &timeout_s)) return nullptr;
  StatePtr* state = core_state(as_core(object));
  if (state == nullptr) return nullptr;
  const StatePtr kept = *state;
  core::Reached reached = core::Reached::kYes;
  const std::chrono::nanoseconds timeout(static_cast<std::int64_t>(timeout_s * 1e9));
  const bool done = guarded_without_gil(
      [&] { reached = core::reach(kept->engine.log(), generation, epoch, timeout); });
  if (!done) return nullptr;
  const char* const told = reached == core::Reached::kYes    ? "yes"
                           : reached == core::Reached::kLate ? "late"
                                                             : "unknown";
  return PyUnicode_FromString(told);
}

// (*tags, wait=False) -> epoch
PyObject* core_invalidate(PyObject* object, PyObject* const* args, Py_ssize_t count,
                          PyObject* kwnames) {
  Core* self = as_core(object);
  bool waits = false;
  if (!read_invalidate_keywords(kwnames, &args, &count, &waits)) return nullptr;
  StatePtr* state = core_state(self);
  if (state == nullptr) return nullptr;
  if (count == 1 && (*state)->engine.log().home() == nullptr) {  // usual, and allocates nothing
    std::string_view text;
    if (!tag_text(args[0], "invalidate", &text)) return nullptr;
    const std::uint32_t origin = self->origins->current(0);
    core::Epoch epoch = 0;
    const bool done = guarded([&] {
      const auto path = core::TagPath::parse(text, self->options->engine.max_tag_length);
      epoch = (*state)->engine.log().apply(path, origin);
    });
    return done ? PyLong_FromUnsignedLongLong(epoch) : nullptr;
  }
  std::vector<core::TagPath> paths;
  if (!parse_tags(self, args, count, "invalidate", &paths)) return nullptr;
  if (paths.empty()) {
    PyErr_SetString(PyExc_TypeError, "invalidate() wants at least one tag; clear() drops all");
    return nullptr;
  }
  const StatePtr kept = *state;  // others may reset the cache meanwhile
  return declare(kept, paths, self->origins->current(0), waits);
}

// (origin, tags, wait) -> epoch, for callers that noted the place themselves.
PyObject* core_invalidate_from(PyObject* object, PyObject* const* args, Py_ssize_t count) {
  Core* self = as_core(object);
  StatePtr* state = core_state(self);
  if (state == nullptr || count != 3 || !PyTuple_Check(args[1])) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "(origin, tags, wait) wanted");
    return nullptr;
  }
  const auto origin = static_cast<std::uint32_t>(PyLong_AsUnsignedLong(args[0]));
  const bool waits = args[2] == Py_True;
  if (PyErr_Occurred()) return nullptr;
  std::vector<core::TagPath> paths;
  auto* tags = reinterpret_cast<PyTupleObject*>(args[1]);
  if (!parse_tags(self, tags->ob_item, PyTuple_GET_SIZE(tags), "invalidate", &paths)) {
    return nullptr;
  }
  if (paths.empty()) {
    PyErr_SetString(PyExc_TypeError, "invalidate() wants at least one tag; clear() drops all");
    return nullptr;
  }
  const StatePtr kept = *state;
  return declare(kept, paths, origin, waits);
}

PyObject* core_origin(PyObject* object, PyObject* skip) {
  const long frames = PyLong_AsLong(skip);
  if (frames == -1 && PyErr_Occurred()) return nullptr;
  return PyLong_FromUnsignedLong(as_core(object)->origins->current(static_cast<int>(frames)));
}

PyObject* core_clear(PyObject* object, PyObject*) {
  Core* self = as_core(object);
  StatePtr* state = core_state(self);
  if (state == nullptr) return nullptr;
  const StatePtr kept = *state;  // destructors of values may reset the cache
  core::InvalidationLog& log = kept->engine.log();
  const std::uint32_t origin = self->origins->current(0);
  const bool done = declared(log, [&] { log.invalidate_root(origin); });
  PyObject* error = done ? nullptr : take_error();
  core::Removed removed(log);
  kept->engine.clear(removed);
  removed.flush();  // runs users' destructors
  if (done) Py_RETURN_NONE;
  put_error(error);
  return nullptr;
}

PyObject* core_reset(PyObject* object, PyObject*) {
  Core* self = as_core(object);
  core_detach(self, false);
  self->origins->clear();
  *self->options = CoreOptions{};
  Py_RETURN_NONE;
}

PyObject* core_after_fork(PyObject* object, PyObject*) {
  core_detach(as_core(object), true);
  Py_RETURN_NONE;
}

// (callable): from now on what it gives, without arguments, is a part of every key; None: nothing.
PyObject* core_set_key_context(PyObject* object, PyObject* callable) {
  Core* self = as_core(object);
  PyObject* given = callable == Py_None ? nullptr : Py_NewRef(callable);
  key_contexts += (given != nullptr) - (self->key_context != nullptr);
  Py_XSETREF(self->key_context, given);
  Py_RETURN_NONE;
}

// For tests: from now on the time of entries is what they say, in seconds, until reset().
PyObject* core_set_time(PyObject* object, PyObject* seconds) {
  StatePtr* state = core_state(as_core(object));
  const double now_s = PyFloat_AsDouble(seconds);
  if (state == nullptr || PyErr_Occurred() != nullptr) return nullptr;
  (*state)->hand_clock.now = static_cast<std::int64_t>(now_s * 1e9);
  (*state)->engine.set_time_source(&(*state)->hand_clock);
  Py_RETURN_NONE;
}

// (options): a dict of what differs from the defaults, its types checked by the caller. The next
// use makes an engine with them.
PyObject* core_configure(PyObject* object, PyObject* options) {
  Core* self = as_core(object);
  if (!PyDict_Check(options)) {
    PyErr_SetString(PyExc_TypeError, "a dict of options is wanted");
    return nullptr;
  }
  CoreOptions made;
  const bool read = read_size(options, "max_entries", &made.engine.max_entries) &&
                    read_size(options, "max_bytes", &made.engine.max_bytes) &&
                    read_size(options, "max_tag_length", &made.engine.max_tag_length) &&
                    read_size(options, "ring_records", &made.engine.ring_records) &&
                    read_size(options, "explain_records", &made.engine.explain_records) &&
                    read_size(options, "invalidation_records", &made.engine.invalidation_records) &&
                    read_seconds(options, "flight_timeout", &made.engine.flight_timeout_s) &&
                    read_seconds(options, "default_ttl", &made.default_ttl_s) &&
                    read_flag(options, "read_extend_ttl", &made.read_extend_ttl) &&
                    read_flag(options, "debug", &made.debug);
  if (!read) return nullptr;
  made.engine.default_ttl_s = made.default_ttl_s;
  if (!read_homes(options, &made.engine)) return nullptr;
  if (!guarded([&] { core::check_options(made.engine); })) return nullptr;
  core_detach(self, false);
  *self->options = made;
  Py_RETURN_NONE;
}

PyObject* core_used(PyObject* object, PyObject*) {
  return PyBool_FromLong(*as_core(object)->state != nullptr);
}

// Whether the log is shared: then to invalidate may wait for other processes.
PyObject* core_has_home(PyObject* object, PyObject*) {
  return PyBool_FromLong(as_core(object)->options->engine.home != nullptr);
}

// Whether values are shared: then to look for one may wait.
PyObject* core_has_storage(PyObject* object, PyObject*) {
  return PyBool_FromLong(as_core(object)->options->engine.storage != nullptr);
}

// What is known of the home; None without one.
PyObject* core_home(PyObject* object, PyObject*) {
  StatePtr* state = core_state(as_core(object));
  if (state == nullptr) return nullptr;
  const StatePtr kept = *state;
  core::LogHome* home = kept->engine.log().home();
  if (home == nullptr) Py_RETURN_NONE;
  HomeStatus told;
  if (!guarded_without_gil([&] { told = home->status(); })) return nullptr;
  return home_dict(told);
}

// How the storage does, which is asked; None without one.
PyObject* core_storage(PyObject* object, PyObject*) {
  StatePtr* state = core_state(as_core(object));
  if (state == nullptr) return nullptr;
  const std::shared_ptr<core::SecondLevel> level = (*state)->engine.level();
  if (level == nullptr) Py_RETURN_NONE;
  StorageStatus told;
  if (!guarded_without_gil([&] { told = level->status(); })) return nullptr;
  return storage_dict(told);
}

constexpr char kInvalidateDoc[] =
    "invalidate($self, /, *tags, wait=False)\n--\n\n"
    "Declares that what the tags name has changed.\n\n"
    "When it has returned, no call that starts later returns a value that was loaded before it "
    "and\n"
    "depends on one of the tags or on anything below one. Several tags are one invalidation. The\n"
    "cost does not depend on the number of entries.\n\n"
    "Args:\n"
    "    *tags: strs such as 'user:42'; at least one.\n"
    "    wait: wait for other processes; in one process there is nothing to wait for.\n\n"
    "Returns:\n"
    "    The epoch of the invalidation, an int.\n\n"
    "Raises:\n"
    "    InvalidTag: a tag breaks a rule; nothing was invalidated.\n"
    "    TypeError: a tag is not a str, or there is none.\n"
    "    HomeUnreachable: the shared home did not acknowledge it. It is done in this process, and\n"
    "        tried again in the home.\n\n"
    "Thread-safe.";
constexpr char kClearDoc[] =
    "clear($self, /)\n--\n\n"
    "Drops every entry and gives back the memory; loads in flight are returned and not stored.\n\n"
    "Thread-safe.";

PyMethodDef core_methods[] = {
    {"invalidate", method_pointer(core_invalidate), METH_FASTCALL | METH_KEYWORDS, kInvalidateDoc},
    {"invalidate_from", method_pointer(core_invalidate_from), METH_FASTCALL, nullptr},
    {"origin", core_origin, METH_O, nullptr},
    {"begin_write", core_begin_write, METH_O, nullptr},
    {"end_write", core_end_write, METH_VARARGS, nullptr},
    {"cancel_write", core_cancel_write, METH_VARARGS, nullptr},
    {"moment", core_moment, METH_NOARGS, nullptr},
    {"note_read", core_note_read, METH_VARARGS, nullptr},
    {"bypass", core_bypass, METH_O, nullptr},
    {"clear", core_clear, METH_NOARGS, kClearDoc},
    {"reset", core_reset, METH_NOARGS, nullptr},
    {"after_fork", core_after_fork, METH_NOARGS, nullptr},
    {"configure", core_configure, METH_O, nullptr},
    {"set_key_context", core_set_key_context, METH_O, nullptr},
    {"has_home", core_has_home, METH_NOARGS, nullptr},
    {"reach", core_reach, METH_VARARGS, nullptr},
    {"has_storage", core_has_storage, METH_NOARGS, nullptr},
    {"home", core_home, METH_NOARGS, nullptr},
    {"storage", core_storage, METH_NOARGS, nullptr},
    {"used", core_used, METH_NOARGS, nullptr},
    {"set_time", core_set_time, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyTypeObject CoreType = static_type();

int init_core_type(PyObject* module) {
  CoreType.tp_name = "zoocache._zoocache.Core";
  CoreType.tp_basicsize = sizeof(Core);
  CoreType.tp_flags = Py_TPFLAGS_DEFAULT;
  CoreType.tp_new = core_new;
  CoreType.tp_dealloc = core_dealloc;
  CoreType.tp_methods = core_methods;
  CoreType.tp_weaklistoffset = offsetof(Core, weakrefs);
  if (PyType_Ready(&CoreType) < 0) return -1;
  return PyModule_AddObjectRef(module, "Core", reinterpret_cast<PyObject*>(&CoreType));
}

}  // namespace zoocache::python
