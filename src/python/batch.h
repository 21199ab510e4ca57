// `_zoocache.Batch`: calls of one function with many items, as `get_many` makes them. The drivers,
// sync and async, are in zoocache/_many.py; what waits for a file or a network is a job of theirs.
//
//   begin ── hit ──> done                                                     job: look of all
//     └─ miss ─ join ─ lead ── take ── found in the second level ──> done
//               │                └──── missing ── start ── load(missing) ── end ──> done
//               │                        (kTimedOut: aside)                   job: finish of all
//               ├──── a flight of this batch: twin ──> takes its outcome
//               └──── a flight of others: aside ──> an ordinary call, in the end
//
// Interleavings:
//   (1) While a batch leads it waits for nobody: what others load, in this process or elsewhere, is
//       set aside until the batch has ended its own flights and freed its claims. Two batches that
//       want the same items crosswise cannot wait for each other.
//   (2) Code that runs under the batch (its loader, deps=) may wait for others. It does so in the
//       name of one flight, which is in no table; each led flight has an edge to it. Who waits for
//       an item so waits for whatever the loader waits for, and a loader that calls the function
//       with an item of its own batch is found to be a cycle, and loads that unshared.
//   (3) Without a loader for many, items are loaded by ordinary calls, and the loader of one may
//       call the function for another: nothing is led meanwhile. What the second level has is put
//       into the table beforehand, by flights that nobody joins.
//   (4) Every flight is led before the loader begins, and `born` of each is read after that. So
//       what is invalidated meanwhile keeps the entry out, as with a single load.
// A load that fails ends every flight without an outcome: its error is the batch's, and who waits
// for one of its items asked for none of the others. Lives on the heap; nothing on a stack has to
// be taken down when a thread ends at the interpreter's exit (call.h).
// Thread-safety: the GIL guards everything; jobs run without it, and share nothing but BatchStep.
#pragma once

#include <Python.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/level_batch.h"
#include "python/call.h"
#include "python/callable.h"
#include "python/frame.h"
#include "python/level_job.h"
#include "python/state.h"

namespace zoocache::python {

// The second level's part of a batch, as its thread and a worker's share it: one at a time uses it.
// Whoever drops it last frees what is still claimed.
struct BatchStep {
  BatchStep(core::InvalidationLog& log, std::shared_ptr<core::SecondLevel> level)
      : batch(log, std::move(level)) {}

  void add(std::shared_ptr<LevelStep> step) {
    steps.push_back(std::move(step));
    batch.add(steps.back()->call);
  }
  void look(bool claims) {
    batch.look(claims);
    for (std::size_t index = 0; index < steps.size(); ++index) {
      steps[index]->found = batch.found(index);
    }
  }
  void finish() {
    for (const auto& step : steps) step->keeps = step->call.is_kept();
    batch.finish();
    for (std::size_t index = 0; index < steps.size(); ++index) {
      steps[index]->stored = batch.is_stored(index);
    }
  }

  std::vector<std::shared_ptr<LevelStep>> steps;
  core::LevelBatch batch;  // after the steps, whose calls it uses
};

enum class SlotStage : std::uint8_t { kDone, kLed, kMissing, kTwin, kAside };

struct BatchSlot {
  PyObject* args[2] = {nullptr, nullptr};  // the instance, if there is one, and the item; borrowed
  Call* call = nullptr;
  PyObject* value = nullptr;  // strong
  std::size_t leader = 0;     // of a twin
  SlotStage stage = SlotStage::kAside;
};

class Batch {
 public:
  // Takes references. `instance`: nullptr if the function is none's method.
  Batch(CachedFunction* function, PyObject* instance, PyObject* items);
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // Each returns a new reference, or nullptr with an error: then nothing but `close` comes.
  PyObject* arrive_job();
  PyObject* begin(bool loads);
  PyObject* take();
  PyObject* start();
  PyObject* enter();
  PyObject* leave();
  PyObject* end(PyObject* values);
  PyObject* failed();
  PyObject* finish_job();
  PyObject* note();
  PyObject* aside();
  PyObject* set(PyObject* pair);
  PyObject* values();
  PyObject* drop_level();
  PyObject* close();

 private:
  bool begin_slot(std::size_t index, bool has_level);
  bool lead(std::size_t index);
  bool take_slot(BatchSlot& slot);
  bool take_twin(BatchSlot& slot);
  void set_aside(BatchSlot& slot);
  void close_load();
  bool holds_level() const;

  CachedFunction* function_;
  PyObject* instance_;
  PyObject* items_;  // a tuple
  std::vector<BatchSlot> slots_;
  std::unordered_map<const core::Flight*, std::size_t> led_;
  bool loads_ = false;
  StatePtr state_;    // of the flights that are led
  FlightPtr flight_;  // of the loader; in no table
  FramePtr frame_;    // while it runs
  EnteredFrame entered_;
  std::optional<core::DepSet> deps_;
  core::LoadFrame<Policy>::Gathered gathered_{true, true, 0, {}, 0};
  std::shared_ptr<BatchStep> step_;
};

int init_batch(PyObject* module);

}  // namespace zoocache::python
