// A call as a part of a load for several at once: see batch.h.
#include "python/call.h"
#include "python/errors.h"

namespace zoocache::python {

void Call::join_batch(const FlightPtr& batch) {
  state_->flights.nest(*flight_, *batch);
  batch_ = batch;
}

void Call::leave_batch() {
  if (batch_ == nullptr) return;
  state_->flights.leave_nested(*flight_, *batch_);
  batch_.reset();
}

PyObject* Call::end_part(PyObject* result, const core::DepSet& deps,
                         const core::LoadFrame<Policy>::Gathered& gathered) {
  if (guarded([&] { frame_->add_part(deps, gathered); }) && enter()) {
    return end_load(Py_NewRef(result));
  }
  return end_load(nullptr);
}

PyObject* Call::end_with_old() {
  abandon();
  return serve_old();
}

void Call::set_aside() {
  if (leads_) abandon();
  flight_.reset();
  level_.reset();
  untold_ = false;
  if (missed_) core::count_miss(function_->counters, miss_reason_, -1);
  missed_ = false;
}

}  // namespace zoocache::python
