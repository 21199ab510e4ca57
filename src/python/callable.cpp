#include "python/callable.h"

#include "python/awaitable.h"
#include "python/call.h"
#include "python/callable_options.h"
#include "python/errors.h"
#include "python/method.h"
#include "python/quick_hit.h"
#include "python/static_type.h"
#include "python/sync_call.h"

namespace zoocache::python {

PyTypeObject CachedFunctionType = static_type();

namespace {

CachedFunction* as_callable(PyObject* object) { return reinterpret_cast<CachedFunction*>(object); }

PyObject* call_sync(PyObject* object, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  CachedFunction* self = as_callable(object);
  PyObject* value = quick_hit(self, args, nargsf, kwnames);
  if (value != nullptr) return value;
  if (PyErr_Occurred() != nullptr) return nullptr;
  return call_slow(self, args, nargsf, kwnames, false);
}

PyObject* call_async(PyObject* object, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  return new_awaitable(as_callable(object), args, nargsf, kwnames, CallKind::kCall);
}

// configure(enabled=False): as if the function were not decorated. Under a load, which began when
// the cache was on or is another cache's, the call passes the cache by and is still known of there.
PyObject* call_off(PyObject* object, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  CachedFunction* self = as_callable(object);
  const bool is_plain = self->wrapped != nullptr && (open_loads == 0 || !in_load());
  if (is_plain) return PyObject_Vectorcall(self->wrapped, args, nargsf, kwnames);
  return self->options->is_async ? call_async(object, args, nargsf, kwnames)
                                 : call_slow(self, args, nargsf, kwnames, false);
}

void choose_call(CachedFunction* self) {
  const CallableOptions& options = *self->options;
  self->vectorcall = options.is_off ? call_off : options.is_async ? call_async : call_sync;
}

}  // namespace

namespace {

// The name that the function has in every process; for what has none, its type's.
bool shared_name(PyObject* wrapped, std::string* name) {
  for (const char* part : {"__module__", "__qualname__"}) {
    PyObject* text = PyObject_GetAttrString(wrapped, part);
    if (text == nullptr) {
      PyErr_Clear();
      text = PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(wrapped)), part);
    }
    const char* utf8 = text == nullptr ? nullptr : PyUnicode_AsUTF8(text);
    const bool added = utf8 != nullptr && guarded([&] { (*name += utf8) += '.'; });
    Py_XDECREF(text);
    if (!added) return false;
  }
  return true;
}

// By it others are told of its invalidations: the one that its stored values have.
bool find_name(const CachedFunction* self, std::string* name) {
  PyObject* given = self->options->shared_as;
  if (given == nullptr) return self->wrapped == nullptr || shared_name(self->wrapped, name);
  const char* utf8 = PyUnicode_AsUTF8(given);
  return utf8 != nullptr && guarded([&] { *name = utf8; });
}

}  // namespace

bool callable_attach_slow(CachedFunction* self) {
  std::string name;
  StatePtr* state = core_state(self->core);
  if (state == nullptr) return false;
  if (!find_name(self, &name)) {
    // To others it has to be told by its name; here that is for people alone.
    if ((*state)->engine.log().home() != nullptr) return false;
    PyErr_Clear();
    name.clear();
  }
  state = core_state(self->core);  // asking for a name may run users' code
  if (state == nullptr) return false;
  FunctionOptions options;
  options.max_entries = self->options->max_entries;
  options.max_bytes = self->options->max_bytes;
  options.aging = *self->options;
  const bool added =
      guarded([&] { self->function = &(*state)->engine.add_function(name, options, drop_entry); });
  if (!added) return false;
  *self->state = *state;
  self->engine = &(*state)->engine;
  self->slab = &(*state)->engine.slab();
  self->log = &(*state)->engine.log();
  return true;
}

void callable_detach(CachedFunction* self, bool leak) {
  self->function = nullptr;
  self->engine = nullptr;
  self->slab = nullptr;
  self->log = nullptr;
  self->hits_before_clear = 0;
  self->misses_before_clear = 0;
  if (leak) {
    static_cast<void>(new StatePtr(std::move(*self->state)));
  }
  self->state->reset();
}

