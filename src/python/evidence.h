// `_zoocache.Evidence`: what the value of a hit that is verified depends on, and whether any of it
// was invalidated since the value was loaded.
// Thread-safety: the GIL guards everything; it is given back while a home is asked.
#pragma once

#include <Python.h>

#include <cstdint>
#include <optional>

#include "core/dep_set.h"
#include "python/state.h"

namespace zoocache::python {

struct CachedFunction;

struct Evidence {
  // Keeps the engine, and with it the nodes that the dependencies refer to.
  struct Held {
    StatePtr state;
    core::DepSet deps;
    Function* function;
    std::uint64_t hash;
    core::Epoch born;
    std::int64_t expires_ns;
    bool
        conclusive;  // the load that it is compared with saw data no older, and nothing uncommitted
  };
  PyObject_HEAD CachedFunction* callable;  // strong
  std::optional<Held> held;
};

extern PyTypeObject EvidenceType;
int init_evidence(PyObject* module);

// Of an entry; nullptr with an error.
Evidence* new_evidence(CachedFunction* callable, const StatePtr& state, core::EntryId id);

}  // namespace zoocache::python
