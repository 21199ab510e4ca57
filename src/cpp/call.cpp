#include "cpp/call.h"

#include <new>
#include <string>
#include <utility>

#include "core/tag.h"
#include "zoocache/errors.h"

namespace zoocache::detail {
std::shared_ptr<core::LoadFrame<Policy>> open_load_of(FramePtr context,
                                                      const core::InvalidationLog& log) {
  std::shared_ptr<core::LoadFrame<Policy>> frame = std::move(context);
  while (frame != nullptr && (&frame->log() != &log || !frame->is_open())) frame = frame->parent;
  return frame;
}

Call::Call(FunctionState& function, Request& request, FramePtr context)
    : function_(function),
      cache_(*function.cache),
      request_(request),
      context_(std::move(context)),
      outer_(open_load_of(context_, cache_.engine.log())),
      arrival_(cache_.engine.log().arrive()) {}

Call::~Call() {
  stop_following();
  if (leads_) abandon_load();
}

ValuePtr Call::look_up() {
  auto& engine = cache_.engine;
  core::Removed removed(engine.log());  // dropped after the guard
  const core::ReadGuard guard;
  born_ = engine.log().clock();  // before anything that the load will read
  old_.reset();
  const core::EntryId id = engine.find(function_.function, request_.hash, matching(request_));
  if (id == core::kNoEntry) return nullptr;
  core::HotEntry& hot = engine.slab().hot(id);
  const core::Validity validity = engine.check(id, function_.function, born_);
  if (validity == core::Validity::kValid) {
    engine.touch(hot);
    const core::ColdEntry& cold = engine.slab().cold(id);
    if (outer_ != nullptr) {
      outer_->add_hit(own_key(), cold.deps.nodes(),
                      cold.expires_ns.load(std::memory_order_relaxed));
    }
    return box_of(hot).value;
  }
  keep_old(id);
  engine.bury(function_.function, id, hot.value, validity, removed);
  return nullptr;
}

Join Call::join() {
  constexpr int kSharedRounds = 2;  // then alone, so that storms of invalidations make progress
  shared_ = !alone_ && rounds_ < kSharedRounds;
  auto mine = std::make_shared<CppFlight>(&function_, request_.hash, born_, cache_.engine.log());
  mine->box = request_.make_box();  // users' code: before the lock
  if (!shared_) {
    flight_ = std::move(mine);
    leads_ = true;
    return Join::kLead;
  }
  const auto joined = cache_.flights.join(
      &function_, request_.hash,
      [this](const core::Flight& other) {
        const Box& box = *static_cast<const CppFlight&>(other).box;
        return request_.equal(box, request_.probe) ? core::Match::kYes : core::Match::kNo;
      },
      [&]() -> core::FlightPtr { return mine; });
  flight_ = joined.flight;
  if (!joined.leads) return Join::kFollow;
  leads_ = true;
  // Interleaving 1: the load that was missed in the table may have ended before we led.
  if (detached_ || !is_stored_meanwhile()) return Join::kLead;
  finish(core::FlightState::kAbandoned);
  flight_.reset();
  return Join::kAgain;
}

bool Call::is_stored_meanwhile() {
  const core::ReadGuard guard;
  const core::EntryId id =
      cache_.engine.find(function_.function, request_.hash, matching(request_));
  return id != core::kNoEntry &&
         cache_.engine.inspect(id, function_.function) == core::Validity::kValid;
}

void Call::finish(core::FlightState outcome) {
  leads_ = false;
  leave_batch();
  cache_.flights.finish(flight_, outcome);
}

void Call::start_load() {
  begin_level_load();
  // What code of ours waits for, the whole batch waits for.
  const core::FlightPtr& waiting = batch_ == nullptr ? flight_ : batch_;
  frame_ =
      std::make_shared<FrameState>(function_.cache, born_, shared_ ? waiting : nullptr, context_);
  if (shared_ && context_ != nullptr) {
    enclosing_ = context_->enclosing();
    if (!enclosing_.empty()) {
      cache_.flights.nest(*enclosing_.front(), *flight_);
      nested_ = true;
    }
  }
  try {
    std::vector<std::string> tags;
    request_.deps_before(tags);
    declare(tags);
  } catch (...) {
    fail_load(std::current_exception());
    throw;
  }
}

void Call::declare(const std::vector<std::string>& tags) {
  const std::size_t max_length = cache_.engine.options().max_tag_length;
  for (const std::string& tag : tags) core::check_tag(tag, max_length);
  for (const std::string& tag : tags) frame_->add_tag(tag);
}

// They are part of the load: cached calls that they make are its dependencies.
void Call::declare_deps_after() {
  deps_asked_ = true;
  const CurrentFrame scope(frame_);
  std::vector<std::string> tags;
  request_.deps_after(tags);
  declare(tags);
}

Call::Gathered Call::close_frame() {
  if (nested_) cache_.flights.leave_nested(*enclosing_.front(), *flight_);
  nested_ = false;
  const Gathered gathered = frame_->close(flight_->deps);
  flight_->storable = gathered.storable;
  took_ns_ = gathered.took_ns;
  frame_.reset();
  return gathered;
}

void Call::tell_outer(const core::Flight& flight) {
  if (outer_ == nullptr) return;
  outer_->add_load(own_key(), flight.deps, flight.expires_ns,
                   flight.deps_complete && flight.storable);
}

void Call::forbid_outer() noexcept {
  if (outer_ != nullptr) outer_->distrust();
}

void Call::store(const ValuePtr& value, const Gathered& gathered) {
  auto& engine = cache_.engine;
  auto& function = function_.function;
  const ValueOptions& options = function_.settings.value;
  const FunctionOptions& bounds = function_.settings.bounds;
  const void* const object = value.get();
  const double default_s = bounds.ttl_s < 0 ? engine.options().default_ttl_s : bounds.ttl_s;
  const double ttl_s = options.ttl_s ? options.ttl_s(object) : default_s;
  const bool lives = !options.ttl_s || ttl_s > 0;
  flight_->storable =
      flight_->storable && lives;  // what has no time to live leaves none to an outer load
  const bool wanted = lives && (!options.store_if || options.store_if(object));
  const std::size_t size_bytes = options.size_bytes ? options.size_bytes(object) : 0;
  const double lived_s = core::jittered(ttl_s, aging().jitter);
  const std::int64_t own_ns = core::expiry_ns(engine.now_ns(), lived_s);
  const bool inner_bounds =
      gathered.expires_ns != 0 && (own_ns == 0 || gathered.expires_ns < own_ns);
  flight_->expires_ns = inner_bounds ? gathered.expires_ns : own_ns;
  Standing standing = Standing::kCurrent;
  const bool kept = wanted && gathered.wanted && gathered.storable;
  if (kept) {
    encode_for_level(object);
    // An inner entry's time bounds this one's: reading it does not prolong the inner one.
    const bool slides = bounds.sliding && !inner_bounds && own_ns != 0;
    standing = keep(*flight().box, value, size_bytes, slides ? static_cast<float>(lived_s) : 0);
  }
  if (!kept || standing != Standing::kCurrent) {
    core::count(function.counters.not_stored);
    engine.note_not_stored(function, request_.hash, standing);
    return;
  }
  keep_in_level();
}

// Puts the value, which lies in the box, into the table with what the flight says of it, if that
// still stands.
Call::Standing Call::keep(Box& box, const ValuePtr& value, std::size_t size_bytes,
                          float sliding_s) {
  auto& engine = cache_.engine;
  auto& function = function_.function;
  core::NewEntry entry;
  const core::HiddenTag own(function.tag_id, request_.hash);
  const Standing standing =
      engine.log().bind(flight_->deps, function.node, &own.path(), flight_->born, &entry.deps);
  if (standing != Standing::kCurrent) return standing;
  box.value = value;
  entry.hash = request_.hash;
  entry.born = flight_->born;
  entry.expires_ns = flight_->expires_ns;
  entry.sliding_s = sliding_s;
  entry.value_bytes = size_bytes;
  entry.key = reinterpret_cast<core::Word>(&box);
  entry.value = entry.key;
  core::Removed removed(engine.log());
  engine.store(function, entry, matching(request_), removed);
  return standing;
}

ValuePtr Call::end_load() {
  ValuePtr value(box(), box()->value.get());
  try {
    declare_deps_after();
    const Gathered gathered = close_frame();
    flight_->deps_complete = true;
    store(value, gathered);
  } catch (...) {
    fail_load(std::current_exception());
    throw;
  }
  core::count_load(function_.function.counters, took_ns_);
  tell_outer(*flight_);
  flight().value = value;
  finish(core::FlightState::kDone);
  return value;
}

void Call::fail_load(std::exception_ptr error) {
  if (level_ != nullptr) level_->fail();
  flight_->deps_complete = frame_ == nullptr;
  if (frame_ != nullptr) {
    try {
      if (!deps_asked_) {
        declare_deps_after();  // the outcome depends on them too
        flight_->deps_complete = true;
      }
    } catch (...) {
      flight_->deps_complete = false;  // the loader's own error is the one that is told
    }
    flight_->expires_ns = close_frame().expires_ns;
  }
  core::count_load(function_.function.counters, took_ns_);
  core::count(function_.function.counters.load_errors);
  cache_.engine.note_not_stored(function_.function, request_.hash, core::Removal::kFailed);
  tell_outer(*flight_);
  flight().error = std::move(error);
  finish(core::FlightState::kFailed);
}

void Call::abandon_load() noexcept {
  forbid_outer();
  if (frame_ != nullptr) {
    try {
      close_frame();
    } catch (const std::bad_alloc&) {
      frame_.reset();  // what the load gathered is not wanted any more
    }
  }
  if (leads_) finish(core::FlightState::kAbandoned);
}

core::Following Call::follow(std::shared_ptr<core::Waiter> waiter) {
  enclosing_ = context_ == nullptr ? std::vector<core::Flight*>{} : context_->enclosing();
  waiter_ = waiter;
  const core::Following following = cache_.flights.follow(flight_, enclosing_, std::move(waiter));
  if (following == core::Following::kWaiting) {
    core::count(function_.function.counters.flights_joined);
  } else {
    waiter_.reset();
  }
  return following;
}

void Call::stop_following() {
  if (waiter_ == nullptr) return;
  cache_.flights.leave(flight_, enclosing_, waiter_.get());
  waiter_.reset();
}

ValuePtr Call::take_outcome() {
  const core::FlightPtr flight = flight_;
  const core::FlightState outcome = flight->state();
  if (outcome == core::FlightState::kAbandoned || outcome == core::FlightState::kRunning) {
    return nullptr;
  }
  bool fresh = flight->born >= arrival_;
  if (!fresh && flight->deps_complete) {
    const core::HiddenTag own(function_.function.tag_id, request_.hash);
    const Standing standing = cache_.engine.log().standing(flight->deps, function_.function.node,
                                                           &own.path(), flight->born);
    fresh = standing == Standing::kCurrent || standing == Standing::kHeld;
  }
  if (!fresh) {
    ++rounds_;
    return nullptr;
  }
  tell_outer(*flight);
  auto& ended = static_cast<CppFlight&>(*flight);
  if (outcome == core::FlightState::kFailed) {
    if (forgives_errors()) return serve_old();
    std::rethrow_exception(ended.error);
  }
  return ended.value;
}

void Call::give_up_waiting() {
  if (function_.settings.throw_on_timeout) {
    forbid_outer();
    throw FlightTimeout("another caller's load did not end within flight_timeout_s=" +
                        std::to_string(detail::flight_timeout_s(function_)));
  }
  alone_ = true;
}

double flight_timeout_s(const FunctionState& function) noexcept {
  const double own = function.settings.flight_timeout_s;
  return own < 0 ? function.cache->engine.options().flight_timeout_s : own;
}

}  // namespace zoocache::detail