namespace {

using Fast = PyObject* (*)(CachedFunction*, PyObject* const*, size_t, PyObject*);

template <Fast Method>
PyObject* fast_method(PyObject* object, PyObject* const* args, Py_ssize_t count,
                      PyObject* kwnames) {
  return Method(as_callable(object), args, static_cast<size_t>(count), kwnames);
}

// (key, value, tags, ttl_s): kills what there was under the key and stores the value as of now.
PyObject* callable_replace(PyObject* object, PyObject* args) {
  PyObject *key, *value, *tags;
  double ttl_s;
  if (!PyArg_ParseTuple(args, "OOOd", &key, &value, &tags, &ttl_s)) return nullptr;
  CachedFunction* self = as_callable(object);
  Call* call = new Call(self, &key, 1, nullptr);
  PyObject* done = call->prepare() == kBound ? call->replace(value, tags, ttl_s) : nullptr;
  delete call;
  return done;
}

PyObject* callable_cache_clear(PyObject* object, PyObject*) {
  CachedFunction* self = as_callable(object);
  if (!callable_attach(self)) return nullptr;
  const StatePtr state = *self->state;
  core::InvalidationLog& log = state->engine.log();
  const core::HiddenTag all(self->function->tag_id);
  const std::uint32_t origin = self->core->origins->current(0);
  if (!declared(log, [&] { log.invalidate(all.path(), origin); })) return nullptr;
  if (!callable_attach(self)) return nullptr;
  if (&(*self->state)->engine != &state->engine) Py_RETURN_NONE;  // reset meanwhile: it is empty
  core::Removed removed(log);
  state->engine.clear_function(*self->function, removed);
  self->hits_before_clear = self->function->hits.sum();
  self->misses_before_clear = self->function->counters.misses.load(std::memory_order_relaxed);
  removed.flush();
  Py_RETURN_NONE;
}

// (hits, misses, maxsize, currsize)
PyObject* callable_counts(PyObject* object, PyObject*) {
  CachedFunction* self = as_callable(object);
  if (!callable_attach(self)) return nullptr;
  const std::uint64_t misses =
      self->function->counters.misses.load(std::memory_order_relaxed) - self->misses_before_clear;
  const std::size_t limit = self->options->is_off ? 0 : self->options->max_entries;
  PyObject* most = limit == kUnbounded ? Py_NewRef(Py_None) : PyLong_FromSize_t(limit);
  if (most == nullptr) return nullptr;
  return Py_BuildValue("(KKNn)", self->function->hits.sum() - self->hits_before_clear, misses, most,
                       static_cast<Py_ssize_t>(self->function->index.live()));
}

PyObject* callable_cache_info(PyObject* object, PyObject*) {
  PyObject* counts = callable_counts(object, nullptr);
  if (counts == nullptr) return nullptr;
  PyObject* module = PyImport_ImportModule("zoocache._told");
  PyObject* type = module == nullptr ? nullptr : PyObject_GetAttrString(module, "CacheInfo");
  PyObject* info = type == nullptr ? nullptr : PyObject_CallObject(type, counts);
  Py_XDECREF(type);
  Py_XDECREF(module);
  Py_DECREF(counts);
  return info;
}

PyObject* callable_cache_parameters(PyObject* object, PyObject*) {
  PyObject* parameters = PyObject_GetAttrString(object, "_parameters");
  if (parameters == nullptr) return nullptr;
  PyObject* copy = PyDict_Copy(parameters);
  Py_DECREF(parameters);
  return copy;
}

// (options): those that follow the cache's own when it is configured anew.
PyObject* callable_update(PyObject* object, PyObject* options) {
  if (!PyDict_Check(options)) {
    PyErr_SetString(PyExc_TypeError, "a dict of options is wanted");
    return nullptr;
  }
  if (!read_callable_options(options, as_callable(object)->options)) return nullptr;
  choose_call(as_callable(object));
  Py_RETURN_NONE;
}

PyObject* callable_get(PyObject* object, PyObject* instance, PyObject*) {
  if (instance == nullptr || instance == Py_None) return Py_NewRef(object);
  return new_method(as_callable(object), instance);
}

// A class body names its functions: from here on the first parameter is the instance.
PyObject* callable_set_name(PyObject* object, PyObject* args) {
  CachedFunction* self = as_callable(object);
  PyObject *owner, *name;
  if (!PyArg_ParseTuple(args, "OO", &owner, &name)) return nullptr;
  if (self->signature->has_older()) Py_RETURN_NONE;  // of another class: it is a method already
  PyObject* data = PyObject_CallOneArg(self->reload_signature, Py_True);
  if (data == nullptr) return nullptr;
  auto* signature = new Signature;
  const int loaded = signature->load(data);
  Py_DECREF(data);
  if (loaded < 0) {
    delete signature;
    return nullptr;
  }
  // A call that computes its key now, and whose arguments' code called this, goes on with the old.
  signature->keep(self->signature);
  self->signature = signature;
  Py_RETURN_NONE;
}

PyObject* callable_reduce(PyObject* object, PyObject*) {
  PyObject* name = PyObject_GetAttrString(object, "__qualname__");
  if (name == nullptr && PyErr_ExceptionMatches(PyExc_AttributeError)) {
    PyErr_Format(PyExc_TypeError,
                 "cannot pickle %R: cached functions pickle by module and qualified name, and this "
                 "one has none; decorate a def at module level",
                 object);
  }
  return name;
}
PyObject* callable_copy(PyObject* object, PyObject*) { return Py_NewRef(object); }

PyObject* callable_repr(PyObject* object) {
  CachedFunction* self = as_callable(object);
  return PyUnicode_FromFormat("<cached %R>", self->wrapped == nullptr ? Py_None : self->wrapped);
}

PyObject* callable_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *wrapped, *core, *data, *options, *reload;
  if (!PyArg_ParseTuple(args, "OO!OO!O", &wrapped, &CoreType, &core, &data, &PyDict_Type, &options,
                        &reload)) {
    return nullptr;
  }
  auto* self = as_callable(type->tp_alloc(type, 0));
  if (self == nullptr) return nullptr;
  self->signature = new Signature;
  self->options = new CallableOptions;
  self->state = new StatePtr;
  self->instances = new std::unordered_map<PyObject*, PyObject*>;
  self->wrapped = Py_NewRef(wrapped);
  self->reload_signature = Py_NewRef(reload);
  self->core = reinterpret_cast<Core*>(Py_NewRef(core));
  self->core->callables->insert(self);
  if (self->signature->load(data) < 0 || !read_callable_options(options, self->options)) {
    Py_DECREF(self);
    return nullptr;
  }
  choose_call(self);
  return reinterpret_cast<PyObject*>(self);
}

