// `_zoocache.Core`: one cache as Python holds it. It owns the engine, makes a new one when it is
// configured, reset or forked, and knows its callables so that it can detach them.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "python/errors.h"
#include "python/state.h"

namespace zoocache::python {

struct CachedFunction;

// Where invalidations came from, for `explain`: numbers that the log can carry.
class Origins {
 public:
  ~Origins() { clear(); }
  // The Python line that is `skip` frames above the running one; 0 when there is none or the
  // table is full.
  std::uint32_t current(int skip);
  // New reference to "file.py:41", or None.
  PyObject* text(std::uint32_t origin) const;
  void clear();

 private:
  struct Place {
    PyObject* code;  // strong
    int line;
  };
  std::vector<Place> places_;
  std::unordered_map<std::uint64_t, std::uint32_t> known_;
};

struct CoreOptions {
  Options engine;
  double default_ttl_s = 0;
  bool read_extend_ttl = false;  // entries that live by the default ttl slide
  bool debug = false;            // hits check that the value was not mutated
};

struct Core {
  PyObject_HEAD PyObject* weakrefs;
  StatePtr* state;  // heap: the object is allocated by Python
  CoreOptions* options;
  std::unordered_set<CachedFunction*>* callables;
  Origins* origins;
  std::uint64_t engines_left;  // how many engines were forgotten: tells one from the next
  PyObject* key_context;       // strong; () -> a part of every key; nullptr: none
};
inline Core* as_core(PyObject* self) { return reinterpret_cast<Core*>(self); }

// How many cores have a `key_context`.
extern Py_ssize_t key_contexts;

extern PyTypeObject CoreType;
int init_core_type(PyObject* module);

// The engine, made at the first use. nullptr with a Python error.
StatePtr* core_state(Core* core);
// Forgets engine, entries and flights; callables attach anew at their next call. `leak`: after
// fork, in the child: what belongs to the parent's threads is not destroyed.
void core_detach(Core* core, bool leak);

// Parses all of the tags before anything changes; `what` wants them. False with a Python error.
bool parse_tags(Core* core, PyObject* const* tags, Py_ssize_t count, const char* what,
                std::vector<core::TagPath>* paths);

// Declares through the log what `code` does; without the GIL where that waits for other processes.
// False with a Python error.
template <class Code>
bool declared(const core::InvalidationLog& log, Code&& code) {
  return log.home() == nullptr ? guarded(code) : guarded_without_gil(code);
}

}  // namespace zoocache::python
