// `_zoocache.CachedFunction`: a decorated function. It is called through vectorcall; a hit on the
// usual arguments runs no Python code and allocates nothing.
//
// Entries belong to the callable for the garbage collector: it visits the keys and values that can
// be part of a cycle and drops them all when it is cleared.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <unordered_map>

#include "python/binding.h"
#include "python/core_type.h"
#include "python/state.h"

namespace zoocache::python {

enum class DepsKind : std::uint8_t { kNone, kConstant, kTemplate, kCallable };

// What the decorator was told. Objects are strong, nullptr when not given.
struct CallableOptions : AgingOptions {
  DepsKind deps_kind = DepsKind::kNone;
  PyObject* deps = nullptr;               // tuple of strs, renderer of values, or callable
  PyObject* ttl_of_value = nullptr;       // callable of the value
  PyObject* store_if = nullptr;           // callable of the value
  PyObject* size_of_value = nullptr;      // callable of the value
  PyObject* cached_errors = nullptr;      // tuple of exception classes
  PyObject* on_store = nullptr;           // callable of the value: what is kept (isolate, debug)
  PyObject* on_hit = nullptr;             // callable of what was kept: what is handed out
  PyObject* start_refresh = nullptr;      // (fn, args, kwargs): loads in the background
  PyObject* level_plan = nullptr;         // (): the function's name in the second level and its
                                          // classes, or None; see zoocache._level
  PyObject* level = nullptr;              // what it gave, once it was asked
  PyObject* on_unserializable = nullptr;  // callable of the error; not given: it is raised
  PyObject* shared_as = nullptr;          // str: its name in every process; not given: its own
  PyObject* load_softly = nullptr;  // (fn, args, kwargs, timeout_s): the same, and waits for it
  PyObject* on_load = nullptr;      // (loader, reason, *args, **kwargs): called in place of it
  PyObject* on_verified = nullptr;  // (fn, args, kwargs, evidence, kept, fresh, error): hits are
                                    // loaded anew, see call_verify.cpp
  double ttl_s = -1;                // < 0: the core's default; 0: none
  double error_ttl_s = -1;          // < 0: as ttl_s
  double flight_timeout_s = -1;     // < 0: the core's
  double verify = 0;                // the share of hits that `on_verified` is for
  bool sliding = false;
  bool is_async = false;
  bool raise_on_timeout = false;
  bool is_off = false;         // nothing is cached: every call runs the function
  bool hit_sees_call = false;  // on_hit gets (kept, args, kwargs)
  bool looks_at_hits = false;  // derived: a hit is more than handing out the value
  std::size_t max_entries = kUnbounded;
  std::size_t max_bytes = kUnbounded;
};

struct InstanceToken;

struct CachedFunction {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* dict;
  PyObject* weakrefs;
  PyObject* wrapped;     // the user's function; nullptr once cleared
  Core* core;            // strong
  Signature* signature;  // heap: it is replaced when a class body names the function a method
  CallableOptions* options;
  PyObject* reload_signature;  // callable(is_method) -> data for a Signature
  StatePtr* state;
  // Of `state`'s engine; nullptr while detached. the others spare the hit a few loads.
  Function* function;
  core::Engine<Policy>* engine;
  core::EntrySlab* slab;
  core::InvalidationLog* log;
  // Instances whose methods have entries: address -> weak reference (strong).
  std::unordered_map<PyObject*, PyObject*>* instances;
  std::uint64_t hits_before_clear;
  std::uint64_t misses_before_clear;
};

extern PyTypeObject CachedFunctionType;
int init_callable_type(PyObject* module);

inline bool is_cached_function(PyObject* object) { return Py_TYPE(object) == &CachedFunctionType; }

// Registers with the core's present engine if it is not yet. False with a Python error.
bool callable_attach_slow(CachedFunction* self);
inline bool callable_attach(CachedFunction* self) {
  return self->function != nullptr || callable_attach_slow(self);
}
// Forgets the engine; `leak` as at core_detach.
void callable_detach(CachedFunction* self, bool leak);

inline constexpr char kInvalidateCallDoc[] =
    "Kills the entry for these arguments, loads of it in flight, and outer entries that used it.";
inline constexpr char kRefreshDoc[] =
    "Loads anew for these arguments and returns the new value; awaitable for async functions.";
inline constexpr char kPeekDoc[] =
    "The cached value for these arguments, or default=None; loads and counts nothing.";
inline constexpr char kGetManyDoc[] =
    "get_many($self, items, /, *, load=None)\n--\n\n"
    "The values for the items, in their order: as the function's own calls would give them, with\n"
    "one round trip to the second level instead of one for each. load(missing) loads all that is\n"
    "found nowhere, and returns the values in the order of its list; without it the function is\n"
    "called for each. Awaitable for async functions.";

// Methods of the callable for given call arguments; new references or nullptr with an error.
PyObject* callable_invalidate(CachedFunction* self, PyObject* const* args, size_t nargsf,
                              PyObject* kwnames);
PyObject* callable_refresh(CachedFunction* self, PyObject* const* args, size_t nargsf,
                           PyObject* kwnames);
// Loads, whatever there is, unless another load of the key runs: a tuple of the value, or None.
PyObject* callable_reload(CachedFunction* self, PyObject* const* args, size_t nargsf,
                          PyObject* kwnames);
PyObject* callable_peek(CachedFunction* self, PyObject* const* args, size_t nargsf,
                        PyObject* kwnames);
// (items, load=): all the values at once, see batch.h. `of_instance`: args[0] is the instance or
// class that the function is bound to.
PyObject* get_many(CachedFunction* self, PyObject* const* args, size_t nargsf, PyObject* kwnames,
                   bool of_instance);
inline PyObject* callable_get_many(CachedFunction* self, PyObject* const* args, size_t nargsf,
                                   PyObject* kwnames) {
  return get_many(self, args, nargsf, kwnames, false);
}
inline PyObject* method_get_many(CachedFunction* self, PyObject* const* args, size_t nargsf,
                                 PyObject* kwnames) {
  return get_many(self, args, nargsf, kwnames, true);
}

}  // namespace zoocache::python
