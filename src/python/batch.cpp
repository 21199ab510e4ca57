#include "python/batch.h"

#include "python/errors.h"
#include "python/quick_hit.h"

namespace zoocache::python {

using Found = core::LevelCall::Found;

Batch::Batch(CachedFunction* function, PyObject* instance, PyObject* items)
    : function_(function), instance_(instance), items_(items) {
  slots_.resize(static_cast<std::size_t>(PyTuple_GET_SIZE(items)));
  Py_INCREF(function);
  Py_XINCREF(instance);
  Py_INCREF(items);
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    slots_[index].args[0] = instance;
    slots_[index].args[1] = PyTuple_GET_ITEM(items, static_cast<Py_ssize_t>(index));
  }
}

Batch::~Batch() {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyObject* job = close();
  if (job == nullptr) PyErr_WriteUnraisable(nullptr);
  Py_XDECREF(job);
  for (BatchSlot& slot : slots_) Py_CLEAR(slot.value);
  Py_CLEAR(instance_);
  Py_CLEAR(items_);
  PyErr_Restore(type, value, traceback);
}

// Where the home may have to be asked over a network, an event loop has another thread do so first.
PyObject* Batch::arrive_job() {
  if (function_->wrapped == nullptr) Py_RETURN_NONE;  // `begin` says what is wrong
  if (!callable_attach(function_)) return nullptr;
  const StatePtr state = *function_->state;
  core::InvalidationLog& log = state->engine.log();
  if (!log.arrival_waits()) Py_RETURN_NONE;
  return new_level_job(state, [&log] { log.arrive(); });
}

PyObject* Batch::begin(bool loads) {
  loads_ = loads;
  if (function_->wrapped != nullptr && !callable_attach(function_)) return nullptr;
  const bool has_level = function_->wrapped != nullptr &&
                         (*function_->state)->engine.level() != nullptr &&
                         function_->options->level_plan != nullptr;
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    if (!begin_slot(index, has_level)) return nullptr;
  }
  for (const BatchSlot& slot : slots_) {
    if (slot.stage != SlotStage::kLed || !slot.call->has_level()) continue;
    if (step_ == nullptr) {
      auto& engine = state_->engine;
      step_ = std::make_shared<BatchStep>(engine.log(), engine.level());
    }
    step_->add(slot.call->level_step());
  }
  if (step_ == nullptr) Py_RETURN_NONE;
  return new_level_job(state_, [step = step_, loads] { step->look(loads); });
}

bool Batch::begin_slot(std::size_t index, bool has_level) {
  BatchSlot& slot = slots_[index];
  PyObject* const* args = instance_ == nullptr ? slot.args + 1 : slot.args;
  const std::size_t count = instance_ == nullptr ? 1 : 2;
  slot.value = quick_hit(function_, args, count, nullptr);
  if (slot.value != nullptr) {
    slot.stage = SlotStage::kDone;
    return true;
  }
  if (PyErr_Occurred() != nullptr) return false;
  slot.call = new Call(function_, args, count, nullptr);
  const BindResult bound = slot.call->prepare();
  if (bound == kBadCall) {
    PyErr_Format(PyExc_TypeError,
                 "get_many(): %R is not called with one argument, the item; give its other "
                 "parameters a default, or take them together in one argument",
                 function_->wrapped);
  }
  if (bound != kBound) return false;
  if (function_->options->on_verified != nullptr && slot.call->would_hit()) {
    set_aside(slot);  // an ordinary call verifies it, or does not
    return true;
  }
  if (PyErr_Occurred() != nullptr) return false;
  const Look look = slot.call->look_up(&slot.value);
  if (look == Look::kError) return false;
  if (look == Look::kHit) {
    slot.call->refresh_ahead();
    slot.stage = SlotStage::kDone;
    delete std::exchange(slot.call, nullptr);
    return true;
  }
  if (slot.call->loads_softly() || (!loads_ && !has_level)) {
    set_aside(slot);
    return true;
  }
  const Join joined = slot.call->join(!loads_);
  if (joined == Join::kError) return false;
  if (joined == Join::kLead) return lead(index);
  const auto leader = led_.find(slot.call->own_flight().get());
  if (joined == Join::kFollow && leader != led_.end()) {
    slot.stage = SlotStage::kTwin;
    slot.leader = leader->second;
  } else {
    set_aside(slot);
  }
  return true;
}

