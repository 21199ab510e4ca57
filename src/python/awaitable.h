// `_zoocache.CachedAwaitable`: what calling a cached async function returns.
//
//   kNew ── first send ── hit ──────────────> StopIteration(value), kDone
//             ├─ leads ──> kLoading: every send goes to the loader's coroutine, inside its frame
//             └─ follows > kWaiting: every send goes to a waiter of the running event loop
//
// Look-up and `born` happen at the first send. It has send, throw and close, so it is a
// collections.abc.Coroutine and tasks take it. The load frame is the current one only during a
// send, never across a suspension.
// Thread-safety: the GIL guards everything; one await at a time, as of any coroutine.
#pragma once

#include <Python.h>

#include "python/callable.h"

namespace zoocache::python {

int init_awaitable(PyObject* module);
bool is_awaitable_of_call(PyObject* object);

// kRefresh kills the key first; kReload is callable_reload's.
enum class CallKind : std::uint8_t { kCall, kRefresh, kReload };

// New awaitable for one call; copies the arguments.
PyObject* new_awaitable(CachedFunction* callable, PyObject* const* args, size_t nargsf,
                        PyObject* kwnames, CallKind kind);

}  // namespace zoocache::python
