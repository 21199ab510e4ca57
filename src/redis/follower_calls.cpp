// What callers of a log wait for.
#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "redis/follower.h"
#include "redis/intents.h"
#include "zoocache/errors.h"

namespace zoocache::redis {

using core::Change;
using core::Epoch;
using std::chrono::nanoseconds;

void Follower::refresh() noexcept {
  if (options_.is_writer) {
    log_.apply_root();
    return;
  }
  try {
    if (!is_outdated() && renew()) return;
  } catch (const std::exception&) {  // no memory: as if there had been no answer
    breaker_.renewed(now_ns());
  }
  const std::lock_guard lock(mutex_);
  if (!is_fresh() && (is_outdated() || lease_.must_forget(now_ns()))) flush();
}

// Callers that come while one renews wait for it, and share what it finds.
bool Follower::renew() {
  std::unique_lock lock(renewal_mutex_);
  if (is_fresh()) return true;
  if (is_renewing_) {
    const std::uint64_t before = renewals_;
    const nanoseconds patience(options_.first_timeout_ns + options_.command_timeout_ns);
    is_renewed_.wait_for(lock, patience, [&] { return renewals_ != before; });
    return is_fresh();
  }
  is_renewing_ = true;
  lock.unlock();
  const auto end = [&] {
    lock.lock();
    is_renewing_ = false;
    ++renewals_;
    is_renewed_.notify_all();
  };
  bool is_good = false;
  try {
    is_good = lead_renewal();
  } catch (...) {
    end();
    throw;
  }
  end();
  return is_good;
}

bool Follower::lead_renewal() {
  const Breaker::Pass pass = breaker_.enter(now_ns());
  if (!pass.is_allowed) return false;
  const Step step = beat_now(deadline());
  const bool is_good = step == Step::kFresh && is_fresh();
  breaker_.report(pass, is_good || is_outdated(), now_ns());  // it has answered
  if (is_good) retry_kept();
  return is_good;
}

// Beats, and catches up with what that says.
Follower::Step Follower::beat_now(std::int64_t deadline_ns) {
  Step step = Step::kChanged;
  while (step == Step::kChanged && now_ns() < deadline_ns) {
    const SentBeat beat = next_beat();
    step = beat_answered(ask(scripts_.beat, beat.call, deadline_ns), beat.at_ns);
    if (step == Step::kBehind) step = catch_up(deadline_ns);
  }
  return step;
}

Epoch Follower::newest() {
  if (options_.is_writer) return core::kForever;  // as `position`
  if (beat_now(deadline()) != Step::kFresh) throw HomeUnreachable(trouble());
  const std::lock_guard lock(mutex_);
  return lease_.needed();
}

Follower::Step Follower::catch_up(std::int64_t deadline_ns) {
  Step step = Step::kBehind;
  Cursor cursor;
  while ((step == Step::kBehind || step == Step::kMore) && now_ns() < deadline_ns) {
    if (step == Step::kBehind) {
      const std::lock_guard lock(mutex_);
      ++counters_.catch_ups;
      cursor = {lease_.nonce(), lease_.applied()};
    }
    const ScriptCall call = page_call(place_, cursor.nonce, cursor.after, options_.page_texts);
    step = page_answered(ask(scripts_.page, call, deadline_ns), &cursor);
  }
  return step;
}

std::int64_t Follower::deadline() {
  const std::lock_guard lock(mutex_);
  const bool is_first = options_.is_writer ? lease_.nonce() == 0 : !lease_.is_registered();
  return now_ns() + (is_first ? options_.first_timeout_ns : options_.command_timeout_ns);
}

// A connection that ends or is not there yet is waited for, as long as there is time: everything
// that is sent from here may run twice.
Answer Follower::ask(const std::function<Answer(nanoseconds)>& send, std::int64_t deadline_ns) {
  for (;;) {
    const nanoseconds left(std::max<std::int64_t>(deadline_ns - now_ns(), 0));
    if (!transport_->await_connected(Link::kControl, left)) {
      Failure why = transport_->failure(Link::kControl);
      if (why.trouble == Trouble::kNone) why = {Trouble::kTimeout, "no connection in time"};
      return {Reply(), std::move(why)};
    }
    Answer answer = send(nanoseconds(std::max<std::int64_t>(deadline_ns - now_ns(), 1)));
    if (answer.has_reply() || !may_pass_soon(answer.failure.trouble)) return answer;
    if (now_ns() >= deadline_ns) return answer;
  }
}

Answer Follower::ask(const Script& script, const ScriptCall& call, std::int64_t deadline_ns) {
  return ask([&](nanoseconds left) { return run(*transport_, Link::kControl, script, call, left); },
             deadline_ns);
}

Epoch Follower::append(std::span<const Change> changes, std::uint32_t origin) {
  return append_by(scripts_.invalidate, invalidate_call(place_, changes, options_.max_log_tags),
                   changes, origin);
}

Epoch Follower::append_by(const Script& script, const ScriptCall& call,
                          std::span<const Change> changes, std::uint32_t origin) {
  try {
    core::hold_changes(log_, changes);  // interleaving (6)
  } catch (...) {
    core::apply_changes(log_, changes, origin);
    throw;
  }
  const Epoch applied = core::apply_changes(log_, changes, origin);
  std::string why;
  const std::uint64_t connection = connection_of(Link::kControl);
  std::optional<Receipt> receipt;
  try {
    receipt = receipt_from(script, call, &why);
  } catch (const std::exception& error) {
    why = error.what();
  }
  if (receipt) {
    {
      const std::lock_guard lock(mutex_);
      note_receipt(*receipt, changes, origin, applied);
      journal_.acknowledged(changes, receipt->nonce, now_ns());
    }
    core::release_changes(log_, changes);
    return await_replicas(*receipt, connection) ? receipt->epoch : 0;
  }
  {
    const std::lock_guard lock(mutex_);
    journal_.keep(changes);
  }
  if (options_.keeps_silently) return 0;
  throw HomeUnreachable("not acknowledged, and kept to be tried again: " + why);
}

std::optional<Receipt> Follower::receipt_from(const Script& script, const ScriptCall& call,
                                              std::string* why) {
  const Breaker::Pass pass = breaker_.enter(now_ns());
  if (!pass.is_allowed) {
    *why = "commands failed a moment ago; " + trouble();
    return std::nullopt;
  }
  const std::int64_t deadline_ns = deadline();
  const std::string refusal = [&] {
    const std::lock_guard lock(mutex_);
    return refusal_;
  }();
  if (!refusal.empty()) {
    breaker_.report(pass, true, now_ns());
    *why = refusal;
    return std::nullopt;
  }
  const Answer answer = ask(script, call, deadline_ns);
  breaker_.report(pass, answer.has_reply(), now_ns());
  auto receipt = receipt_of(answer);
  if (!receipt) *why = trouble();
  return receipt;
}

// The epochs of the texts, behind the nonce and the floor; a member that is not there has 0.
std::vector<Epoch> Follower::scores(std::span<const std::string> texts) {
  Command command{"ZMSCORE", place_.key, kNonceMember, kFloorMember};
  for (const std::string& text : texts) command.add(text);
  const auto send = [&](nanoseconds left) {
    return transport_->execute(Link::kControl, command, left);
  };
  const Answer answer = ask(send, deadline());
  if (!answer.has_reply() || answer.reply.items.size() != texts.size() + 2) {
    note_trouble(answer);
    throw HomeUnreachable(trouble());
  }
  std::vector<Epoch> found;
  for (const Reply& item : answer.reply.items) {
    const auto score = parse_score(item);
    if (!score) throw HomeUnreachable("the log holds a number that is none of ours");
    const bool is_own = found.size() < 2;  // those are below 0
    found.push_back(static_cast<Epoch>(std::max(is_own ? -*score : *score, 0.0)));
  }
  return found;
}

Epoch Follower::version(const core::TagPath& path) {
  if (!options_.is_writer && !is_fresh()) throw HomeUnreachable(trouble());
  std::vector<std::string> texts;
  core::newest_on_path(path, [&](std::string_view text) {
    texts.emplace_back(text);
    return Epoch{0};
  });
  const std::vector<Epoch> epochs = scores(texts);
  return *std::max_element(epochs.begin() + 2, epochs.end());
}

bool Follower::may_declare() {
  if (!transport_->is_connected(Link::kControl)) return false;
  const std::lock_guard lock(mutex_);
  return refusal_.empty();
}

core::HomePosition Follower::position() noexcept {
  const std::lock_guard lock(mutex_);
  // A writer serves nothing, so that all of it is as new as can be.
  if (options_.is_writer) return {true, receipt_nonce_, core::kForever};
  return {is_fresh(), lease_.nonce(), lease_.applied()};
}

std::string Follower::trouble() {
  const std::lock_guard lock(mutex_);
  if (!refusal_.empty()) return refusal_;
  if (is_outdated()) return version_trouble();
  return trouble_.empty() ? "the server was not reached yet" : trouble_;
}

std::string Follower::version_trouble() const {
  return "a newer zoocache wrote the log, which needs version " + std::to_string(needs_.load()) +
         " of it; this process reads version " + std::to_string(kLogVersion) +
         " and caches nothing until it is updated";
}

HomeStatus Follower::status() {
  HomeStatus status;
  status.kind = "redis";
  status.reachable = is_fresh();
  if (options_.is_writer) status.reachable = may_declare();
  status.trouble = status.reachable ? "" : trouble();
  const std::lock_guard lock(mutex_);
  if (status.reachable) status.trouble = is_outdated() ? version_trouble() : warning_;
  status.generation = lease_.nonce();
  status.clock = lease_.needed();
  status.applied = lease_.applied();
  status.floor = floor_;
  status.intents = intents_->standing();
  status.fired_intents = fired_.load();
  status.counters = counters_;
  status.counters.breaker_opens = breaker_.openings();
  for (const Script* const one :
       {&scripts_.beat, &scripts_.invalidate, &scripts_.fire, &scripts_.declare, &scripts_.intents,
        &scripts_.page, &scripts_.check, &scripts_.nodes, &scripts_.leave}) {
    status.counters.script_loads += one->loads();
  }
  return status;
}

}  // namespace zoocache::redis
