// Calls of one function with many keys, as CachedFunction::get_many makes them.
//
//   look up, join ── lead ── batch look ── found ──> value
//         │            │         ├──── another process loads it: aside
//         │            │         └──── missing ── load all ── end each ── batch finish
//         │            └─ (without a loader of many: looked for by flights that nobody joins)
//         ├──── a flight of these calls: takes its outcome
//         └──── a flight of others: aside ──> nullptr: an ordinary call, by the caller
//
// While one leads, it waits for nobody: two that want the same keys crosswise cannot wait for each
// other. What the loader waits for, it waits for in the name of one flight, which is in no table
// and to which each led flight has an edge: a loader that calls the function with one of its own
// keys is found to be a cycle. `born` of each is read before the loader begins. A load that fails
// ends the flights without an outcome: who waits for one of the keys asked for none of the others.
// Thread-safety: as Call.
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/level_batch.h"
#include "cpp/call.h"
#include "cpp/uncancelled.h"

namespace zoocache::detail {

using Found = core::LevelCall::Found;

void Call::join_batch(const core::FlightPtr& batch) {
  cache_.flights.nest(*flight_, *batch);
  batch_ = batch;
}

void Call::leave_batch() noexcept {
  if (batch_ == nullptr) return;
  cache_.flights.leave_nested(*flight_, *batch_);
  batch_.reset();
}

ValuePtr Call::end_part(const core::DepSet& deps, const Gathered& gathered) {
  try {
    frame_->add_part(deps, gathered);
  } catch (...) {
    fail_load(std::current_exception());
    throw;
  }
  return end_load();
}

ValuePtr Call::end_with_old() {
  if (frame_ != nullptr) close_frame();
  finish(core::FlightState::kAbandoned);
  return serve_old();
}

void Call::set_aside() {
  if (leads_) finish(core::FlightState::kAbandoned);
}

void Call::note_level(bool keeps, bool stored) noexcept {
  if (!keeps) return;
  auto& counters = function_.function.counters;
  core::count(stored ? counters.level_stores : counters.level_refusals);
}

namespace {

class Batch {
 public:
  Batch(FunctionState& function, std::span<Request* const> requests, std::span<ValuePtr> values)
      : function_(function), requests_(requests), values_(values), parts_(requests.size()) {}

  void run(const FillMany& load) {
    const bool loads = static_cast<bool>(load);
    if (!loads && function_.cache->engine.level() == nullptr) return;
    for (std::size_t index = 0; index < parts_.size(); ++index) begin(index, loads);
    look(loads);
    take(loads);
    if (!missing_.empty()) load_missing(load);
    for (std::size_t index = 0; index < parts_.size(); ++index) {
      const Part& part = parts_[index];
      if (part.leader == index) continue;
      values_[index] = part.call->take_outcome();
      if (values_[index] == nullptr) values_[index] = values_[part.leader];
    }
  }

 private:
  struct Part {
    std::unique_ptr<Call> call;  // nullptr: there is nothing to do here
    std::size_t leader = 0;      // whose flight it is: of another one with the same key
    bool leads = false;
  };
  using Gathered = core::LoadFrame<Policy>::Gathered;

  void begin(std::size_t index, bool loads) {
    Part& part = parts_[index];
    part.leader = index;
    part.call = std::make_unique<Call>(function_, *requests_[index], current_frame());
    Call& call = *part.call;
    values_[index] = call.look_up();
    if (values_[index] != nullptr || call.loads_softly()) return part.call.reset();
    if (!loads) call.load_alone();
    const Join joined = call.join();
    if (joined == Join::kLead) {
      part.leads = true;
      if (loads) lead(call, index);
      call.begin_level();
      return;
    }
    const auto leader = joined == Join::kFollow ? led_.find(call.flight_led()) : led_.end();
    if (leader == led_.end()) return part.call.reset();
    part.leader = leader->second;
  }

  void lead(Call& call, std::size_t index) {
    if (flight_ == nullptr) {
      flight_ = std::make_shared<core::Flight>(nullptr, 0, 0, function_.cache->engine.log());
    }
    call.join_batch(flight_);
    led_.emplace(call.flight_led(), index);
  }

