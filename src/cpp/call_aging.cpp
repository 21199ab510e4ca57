// What a call does with values that are about to expire, or have: see AgingOptions.
#include <utility>

#include "cpp/call.h"

namespace zoocache::detail {

// Before the entry may be removed. REQUIRES: a guard.
void Call::keep_old(core::EntryId id) {
  auto& engine = cache_.engine;
  const core::Stale stale = engine.stale(id, function_.function);
  if (!stale.kept) return;
  old_ = std::make_unique<Old>(
      Old{box_of(engine.slab().hot(id)).value, stale, core::DepSet(engine.log())});
  old_->deps.add_nodes(engine.slab().cold(id).deps.nodes());
}

bool Call::may_serve(double span_s, bool invalidated) const noexcept {
  return old_ != nullptr && (invalidated || !old_->stale.invalidated) &&
         static_cast<double>(old_->stale.age_ns) < span_s * 1e9;
}

bool Call::in_grace() const noexcept {
  return may_serve(aging().grace_s, aging().stale_while_revalidate);
}

bool Call::forgives_errors() const noexcept {
  return may_serve(aging().stale_if_error_s, aging().stale_if_error_invalidated);
}

ValuePtr Call::serve_old() {
  core::count(function_.function.counters.stale_hits);
  if (outer_ != nullptr) outer_->add_stale(own_key(), old_->deps);
  return old_->value;
}

bool Call::loads_softly() const noexcept { return aging().soft_timeout_s > 0 && in_grace(); }

bool Call::begin_softly() {
  const core::ReadGuard guard;
  auto& engine = cache_.engine;
  const core::EntryId id = engine.find(function_.function, request_.hash, matching(request_));
  if (id == core::kNoEntry || !engine.begin_refresh(id)) return false;
  core::count(function_.function.counters.refreshes);
  return true;
}

ValuePtr Call::finish_softly() {
  std::unique_ptr<Old> old = std::move(old_);
  if (ValuePtr value = look_up(); value != nullptr) return value;
  old_ = std::move(old);
  return serve_old();
}

void end_refresh(FunctionState& function, const Request& request) {
  const core::ReadGuard guard;
  auto& engine = function.cache->engine;
  const core::EntryId id = engine.find(function.function, request.hash, matching(request));
  if (id != core::kNoEntry) engine.end_refresh(id);
}

}  // namespace zoocache::detail
