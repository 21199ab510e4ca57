// One engine with its flights, as the objects of the extension share it.
//
// A Core makes a new one when it is reset or forked; loads in flight keep theirs alive, finish
// into it and are forgotten with it.
// Thread-safety: the GIL guards everything here.
#pragma once

#include <Python.h>

#include <memory>
#include <set>
#include <utility>

#include "core/counted.h"
#include "core/engine.h"
#include "core/flight.h"
#include "core/load_frame.h"
#include "python/pool.h"
#include "python/teller.h"

namespace zoocache::python {

using Policy = core::ExclusivePolicy;
using Function = core::Function<Policy>;
using FlightPtr = core::FlightTable<Policy>::Ptr;
using FramePtr = core::LoadFrame<Policy>::Ptr;

// The owner's four bits of an entry's state.
inline constexpr std::uint64_t kValueIsPortable = 0x08;  // a form to make values of (models.h)
inline constexpr std::uint64_t kKeyIsInt = 0x10;         // the key word is the int's value itself
inline constexpr std::uint64_t kValueIsError = 0x20;     // the value is an exception to be raised
inline constexpr std::uint64_t kCollectable = core::state::kCounted;  // the collector has to see it

// A clock that tests move by hand.
class HandClock final : public core::TimeSource {
 public:
  std::int64_t now_ns() noexcept override { return now; }
  std::int64_t now = 0;
};

struct EngineState final : core::UseCount {
  explicit EngineState(const Options& options) : teller(*this), engine(options) {
    engine.log().set_teller(&teller);
  }
  // What is dropped with the engine may run Python code, and let others in.
  ~EngineState() {
    engine.log().set_teller(nullptr);
    teller.leave();
  }
  EngineState(const EngineState&) = delete;
  EngineState& operator=(const EngineState&) = delete;

  Teller teller;
  HandClock hand_clock;  // in use once a test has set it
  core::Engine<Policy> engine;
  core::FlightTable<Policy> flights;
};

using StatePtr = core::Counted<EngineState>;

// Every load frame is one: it keeps its engine alive, because its dependencies refer to the log.
class Frame final : private StatePtr, public core::LoadFrame<Policy>, public Pooled<Frame> {
 public:
  Frame(StatePtr state, core::Epoch loaded_since, FlightPtr own_flight, FramePtr outer,
        std::size_t max_tag_length)
      : StatePtr(std::move(state)),
        core::LoadFrame<Policy>((*this)->engine.log(), loaded_since, std::move(own_flight),
                                std::move(outer)),
        max_tag_length_(max_tag_length),
        verified_(parent == nullptr ? nullptr : static_cast<const Frame&>(*parent).verified_) {}
  std::size_t max_tag_length() const { return max_tag_length_; }
  // Another one for every frame of the process; never 0.
  std::uint64_t serial() const { return serial_; }

  // The load verifies a hit of that key. What it calls verifies each key once, so that functions
  // which call each other often are not loaded more often than there are keys.
  void verify(core::DepSet::Key key) {
    if (verified_ == nullptr) verified_ = std::make_shared<std::set<core::DepSet::Key>>();
    verified_->insert(key);
  }
  bool has_verified(core::DepSet::Key key) const {
    return verified_ != nullptr && verified_->contains(key);
  }

 private:
  static inline std::uint64_t last_serial_ = 0;
  const std::size_t max_tag_length_;
  const std::uint64_t serial_ = ++last_serial_;
  std::shared_ptr<std::set<core::DepSet::Key>> verified_;  // by this load and those around it
};

// Gives back what an entry owns: references to its key and its value.
inline void drop_entry(core::Word key, core::Word value, std::uint64_t state) noexcept {
  if ((state & kKeyIsInt) == 0) Py_XDECREF(reinterpret_cast<PyObject*>(key));
  Py_XDECREF(reinterpret_cast<PyObject*>(value));
}

inline core::Word to_word(PyObject* object) { return reinterpret_cast<core::Word>(object); }
inline PyObject* to_object(core::Word word) { return reinterpret_cast<PyObject*>(word); }

}  // namespace zoocache::python