  void look(bool loads) {
    auto& engine = function_.cache->engine;
    for (const Part& part : parts_) {
      if (!part.leads || part.call->level() == nullptr) continue;
      if (!batch_) batch_.emplace(engine.log(), engine.level());
      levels_.push_back(part.call->level());
      asked_.push_back(part.call.get());
      batch_->add(*levels_.back());
    }
    if (!batch_) return;
    const Uncancelled scope;
    batch_->look(loads);
  }

  void take(bool loads) {
    for (std::size_t index = 0; index < asked_.size(); ++index) {
      asked_[index]->note_found(batch_->found(index));
    }
    for (std::size_t index = 0; index < parts_.size(); ++index) {
      const Part& part = parts_[index];
      if (!part.leads) continue;
      const bool is_elsewhere = part.call->found() == Found::kTimedOut;
      if (!is_elsewhere) values_[index] = part.call->take_from_level();
      if (values_[index] != nullptr) continue;
      if (loads && !is_elsewhere) {
        missing_.push_back(index);
      } else {
        part.call->set_aside();
      }
    }
  }

  void load_missing(const FillMany& load) {
    std::vector<Box*> boxes;
    for (const std::size_t index : missing_) {
      parts_[index].call->start_load();
      boxes.push_back(parts_[index].call->box().get());
    }
    auto& log = function_.cache->engine.log();
    const auto frame =
        std::make_shared<FrameState>(function_.cache, log.clock(), flight_, current_frame());
    core::DepSet deps(log);
    try {
      const CurrentFrame scope(frame);
      load(missing_, boxes);
    } catch (...) {
      const Gathered gathered = frame->close(deps);
      if (std::current_exception() == nullptr) throw;  // the thread is being cancelled
      if (!end_with_old(gathered.took_ns)) throw;
      return finish_level();
    }
    const Gathered gathered = frame->close(deps);
    std::exception_ptr error;
    for (const std::size_t index : missing_) {
      try {
        values_[index] = parts_[index].call->end_part(deps, gathered);
      } catch (const std::exception&) {  // of this key alone: its deps(), or an option's callback
        if (error == nullptr) error = std::current_exception();
      }
    }
    finish_level();
    if (error != nullptr) std::rethrow_exception(error);
  }

  // False: not every key has an old value that the options allow for.
  bool end_with_old(std::int64_t took_ns) {
    core::count_load(function_.function.counters, took_ns);
    core::count(function_.function.counters.load_errors);
    for (const std::size_t index : missing_) {
      if (!parts_[index].call->forgives_errors()) return false;
    }
    for (const std::size_t index : missing_) values_[index] = parts_[index].call->end_with_old();
    return true;
  }

  void finish_level() noexcept {
    if (!batch_) return;
    const Uncancelled scope;
    std::size_t index = 0;
    std::vector<bool> keeps;
    for (const auto& level : levels_) keeps.push_back(level->is_kept());
    batch_->finish();
    for (Call* const call : asked_) {
      call->note_level(keeps[index], batch_->is_stored(index));
      ++index;
    }
  }

  FunctionState& function_;
  const std::span<Request* const> requests_;
  const std::span<ValuePtr> values_;
  core::FlightPtr flight_;  // of the loader
  std::vector<Part> parts_;
  std::unordered_map<const core::Flight*, std::size_t> led_;
  std::vector<std::size_t> missing_;
  std::vector<Call*> asked_;
  std::vector<std::shared_ptr<core::LevelCall>> levels_;
  std::optional<core::LevelBatch> batch_;  // frees what is claimed, whatever happens
};

}  // namespace

void run_many(FunctionState& function, std::span<Request* const> requests,
              std::span<ValuePtr> values, const FillMany& load) {
  Batch(function, requests, values).run(load);
}

void refuse_values(std::size_t wanted, std::size_t given) {
  throw std::length_error("get_many(): the loader was given " + std::to_string(wanted) +
                          " keys and returned " + std::to_string(given) +
                          " values; one for each is wanted, in their order");
}

}  // namespace zoocache::detail
