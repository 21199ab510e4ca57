// The driver of calls to asynchronous functions: from the first send to the outcome. See
// awaitable.h for the object that Python code sees.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include "python/awaitable.h"
#include "python/call.h"

namespace zoocache::python {

// kArriving to kLooking, kStoring: a job of another thread deals with the home or the second level.
enum class Stage : std::uint8_t {
  kNew,
  kArriving,
  kAnnouncing,
  kLooking,
  kLoading,
  kStoring,
  kWaiting,
  kSoftly,
  kDone
};

inline constexpr Py_ssize_t kFewArguments = 4;

struct Awaitable {
  PyObject_HEAD PyObject* weakrefs;
  CachedFunction* callable;  // strong
  PyObject** args;           // strong references; `few`, or allocated
  Py_ssize_t count;          // positional ones
  PyObject* kwnames;         // strong or nullptr; its values follow the positional ones
  Call* call;                // from the first send on
  PyObject* delegate;        // strong: what gets the sends while it is not nullptr
  PyObject* outcome;         // strong: the value, or the error, while it is being stored
  Stage stage;
  bool running;
  bool finalized;  // by the collector, or for being dropped before its end
  CallKind kind;
  bool alone;
  bool is_error;  // `outcome` is one
  PyObject* few[kFewArguments];
};

// What became of a step: a delegate that gets the sends, a value, an error, or neither yet.
enum class Begun { kDelegated, kValue, kError, kAgain };

// zoocache._aio.make_waiter and run_job, once they are needed.
extern PyObject* make_waiter;
extern PyObject* run_job;

// The first send: everything that a sync call does at once.
Begun begin_call(Awaitable* self, PyObject** value);
// The delegate has ended: with a result (stolen), or with nullptr and an error.
Begun delegate_ended(Awaitable* self, PyObject* result, PyObject** value);
// Drops what new_awaitable copied.
void release_arguments(Awaitable* self);
// Ends the call, whatever stage it is in. Keeps a Python error that is set.
void finish_call(Awaitable* self);

}  // namespace zoocache::python
