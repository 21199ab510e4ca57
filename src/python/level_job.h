// Work that waits for a file or a network, as a Python object that any thread can call: it runs
// without the GIL.
// Thread-safety: the GIL guards everything; the work runs once.
#pragma once

#include <Python.h>

#include <functional>
#include <memory>
#include <string>

#include "core/level_call.h"
#include "python/state.h"

namespace zoocache::python {

// A call's dealings with the second level, as its thread and a worker's share them: one of them at
// a time uses it.
struct LevelStep {
  LevelStep(core::InvalidationLog& log, std::shared_ptr<core::SecondLevel> level,
            core::LevelKey key)
      : call(log, std::move(level), std::move(key)) {}
  core::LevelCall call;
  core::LevelCall::Found found = core::LevelCall::Found::kNothing;
  bool keeps = false;   // `finish` was to store something
  bool stored = false;  // and has
  std::string trouble;
};

// New reference; nullptr with an error. `state`: the engine that the work uses; it lives as long as
// the job. REQUIRES: the work throws nothing.
PyObject* new_level_job(StatePtr state, std::function<void()> work);

int init_level_job();

}  // namespace zoocache::python
