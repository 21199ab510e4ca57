#include "python/sync_call.h"

#include <pythread.h>
#include <unistd.h>

#include <algorithm>

#include "core/clock.h"
#include "python/errors.h"

namespace zoocache::python {
namespace {

unsigned long main_thread = 0;

bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// A thread that follows: held by the thread until a leader releases it.
class BlockedThread final : public core::Waiter {
 public:
  explicit BlockedThread(PyThread_type_lock lock) : lock_(lock) {
    PyThread_acquire_lock(lock_, NOWAIT_LOCK);
  }
  ~BlockedThread() override { PyThread_free_lock(lock_); }
  void wake() override { PyThread_release_lock(lock_); }
  PyThread_type_lock lock() const { return lock_; }

 private:
  PyThread_type_lock lock_;
};

enum class Waited { kWoken, kTimedOut, kInterrupted };

// Only plain values live on this stack: a thread that takes the GIL back while the interpreter
// shuts down is ended by force.
Waited wait_for(PyThread_type_lock lock, std::int64_t timeout_us) {
  const std::int64_t begun = core::read_clock_ns(CLOCK_MONOTONIC);
  std::int64_t left_us = timeout_us;
  for (;;) {
    PyThreadState* thread = PyEval_SaveThread();
    const PyLockStatus status = PyThread_acquire_lock_timed(lock, left_us, 1);
    if (is_finalizing() && PyThread_get_thread_ident() != main_thread) {
      for (;;) pause();  // a daemon thread at exit: nothing is left to return to
    }
    PyEval_RestoreThread(thread);
    if (status == PY_LOCK_ACQUIRED) return Waited::kWoken;
    if (status == PY_LOCK_INTR && PyErr_CheckSignals() < 0) return Waited::kInterrupted;
    left_us = timeout_us - (core::read_clock_ns(CLOCK_MONOTONIC) - begun) / 1000;
    if (left_us <= 0) return Waited::kTimedOut;
  }
}

// Looks into the second level. kMiss: load.
Look look_further(Call& call, PyObject** value) {
  constexpr double kSliceS = 0.1;  // then signals are looked at
  if (!call.begin_level()) return PyErr_Occurred() == nullptr ? Look::kMiss : Look::kError;
  const std::int64_t begun = core::read_clock_ns(CLOCK_MONOTONIC);
  double left_s = call.level_patience_s();
  while (call.look_in_level(std::min(left_s, kSliceS)) == core::LevelCall::Found::kTimedOut) {
    if (PyErr_CheckSignals() < 0) return Look::kError;
    const auto waited_ns = core::read_clock_ns(CLOCK_MONOTONIC) - begun;
    left_s = call.level_patience_s() - static_cast<double>(waited_ns) * 1e-9;
    if (left_s <= 0) break;
  }
  return call.take_from_level(value);
}

PyObject* load(Call& call) {
  if (!call.start_load()) return nullptr;
  PyObject* result = call.enter() ? call.call_loader() : nullptr;
  return call.end_load(result);
}

PyObject* verify(Call& call, PyObject* hit) {
  return call.begin_verifying(hit) ? call.end_verifying(load(call)) : nullptr;
}

// `anew`: whatever the second level has.
PyObject* lead(Call& call, bool anew) {
  PyObject* value = nullptr;
  Look look = Look::kMiss;
  if (!anew) {
    look = look_further(call, &value);
  } else if (!call.begin_level() && PyErr_Occurred() != nullptr) {
    look = Look::kError;
  }
  if (look == Look::kError) call.abandon();
  if (look != Look::kMiss) return value;
  value = load(call);
  if (call.has_level_work()) {
    PyObject* error = value == nullptr ? take_error() : nullptr;
    call.finish_level();
    if (error != nullptr) put_error(error);
  }
  return value;
}

// `alone` is set when the caller has to load unshared.
Take follow(Call& call, PyObject** value, bool* alone) {
  PyThread_type_lock lock = PyThread_allocate_lock();
  if (lock == nullptr) {
    PyErr_NoMemory();
    return Take::kError;
  }
  auto waiter = std::make_shared<BlockedThread>(lock);
  const core::Following following = call.follow(waiter);
  if (following == core::Following::kCycle) {
    *alone = true;
    return Take::kRetry;
  }
  if (following == core::Following::kEnded) return call.take_outcome(value);
  waiter.reset();  // the call keeps it
  constexpr double kMostSeconds = 1e9;
  const double seconds = std::min(call.flight_timeout_s(), kMostSeconds);
  const Waited waited = wait_for(lock, static_cast<std::int64_t>(seconds * 1e6));
  call.stop_following();
  if (waited == Waited::kInterrupted) return Take::kError;
  if (waited == Waited::kTimedOut) {
    if (call.callable()->options->raise_on_timeout) {
      raise_flight_timeout(call);
      return Take::kError;
    }
    *alone = true;
    return Take::kRetry;
  }
  return call.take_outcome(value);
}

}  // namespace

int init_sync_call() {
  main_thread = PyThread_get_thread_ident();
  return 0;
}

PyObject* run_sync(Call& call) {
  constexpr int kSharedRounds = 2;  // then alone, so that storms of invalidations make progress
  bool alone = false;
  for (;;) {
    PyObject* value = nullptr;
    const Look look = call.look_up(&value);
    if (look == Look::kHit && call.is_to_verify()) return verify(call, value);
    if (look == Look::kHit) call.refresh_ahead();
    if (look != Look::kMiss) return look == Look::kHit ? value : nullptr;
    if (call.loads_softly()) {
      const Look softly = call.load_softly(&value);
      if (softly != Look::kMiss) return softly == Look::kHit ? value : nullptr;
    }
    const Join joined = call.join(alone || call.rounds() >= kSharedRounds);
    if (joined == Join::kError) return nullptr;
    if (joined == Join::kLead) return lead(call, false);
    if (joined == Join::kAgain) continue;
    if (call.in_grace()) return call.serve_old();
    const Take taken = follow(call, &value, &alone);
    if (taken != Take::kRetry) return taken == Take::kTaken ? value : nullptr;
  }
}

PyObject* run_detached(Call& call) {
  if (!call.begin_detached()) return nullptr;
  const Join joined = call.join(false);
  if (joined == Join::kError) return nullptr;
  if (joined != Join::kLead) Py_RETURN_NONE;
  PyObject* value = lead(call, true);
  if (value == nullptr) return nullptr;
  PyObject* loaded = PyTuple_Pack(1, value);
  Py_DECREF(value);
  return loaded;
}

PyObject* call_slow(CachedFunction* self, PyObject* const* args, size_t nargsf, PyObject* kwnames,
                    bool refresh) {
  // On the heap, and without a destructor on the way out: see call.h.
  Call* call = new Call(self, args, nargsf, kwnames);
  PyObject* result = nullptr;
  const BindResult bound = call->prepare();
  if (bound == kBadCall) {
    // The user's function raises the TypeError that its caller would see without a cache.
    result = PyObject_Vectorcall(self->wrapped, args, argument_count(nargsf), kwnames);
  } else if (bound == kBound) {
    try {
      if (!refresh || call->invalidate_key(0)) result = run_sync(*call);
    } catch (const std::exception&) {
      translate_exception();
      if (call->leads()) call->abandon();
    }
  }
  delete call;
  return result;
}

}  // namespace zoocache::python
