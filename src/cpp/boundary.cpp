#include "zoocache/detail/boundary.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "core/hash.h"
#include "core/tag.h"
#include "cpp/call.h"
#include "zoocache/deps.h"
#include "zoocache/detail/codec_scalars.h"
#include "zoocache/detail/key.h"
#include "zoocache/errors.h"

namespace zoocache::detail {
namespace {

thread_local FramePtr current;
// Whether there is one: a hit asks, and this needs neither construction nor destruction.
constinit thread_local bool in_load = false;

class BlockedThread final : public core::Waiter {
 public:
  void wake() override {
    // Under the lock: the waiting thread may go on and drop this object at once.
    const std::lock_guard lock(mutex_);
    woken_ = true;
    condition_.notify_one();
  }
  bool wait_for(double seconds) {
    const auto span = std::chrono::duration<double>(std::min(seconds, 1e9));
    std::unique_lock lock(mutex_);
    return condition_.wait_for(lock, span, [this] { return woken_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool woken_ = false;
};

// However a call that leads ends: stores, or frees its claim, once the flight has ended.
struct LevelEnd {
  Call& call;
  ~LevelEnd() { call.finish_level(); }
};

ValuePtr lead(Call& call, const Fill& load) {
  const LevelEnd end{call};
  if (call.begin_level()) {
    call.look_in_level(call.level_patience());
    if (ValuePtr value = call.take_from_level(); value != nullptr) return value;
  }
  call.start_load();
  try {
    const CurrentFrame scope(call.frame());
    load(*call.box());
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    if (error == nullptr) {  // no C++ exception: the thread is being cancelled, nobody's outcome
      call.abandon_load();
    } else {
      call.fail_load(error);
      if (call.forgives_errors()) return call.serve_old();
    }
    throw;
  }
  return call.end_load();
}

// The load runs elsewhere, and we wait a little for it.
ValuePtr load_softly(FunctionState& function, const Request& request, Call& call, Job job) {
  if (!call.begin_softly()) return call.serve_old();
  const auto ended = std::make_shared<BlockedThread>();
  try {
    function.jobs->start(function.cache->background, [ended, job = std::move(job)] {
      job();
      ended->wake();
    });
  } catch (...) {
    end_refresh(function, request);
    throw;
  }
  ended->wait_for(function.settings.bounds.aging.soft_timeout_s);
  return call.finish_softly();
}

// nullptr: look up again.
ValuePtr follow(Call& call, double timeout_s) {
  auto waiter = std::make_shared<BlockedThread>();
  const core::Following following = call.follow(waiter);
  if (following == core::Following::kCycle) {
    call.load_alone();
    return nullptr;
  }
  if (following == core::Following::kWaiting) {
    const bool woken = waiter->wait_for(timeout_s);
    call.stop_following();
    if (!woken) {
      call.give_up_waiting();
      return nullptr;
    }
  }
  return call.take_outcome();
}

// What all pointers to a function share, but those of its jobs.
struct Handle {
  explicit Handle(FunctionPtr kept) : state(std::move(kept)) {}
  ~Handle() { state->jobs->end(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  const FunctionPtr state;
};

void note_hit(FunctionState& function, std::uint64_t hash, const core::ColdEntry& cold) {
  const auto outer = open_load_of(current, function.cache->engine.log());
  if (outer == nullptr) return;
  outer->add_hit({function.function.tag_id, hash}, cold.deps.nodes(),
                 cold.expires_ns.load(std::memory_order_relaxed));
}

}  // namespace

std::string level_identity(std::string_view name, std::string_view version,
                           std::initializer_list<std::string_view> codecs) {
  std::string identity = "C++/1";  // keys of other languages begin differently
  const auto add = [&identity](std::string_view part) {
    put_number(static_cast<std::uint64_t>(part.size()), identity);
    identity += part;
  };
  add(name);
  add(version);
  for (const std::string_view codec : codecs) add(codec);
  return identity;
}

void refuse_storage(std::string_view name) {
  throw InvalidOption("storage of '" + std::string(name.substr(0, 80)) +
                      "' is not allowed: a function that is kept in a storage has a name, and its "
                      "arguments and value have a Codec; see codec.h");
}

FunctionPtr add_function(const CachePtr& cache, std::string name, FunctionSettings settings) {
  if (!std::isfinite(settings.flight_timeout_s)) {
    throw InvalidOption("flight_timeout_s=" + std::to_string(settings.flight_timeout_s) +
                        " is not allowed: it is a time in seconds, below 0 for the cache's");
  }
  auto state = std::make_shared<FunctionState>(cache, std::move(name), std::move(settings));
  auto handle = std::make_shared<const Handle>(state);
  return {std::move(handle), state.get()};
}

FunctionPtr for_job(FunctionState& function) { return function.shared_from_this(); }

namespace {

// What a hit found not valid, looked at once more: its own guard ends before anything is dropped.
// What it was then; kValid if there is none any more.
[[gnu::noinline]] core::Validity bury_dead(FunctionState& function, std::uint64_t hash, Equal equal,
                                           const void* probe) {
  auto& engine = function.cache->engine;
  core::Removed removed(engine.log());  // dropped after the guard
  const core::ReadGuard guard;
  const core::Epoch clock = engine.log().clock();
  const core::EntryId id = engine.find(function.function, hash, matching(equal, probe));
  if (id == core::kNoEntry) return core::Validity::kValid;
  const core::Word value = engine.slab().hot(id).value;
  const core::Validity validity = engine.check(id, function.function, clock);
  if (validity == core::Validity::kValid) return validity;  // stored by somebody meanwhile
  engine.bury(function.function, id, value, validity, removed);
  return validity;
}

}  // namespace

Seen visit(FunctionState& function, std::uint64_t hash, Equal equal, const void* probe, Use use,
           void* context) {
  auto& engine = function.cache->engine;
  bool found = false;
  {
    const core::ReadGuard guard;
    const core::Epoch clock = engine.log().arrive();
    const core::EntryId id = engine.find(function.function, hash, matching(equal, probe));
    found = id != core::kNoEntry;
    core::HotEntry* const hot = found ? &engine.slab().hot(id) : nullptr;
    if (found && (engine.is_validated(hot->state.load(std::memory_order_relaxed), clock) ||
                  engine.check(id, function.function, clock) == core::Validity::kValid)) {
      engine.touch(*hot);
      function.function.hits.add();
      if (in_load) note_hit(function, hash, engine.slab().cold(id));
      use(context, box_of(*hot).value);
      return engine.wants_refresh(id, function.function) ? Seen::kLateHit : Seen::kHit;
    }
  }
  core::Validity was = core::Validity::kValid;
  if (found) was = bury_dead(function, hash, equal, probe);
  core::count_miss(function.function.counters, engine.miss_reason(function.function, hash, was));
  return Seen::kMiss;
}

bool peek(FunctionState& function, const Request& request, Use use, void* context) {
  auto& engine = function.cache->engine;
  engine.log().arrive();
  const core::ReadGuard guard;
  const core::EntryId id = engine.find(function.function, request.hash, matching(request));
  const bool valid =
      id != core::kNoEntry && engine.inspect(id, function.function) == core::Validity::kValid;
  if (valid) {
    if (current != nullptr) note_hit(function, request.hash, engine.slab().cold(id));
    use(context, box_of(engine.slab().hot(id)).value);
  } else if (const auto outer = open_load_of(current, engine.log()); outer != nullptr) {
    // A load that saw nothing depends on that.
    outer->add_load({function.function.tag_id, request.hash}, core::DepSet(engine.log()), 0, true);
  }
  return valid;
}

ValuePtr run(FunctionState& function, Request& request, const Fill& load,
             const std::function<Job()>& make_job) {
  Call call(function, request, current);
  for (;;) {
    if (ValuePtr value = call.look_up(); value != nullptr) return value;
    if (call.loads_softly()) return load_softly(function, request, call, make_job());
    const Join joined = call.join();
    if (joined == Join::kLead) return lead(call, load);
    if (joined == Join::kAgain) continue;
    if (call.in_grace()) return call.serve_old();
    if (ValuePtr value = follow(call, flight_timeout_s(function)); value != nullptr) return value;
  }
}

void reload(FunctionState& function, Request& request, const Fill& load) {
  try {
    Call call(function, request, nullptr);
    call.begin_detached();
    if (call.join() == Join::kLead) lead(call, load);
  } catch (const std::exception&) {
    // Counted as a failed load; who asks later loads again.
  } catch (...) {
    if (std::current_exception() == nullptr) throw;  // the thread is being cancelled
  }
  end_refresh(function, request);
}

void start_background(FunctionState& function, const Request& request, Job job) {
  core::count(function.function.counters.refreshes);
  try {
    function.jobs->start(function.cache->background, std::move(job));
  } catch (...) {
    end_refresh(function, request);
    throw;
  }
}

void invalidate_key(FunctionState& function, const Request& request) {
  auto& engine = function.cache->engine;
  const auto kill_here = [&] {
    core::Removed removed(engine.log());
    return engine.invalidate_key(function.function, request.hash, 0, removed);
  };
  if (engine.log().home() == nullptr) {
    kill_here();
    return;
  }
  std::optional<core::KeyHold> hold;
  if (engine.level() != nullptr) hold.emplace(engine.log(), function.function.tag_id, request.hash);
  const core::Epoch epoch = kill_here();
  core::LevelKey key;
  const bool known = make_level_key(function, request, &key);
  try {
    engine.announce_key(function.function.tag_id, known ? &key : nullptr, 0);
  } catch (...) {
    if (hold) hold->kill_again(0, epoch);
    throw;
  }
  if (hold) hold->kill_again(0, epoch);
}

void clear_function(FunctionState& function) {
  auto& engine = function.cache->engine;
  engine.log().invalidate(core::HiddenTag(function.function.tag_id).path());
  core::Removed removed(engine.log());
  engine.clear_function(function.function, removed);
}

const FramePtr& current_frame() noexcept { return current; }

FramePtr exchange_current_frame(FramePtr frame) noexcept {
  in_load = frame != nullptr;
  return std::exchange(current, std::move(frame));
}

void add_deps(FrameState& frame, const std::vector<std::string>& tags) {
  for (const std::string& tag : tags) core::check_tag(tag, frame.max_tag_length());
  for (const std::string& tag : tags) frame.add_tag(tag);
}

void forbid_store(FrameState& frame) { frame.forbid_store(); }

void check_tag(const CacheState& cache, const std::string& tag) {
  core::check_tag(tag, max_tag_length(cache));
}

std::size_t max_tag_length(const CacheState& cache) noexcept {
  return cache.engine.options().max_tag_length;
}

std::string encode_segment(std::string_view text, std::size_t max_length) {
  return core::encode_segment(text, max_length);
}

std::uint64_t mix_hash(std::uint64_t running, std::uint64_t hash) noexcept {
  return core::hash_word(hash, running);
}

}  // namespace zoocache::detail
