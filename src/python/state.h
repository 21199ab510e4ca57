// One engine with its flights, as the objects of the extension share it.
//
// A Core makes a new one when it is reset or forked; loads in flight keep theirs alive, finish
// into it and are forgotten with it.
// Thread-safety: the GIL guards everything here.
#pragma once

#include <Python.h>

#include <memory>

#include "core/engine.h"
#include "core/flight.h"
#include "core/load_frame.h"

namespace zoocache::python {

using Policy = core::ExclusivePolicy;
using Function = core::Function<Policy>;
using Frame = core::LoadFrame<Policy>;
using FramePtr = std::shared_ptr<Frame>;

// The owner's four bits of an entry's state.
inline constexpr std::uint64_t kKeyIsInt = 0x10;      // the key word is the int's value itself
inline constexpr std::uint64_t kValueIsError = 0x20;  // the value is an exception to be raised
inline constexpr std::uint64_t kCollectable = core::state::kCounted;  // the collector has to see it

// A clock that tests move by hand.
class HandClock final : public core::TimeSource {
 public:
  std::int64_t now_ns() noexcept override { return now; }
  std::int64_t now = 0;
};

struct EngineState {
  explicit EngineState(const Options& options) : engine(options) {}
  HandClock hand_clock;  // in use once a test has set it
  core::Engine<Policy> engine;
  core::FlightTable<Policy> flights;
};

using StatePtr = std::shared_ptr<EngineState>;

// Gives back what an entry owns: references to its key and its value.
inline void drop_entry(core::Word key, core::Word value, std::uint64_t state) noexcept {
  if ((state & kKeyIsInt) == 0) Py_XDECREF(reinterpret_cast<PyObject*>(key));
  Py_XDECREF(reinterpret_cast<PyObject*>(value));
}

inline core::Word to_word(PyObject* object) { return reinterpret_cast<core::Word>(object); }
inline PyObject* to_object(core::Word word) { return reinterpret_cast<PyObject*>(word); }

}  // namespace zoocache::python