int callable_traverse(PyObject* object, visitproc visit, void* arg) {
  CachedFunction* self = as_callable(object);
  Py_VISIT(self->wrapped);
  Py_VISIT(self->dict);
  Py_VISIT(self->reload_signature);
  int answer = self->signature == nullptr ? 0 : self->signature->traverse(visit, arg);
  if (answer == 0 && self->options != nullptr) {
    answer = traverse_callable_options(*self->options, visit, arg);
  }
  // Most caches hold nothing that can be part of a cycle: then there is nothing to look at.
  if (answer != 0 || self->function == nullptr || self->function->counted == 0) return answer;
  self->function->index.for_each([&](core::EntryId id) {
    const core::HotEntry& hot = self->slab->hot(id);
    const std::uint64_t state = hot.state.load(std::memory_order_relaxed);
    if ((state & kCollectable) == 0 || answer != 0) return;
    answer = visit(to_object(hot.value), arg);
    if (answer == 0 && (state & kKeyIsInt) == 0) answer = visit(to_object(hot.key), arg);
  });
  return answer;
}

void leave_engine(CachedFunction* self) {
  if (self->function == nullptr) return;
  const StatePtr state = *self->state;
  core::Removed removed(state->engine.log());
  Function* function = self->function;
  callable_detach(self, false);
  state->engine.remove_function(*function, removed);
  removed.flush();
}

