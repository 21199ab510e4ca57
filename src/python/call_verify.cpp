// Hits that are loaded anew and compared, to find dependencies that nobody declared.
//
//   look_up ── hit ── wanted? ── begin_verifying ── loader ── end_verifying ── hook ──> the fresh
//   value
//                                                     └── raises an Exception ────────> the hit
//
// The load is a flight that nobody joins and an entry that nobody stores. The load around the call
// depends on whichever of the two the caller gets, and on it alone.
#include "core/clock.h"
#include "python/call.h"
#include "python/errors.h"

namespace zoocache::python {
namespace {

// A number from 0 to below 1; of no use but to take a share.
double draw() {
  static std::uint64_t seed = static_cast<std::uint64_t>(core::read_clock_ns(CLOCK_MONOTONIC)) | 1;
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return static_cast<double>(seed >> 11) * 0x1p-53;
}

bool has_tags(const core::ColdEntry& cold) {
  for (const core::TagNode* node : cold.deps.nodes()) {
    if (!node->hidden()) return true;
  }
  return false;
}

}  // namespace

bool Call::wants_verifying(core::EntryId id) {
  const CallableOptions& options = *callable_->options;
  if (options.on_verified == nullptr || bypass_ || detached_ || missed_) return false;
  if (context_ != nullptr && static_cast<const Frame&>(*context_).has_verified(own_key())) {
    return false;
  }
  auto& engine = state_->engine;
  const auto bits = engine.slab().hot(id).state.load(std::memory_order_relaxed);
  if ((bits & kValueIsError) != 0) return false;
  // Who gives a time to live and nothing that it depends on wants old values for as long.
  const bool by_time = options.ttl_s > 0 || options.ttl_of_value != nullptr;
  if (by_time && !has_tags(engine.slab().cold(id))) return false;
  return options.verify >= 1 || draw() < options.verify;
}

bool Call::begin_evidence(core::EntryId id) {
  evidence_ = new_evidence(callable_, state_, id);
  return evidence_ != nullptr;
}

bool Call::would_hit() {
  if (bypass_) return false;
  const core::EntryId id = find_entry(callable_, probe_);
  return id != core::kNoEntry && PyErr_Occurred() == nullptr &&
         state_->engine.inspect(id, *function_) == core::Validity::kValid;
}

bool Call::begin_verifying(PyObject* hit) {
  hit_ = hit;
  return join(true) == Join::kLead;
}

PyObject* Call::end_verifying(PyObject* fresh) {
  PyObject* error = nullptr;
  Evidence::Held& held = *evidence_->held;
  if (fresh == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_Exception) == 0) return nullptr;
    error = take_error();
    untold_ = false;
    if (outer_ != nullptr) outer_->add_load(own_key(), held.deps, held.expires_ns, true);
  }
  held.conclusive = flight_->storable && flight_->born >= held.born;
  PyObject *args, *kwargs;
  PyObject* told = nullptr;
  if (pack_arguments(&args, &kwargs)) {
    told = PyObject_CallFunctionObjArgs(
        callable_->options->on_verified, reinterpret_cast<PyObject*>(callable_), args, kwargs,
        reinterpret_cast<PyObject*>(evidence_), hit_, fresh == nullptr ? Py_None : fresh,
        error == nullptr ? Py_None : error, nullptr);
    Py_DECREF(args);
    Py_DECREF(kwargs);
  }
  Py_XDECREF(error);
  PyObject* value = fresh == nullptr ? Py_NewRef(hit_) : fresh;
  if (told == nullptr && PyErr_ExceptionMatches(PyExc_Exception) != 0) {
    PyErr_WriteUnraisable(callable_->wrapped);
  } else if (told == nullptr) {
    Py_CLEAR(value);  // somebody wants the program to end
  }
  Py_XDECREF(told);
  return value;
}

}  // namespace zoocache::python
