// Intents: declaring, ending, dropping those of this process, and looking after the others'.
#include <algorithm>
#include <exception>
#include <utility>

#include "core/intent.h"
#include "redis/follower.h"
#include "redis/intents.h"
#include "zoocache/errors.h"

namespace zoocache::redis {

using core::Change;
using core::Epoch;

std::uint64_t Follower::declare_intent(std::span<const Change> changes) {
  std::uint64_t token = 0;
  while (token == 0) token = random_number();
  const std::string member = intent_member(place_, token, core::intent_texts(changes));
  {
    const std::lock_guard lock(mutex_);
    intents_->begin(token, member);
  }
  std::string why;
  try {
    const auto told = receipt_from(scripts_.declare, declare_call(place_, member), &why);
    if (told) {
      const std::lock_guard lock(mutex_);
      if (lease_.nonce() != 0 && told->nonce != lease_.nonce()) lease_.lose();
      publish();
      return token;
    }
  } catch (const std::exception& error) {
    why = error.what();
  }
  if (options_.keeps_silently) return token;  // it is declared when the server is heard of
  const std::lock_guard lock(mutex_);
  intents_->forget(token);
  throw HomeUnreachable("the write must not begin, since its tags cannot be declared: " + why);
}

Epoch Follower::fire_intent(std::uint64_t token, std::span<const Change> changes,
                            std::uint32_t origin) {
  std::optional<std::string> member;
  {
    const std::lock_guard lock(mutex_);
    member = intents_->begin_end(token);
  }
  if (!member) return append(changes, origin);
  // Whether the server heard of it or not: what is left there is fired by the next look.
  const auto forget = [&] {
    const std::lock_guard lock(mutex_);
    intents_->forget(token);
  };
  Epoch epoch = 0;
  try {
    epoch = append_by(scripts_.fire, end_call(place_, *member, changes, options_.max_log_tags),
                      changes, origin);
  } catch (...) {
    forget();
    throw;
  }
  forget();
  return epoch;
}

void Follower::drop_intent(std::uint64_t token) noexcept {
  try {
    std::optional<std::string> member;
    {
      const std::lock_guard lock(mutex_);
      member = intents_->begin_end(token);
    }
    if (!member) return;
    const Breaker::Pass pass = breaker_.enter(now_ns());
    if (pass.is_allowed) {
      const Command command{"ZREM", place_.key, *member};
      const auto send = [&](std::chrono::nanoseconds left) {
        return transport_->execute(Link::kControl, command, left);
      };
      breaker_.report(pass, ask(send, deadline()).has_reply(), now_ns());
    }
  } catch (const std::exception&) {  // no memory: as if it had not been heard
    breaker_.renewed(now_ns());
  }
  const std::lock_guard lock(mutex_);
  intents_->forget(token);
}

void Follower::look_at_intents() {
  {
    const std::lock_guard lock(mutex_);
    if (!intents_->must_look()) return;
  }
  run(*transport_, Link::kControl, scripts_.intents, intents_call(place_), lease(),
      [this](const Answer& answer) {
        const auto list = answer.has_reply() ? parse_intents(answer.reply) : std::nullopt;
        if (!list) return;  // the next look is soon enough
        Intents::Work work;
        {
          const std::lock_guard lock(mutex_);
          if (list->nonce == 0 || list->nonce != lease_.nonce()) return;
          work = intents_->look(*list, place_.node, now_ns());
        }
        for (const Firing& one : work.fire) {
          run(*transport_, Link::kControl, scripts_.fire,
              fire_call(place_, one, options_.max_log_tags), lease(), [this](const Answer& told) {
                if (told.has_reply() && parse_receipt(told.reply)) fired_.fetch_add(1);
              });
        }
        for (const std::string& member : work.declare) {
          run(*transport_, Link::kControl, scripts_.declare, declare_call(place_, member), lease(),
              [](const Answer&) {});
        }
      });
}

}  // namespace zoocache::redis