int callable_clear(PyObject* object) {
  CachedFunction* self = as_callable(object);
  leave_engine(self);
  drop_instances(self);
  Py_CLEAR(self->wrapped);
  Py_CLEAR(self->dict);
  Py_CLEAR(self->reload_signature);
  if (self->options != nullptr) clear_callable_options(*self->options);
  return 0;
}

void callable_dealloc(PyObject* object) {
  CachedFunction* self = as_callable(object);
  PyObject_GC_UnTrack(object);
  if (self->weakrefs != nullptr) PyObject_ClearWeakRefs(object);
  if (self->core != nullptr) self->core->callables->erase(self);
  callable_clear(object);
  delete self->signature;
  delete self->options;
  delete self->state;
  delete self->instances;
  Py_XDECREF(reinterpret_cast<PyObject*>(self->core));
  Py_TYPE(object)->tp_free(object);
}

PyMethodDef callable_methods[] = {
    {"invalidate", method_pointer(fast_method<callable_invalidate>), METH_FASTCALL | METH_KEYWORDS,
     kInvalidateCallDoc},
    {"refresh", method_pointer(fast_method<callable_refresh>), METH_FASTCALL | METH_KEYWORDS,
     kRefreshDoc},
    {"_reload", method_pointer(fast_method<callable_reload>), METH_FASTCALL | METH_KEYWORDS,
     nullptr},
    {"peek", method_pointer(fast_method<callable_peek>), METH_FASTCALL | METH_KEYWORDS, kPeekDoc},
    {"get_many", method_pointer(fast_method<callable_get_many>), METH_FASTCALL | METH_KEYWORDS,
     kGetManyDoc},
    {"replace", callable_replace, METH_VARARGS, nullptr},
    {"cache_clear", callable_cache_clear, METH_NOARGS,
     "Kills every entry of this function, loads in flight, and outer entries that used it."},
    {"update_options", callable_update, METH_O, nullptr},
    {"cache_info", callable_cache_info, METH_NOARGS,
     "hits, misses, maxsize and currsize, as functools.lru_cache tells them."},
    {"cache_parameters", callable_cache_parameters, METH_NOARGS,
     "maxsize and typed, as functools.lru_cache tells them."},
    {"__set_name__", callable_set_name, METH_VARARGS, nullptr},
    {"__reduce__", callable_reduce, METH_NOARGS, nullptr},
    {"__copy__", callable_copy, METH_NOARGS, nullptr},
    {"__deepcopy__", callable_copy, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef callable_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

}  // namespace

int init_callable_type(PyObject* module) {
  PyTypeObject& type = CachedFunctionType;
  type.tp_name = "zoocache._zoocache.CachedFunction";
  type.tp_basicsize = sizeof(CachedFunction);
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                  Py_TPFLAGS_METHOD_DESCRIPTOR;
  type.tp_vectorcall_offset = offsetof(CachedFunction, vectorcall);
  type.tp_call = PyVectorcall_Call;
  type.tp_new = callable_new;
  type.tp_dealloc = callable_dealloc;
  type.tp_traverse = callable_traverse;
  type.tp_clear = callable_clear;
  type.tp_repr = callable_repr;
  type.tp_methods = callable_methods;
  type.tp_getset = callable_getset;
  type.tp_dictoffset = offsetof(CachedFunction, dict);
  type.tp_weaklistoffset = offsetof(CachedFunction, weakrefs);
  type.tp_descr_get = callable_get;
  if (PyType_Ready(&type) < 0) return -1;
  return PyModule_AddObjectRef(module, "CachedFunction", reinterpret_cast<PyObject*>(&type));
}

}  // namespace zoocache::python