bool Batch::lead(std::size_t index) {
  BatchSlot& slot = slots_[index];
  slot.stage = SlotStage::kLed;
  Call& call = *slot.call;
  if (state_ == nullptr) {
    state_ = call.state();
    flight_ = FlightPtr(new core::Flight(nullptr, 0, 0, state_->engine.log()));
  }
  if (call.state().get() != state_.get()) {  // the cache was reset while keys were compared
    set_aside(slot);
    return true;
  }
  if (loads_) {
    call.join_batch(flight_);
    led_.emplace(call.own_flight().get(), index);
  }
  return call.begin_level() || PyErr_Occurred() == nullptr;
}

void Batch::set_aside(BatchSlot& slot) {
  slot.stage = SlotStage::kAside;
  slot.call->set_aside();
  delete std::exchange(slot.call, nullptr);
}

// After the look, if there was one: what is to be loaded now, in a list.
PyObject* Batch::take() {
  PyObject* missing = PyList_New(0);
  if (missing == nullptr) return nullptr;
  for (BatchSlot& slot : slots_) {
    bool good = slot.stage != SlotStage::kLed || take_slot(slot);
    if (good && slot.stage == SlotStage::kMissing) good = PyList_Append(missing, slot.args[1]) == 0;
    if (!good) {
      Py_DECREF(missing);
      return nullptr;
    }
  }
  if (!holds_level()) step_.reset();
  return missing;
}

bool Batch::take_slot(BatchSlot& slot) {
  Call& call = *slot.call;
  if (call.has_level() && call.level_step()->found == Found::kTimedOut) {
    set_aside(slot);
    return true;
  }
  const Look look = call.take_from_level(&slot.value);
  if (look == Look::kError) return false;
  if (look == Look::kHit) {
    slot.stage = SlotStage::kDone;
  } else if (loads_) {
    slot.stage = SlotStage::kMissing;
  } else {
    set_aside(slot);
  }
  return true;
}

// Whether a job has still to do with the second level.
bool Batch::holds_level() const {
  for (const BatchSlot& slot : slots_) {
    if (slot.stage == SlotStage::kMissing && slot.call->has_level()) return true;
  }
  return false;
}

PyObject* Batch::start() {
  const BatchSlot* last = nullptr;
  for (const BatchSlot& slot : slots_) {
    if (slot.stage != SlotStage::kMissing) continue;
    if (!slot.call->start_load()) return nullptr;
    slot.call->leave();
    last = &slot;
  }
  frame_ = FramePtr(new Frame(state_, state_->engine.log().clock(), flight_, last->call->context(),
                              function_->core->options->engine.max_tag_length));
  deps_.emplace(state_->engine.log());
  ++open_loads;
  Py_RETURN_NONE;
}

