// A call and the second level: see core/level_call.h for the order of things.
#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "core/tag.h"
#include "cpp/call.h"
#include "cpp/uncancelled.h"
#include "zoocache/errors.h"

namespace zoocache::detail {

using Found = core::LevelCall::Found;

bool make_level_key(const FunctionState& function, const Request& request, core::LevelKey* key) {
  if (function.settings.level_identity.empty() || function.cache->engine.level() == nullptr) {
    return false;
  }
  try {
    key->function_id = function.function.tag_id;
    key->bytes = function.settings.level_identity;
    request.encode_key(key->bytes);
  } catch (const std::exception&) {
    return false;  // an argument that has no bytes: the call stays in this process
  }
  return true;
}

bool Call::begin_level() {
  core::LevelKey key;
  if (!make_level_key(function_, request_, &key)) return false;
  auto& engine = cache_.engine;
  level_ = std::make_shared<core::LevelCall>(engine.log(), engine.level(), std::move(key));
  return !detached_;
}

std::chrono::nanoseconds Call::level_patience() const noexcept {
  constexpr double kMostSeconds = 1e9;
  if (context_ != nullptr) return std::chrono::nanoseconds(0);
  const double seconds = std::min(detail::flight_timeout_s(function_), kMostSeconds);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

Found Call::look_in_level(std::chrono::nanoseconds at_most) noexcept {
  const Uncancelled scope;
  found_ = level_->look(shared_, at_most);
  return found_;
}

ValuePtr Call::take_from_level() {
  if (found_ == Found::kTimedOut && context_ == nullptr && function_.settings.throw_on_timeout) {
    abandon_load();
    give_up_waiting();
  }
  if (found_ != Found::kValue) return nullptr;
  ValuePtr value;
  try {
    value = keep_found(level_->value());
  } catch (const std::exception&) {
    value = nullptr;  // bytes that are no value here: they are loaded
  }
  if (value == nullptr) {
    flight_->deps.clear();
    flight_->expires_ns = 0;
    return nullptr;
  }
  level_.reset();
  core::count(function_.function.counters.level_hits);
  flight_->deps_complete = true;
  tell_outer(*flight_);
  flight().value = value;
  finish(core::FlightState::kDone);
  return value;
}

// nullptr: it was invalidated since, or a writer holds a tag of it.
ValuePtr Call::keep_found(const core::StoredValue& found) {
  // Not the flight's box: others compare their keys with that, and a load may have to fill it.
  const BoxPtr made = request_.make_box();
  request_.decode_value(found.payload, *made);
  ValuePtr value(made, made->value.get());
  const ValueOptions& options = function_.settings.value;
  const std::size_t size_bytes = options.size_bytes ? options.size_bytes(value.get()) : 0;
  flight_->born = level_->born_here();
  if (found.lives_ns != 0) flight_->expires_ns = cache_.engine.now_ns() + found.lives_ns;
  level_->depend(flight_->deps);
  const bool kept = keep(*made, value, size_bytes, 0) == Standing::kCurrent;
  return kept ? value : nullptr;
}

// What was invalidated while the level was asked is in what the loader is about to read.
void Call::begin_level_load() noexcept {
  if (level_ == nullptr) return;
  level_->begin_load();
  born_ = cache_.engine.log().clock();
  flight_->born = born_;
}

void Call::encode_for_level(const void* value) {
  if (level_ == nullptr) return;
  try {
    request_.encode_value(value, payload_.emplace());
  } catch (const std::exception&) {
    payload_.reset();  // the value is good, only not kept there
    core::count(function_.function.counters.level_refusals);
  }
}

// After the flight has what it depends on and when it expires.
void Call::keep_in_level() {
  if (!payload_) return;
  const std::int64_t lives_ns = core::left_ns(flight_->expires_ns, cache_.engine.now_ns());
  try {
    level_->keep(std::move(*payload_), flight_->deps, lives_ns);
  } catch (const std::bad_alloc&) {
    core::count(function_.function.counters.level_refusals);
  }
}

bool Call::has_level_work() const noexcept { return level_ != nullptr && level_->has_work(); }

void Call::finish_level() noexcept {
  if (!has_level_work()) return;
  const Uncancelled scope;
  const bool keeps = level_->is_kept();
  std::string trouble;
  const bool stored = level_->finish(&trouble);
  if (keeps) {
    auto& counters = function_.function.counters;
    core::count(stored ? counters.level_stores : counters.level_refusals);
  }
  level_.reset();
}

}  // namespace zoocache::detail