PyObject* Batch::enter() {
  if (!entered_.enter(frame_)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* Batch::leave() {
  if (entered_) entered_.leave(frame_);
  Py_RETURN_NONE;
}

void Batch::close_load() {
  if (frame_ == nullptr) return;
  if (entered_) entered_.leave(frame_);
  gathered_ = frame_->close(*deps_);
  --open_loads;
  frame_.reset();
}

// The values of what was missing, in its order. None, or the first error of those that could not be
// ended well; all have ended.
PyObject* Batch::end(PyObject* values) {
  close_load();
  PyObject* error = nullptr;
  Py_ssize_t next = 0;
  for (BatchSlot& slot : slots_) {
    if (slot.stage != SlotStage::kMissing) continue;
    slot.value = slot.call->end_part(PyList_GET_ITEM(values, next++), *deps_, gathered_);
    slot.stage = SlotStage::kDone;
    if (slot.value != nullptr) continue;
    PyObject* raised = take_error();
    if (error == nullptr) {
      error = raised;
    } else {
      Py_DECREF(raised);
    }
  }
  if (error != nullptr) return error;
  Py_RETURN_NONE;
}

// The loader has raised an Exception. True: every item has an old value that the options allow for.
PyObject* Batch::failed() {
  close_load();
  bool forgiven = true;
  for (const BatchSlot& slot : slots_) {
    if (slot.stage == SlotStage::kMissing) forgiven = forgiven && slot.call->forgives_errors();
  }
  if (function_->function != nullptr) {
    core::count_load(function_->function->counters, gathered_.took_ns);
    core::count(function_->function->counters.load_errors);
  }
  if (!forgiven) Py_RETURN_FALSE;
  for (BatchSlot& slot : slots_) {
    if (slot.stage != SlotStage::kMissing) continue;
    slot.value = slot.call->end_with_old();
    if (slot.value == nullptr) return nullptr;
    slot.stage = SlotStage::kDone;
  }
  Py_RETURN_TRUE;
}

PyObject* Batch::finish_job() {
  if (step_ == nullptr) Py_RETURN_NONE;
  return new_level_job(state_, [step = step_] { step->finish(); });
}

// The finish has run.
PyObject* Batch::note() {
  for (const BatchSlot& slot : slots_) {
    if (slot.call != nullptr) slot.call->note_level();
  }
  step_.reset();
  Py_RETURN_NONE;
}

bool Batch::take_twin(BatchSlot& slot) {
  const Take taken = slot.call->take_outcome(&slot.value);
  if (taken == Take::kError) return false;
  const BatchSlot& leader = slots_[slot.leader];
  if (taken == Take::kRetry && leader.stage == SlotStage::kAside) {
    set_aside(slot);
    return true;
  }
  if (taken == Take::kRetry) {  // it has an old value
    slot.call->set_aside();
    slot.value = Py_NewRef(leader.value);
  }
  slot.stage = SlotStage::kDone;
  return true;
}

// What is left to ordinary calls: numbers of items. Nothing is led any more.
PyObject* Batch::aside() {
  PyObject* numbers = PyList_New(0);
  if (numbers == nullptr) return nullptr;
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    BatchSlot& slot = slots_[index];
    bool good = slot.stage != SlotStage::kTwin || take_twin(slot);
    if (good && slot.stage == SlotStage::kAside) {
      PyObject* number = PyLong_FromSize_t(index);
      good = number != nullptr && PyList_Append(numbers, number) == 0;
      Py_XDECREF(number);
    }
    if (!good) {
      Py_DECREF(numbers);
      return nullptr;
    }
  }
  return numbers;
}

// (number, value)
PyObject* Batch::set(PyObject* pair) {
  Py_ssize_t number;
  PyObject* value;
  if (!PyArg_ParseTuple(pair, "nO", &number, &value)) return nullptr;
  if (number < 0 || static_cast<std::size_t>(number) >= slots_.size()) {
    PyErr_SetString(PyExc_IndexError, "no such item");
    return nullptr;
  }
  BatchSlot& slot = slots_[static_cast<std::size_t>(number)];
  Py_XSETREF(slot.value, Py_NewRef(value));
  slot.stage = SlotStage::kDone;
  Py_RETURN_NONE;
}

PyObject* Batch::values() {
  PyObject* values = PyList_New(static_cast<Py_ssize_t>(slots_.size()));
  if (values == nullptr) return nullptr;
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    PyObject* value = std::exchange(slots_[index].value, nullptr);
    if (value == nullptr) {
      Py_DECREF(values);
      PyErr_SetString(PyExc_SystemError, "get_many(): an item has no value");
      return nullptr;
    }
    PyList_SET_ITEM(values, static_cast<Py_ssize_t>(index), value);
  }
  return values;
}

// A job that frees what is claimed, once nobody uses it any more; None if there is nothing.
PyObject* Batch::drop_level() {
  for (const BatchSlot& slot : slots_) {
    if (slot.call != nullptr) slot.call->forget_level();
  }
  if (step_ == nullptr) Py_RETURN_NONE;
  return new_level_job(state_, [step = std::move(step_)] {});
}

// Ends whatever has not ended, without an outcome; as drop_level.
PyObject* Batch::close() {
  close_load();
  for (const BatchSlot& slot : slots_) {
    if (slot.call != nullptr && slot.call->leads()) slot.call->abandon();
  }
  PyObject* job = drop_level();
  for (BatchSlot& slot : slots_) delete std::exchange(slot.call, nullptr);
  led_.clear();
  deps_.reset();
  flight_.reset();
  state_.reset();
  Py_CLEAR(function_);
  return job;
}

}  // namespace zoocache::python
