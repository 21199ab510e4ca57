#include "redis/intents.h"

#include <algorithm>
#include <set>

#include "core/intent.h"

namespace zoocache::redis {
namespace {

using core::IntentStep;

constexpr std::string_view kMark = "\002intent:";
constexpr std::size_t kNumberDigits = 16;
constexpr std::uint64_t kBase = std::uint64_t{1} << 60;
constexpr std::uint64_t kSpacing = 256;  // of the numbers of that size that a score holds exactly
constexpr std::uint64_t kMostBeats = std::uint64_t{1} << 40;

std::string score_of(std::uint64_t state) { return "-" + std::to_string(kBase + kSpacing * state); }

std::uint64_t silent_at(std::uint64_t beat) noexcept { return 2 * (beat % kMostBeats) + 1; }
std::uint64_t old_at(std::uint64_t beat) noexcept { return 2 * (beat % kMostBeats) + 2; }

// The head of a call that invalidates: a nonce, the node, the channel, most tags.
ScriptCall head_of(const Place& place, std::span<const core::Change> changes,
                   std::size_t max_log_tags) {
  return invalidate_call(place, changes, max_log_tags);
}

}  // namespace

std::string_view intent_name(std::string_view member) noexcept {
  return member.substr(0, kMark.size() + 2 * kNumberDigits);
}

std::string_view IntentRecord::node() const noexcept {
  const std::string_view whole = name;
  return whole.substr(std::min(kMark.size() + kNumberDigits, whole.size()), kNumberDigits);
}

std::optional<IntentList> parse_intents(const Reply& reply) {
  constexpr std::size_t kEach = 3;
  if (reply.type != Type::kArray || reply.items.size() % kEach != 1) return std::nullopt;
  const auto nonce = reply.items[0].integer();
  if (!nonce || *nonce < 0) return std::nullopt;
  IntentList list;
  list.nonce = static_cast<std::uint64_t>(*nonce);
  for (std::size_t index = 1; index < reply.items.size(); index += kEach) {
    const auto state = reply.items[index + 1].integer();
    const auto beat = reply.items[index + 2].integer();
    if (!state || !beat || *state < 0 || *beat < 0) return std::nullopt;
    IntentRecord one{reply.items[index].text, static_cast<std::uint64_t>(*state),
                     static_cast<std::uint64_t>(*beat)};
    if (one.node().size() != kNumberDigits) return std::nullopt;
    list.intents.push_back(std::move(one));
  }
  return list;
}

std::string intent_member(const Place& place, std::uint64_t token,
                          std::span<const std::string> texts) {
  std::string member(kMark);
  member += hex_of(token) + place.node;
  for (const std::string& text : texts) member += std::to_string(text.size()) + ":" + text;
  return member;
}

ScriptCall declare_call(const Place& place, std::string_view member) {
  ScriptCall call = head_of(place, {}, 0);
  call.arguments.resize(1);  // the nonce
  call.arguments.emplace_back(member);
  return call;
}

ScriptCall intents_call(const Place& place) {
  return {{place.key}, {std::to_string(kMostIntents)}};
}

ScriptCall fire_call(const Place& place, const Firing& firing, std::size_t max_log_tags) {
  ScriptCall call = head_of(place, {}, max_log_tags);
  // Nobody has applied it: it is applied where the message comes, here as well.
  call.arguments[1] = std::string(1, '-');
  call.arguments.push_back(firing.name);
  call.arguments.push_back(score_of(firing.state));
  call.arguments.push_back(firing.next ? score_of(*firing.next) : "");
  return call;
}

ScriptCall end_call(const Place& place, std::string_view member,
                    std::span<const core::Change> changes, std::size_t max_log_tags) {
  ScriptCall call = head_of(place, changes, max_log_tags);
  const std::size_t fixed = head_of(place, {}, max_log_tags).arguments.size();
  const auto at = call.arguments.begin() + static_cast<std::ptrdiff_t>(fixed);
  call.arguments.insert(at, {std::string(member), "", ""});
  return call;
}

void Intents::begin(std::uint64_t token, std::string member) { open_[token] = {std::move(member)}; }

std::optional<std::string> Intents::begin_end(std::uint64_t token) {
  const auto found = open_.find(token);
  if (found == open_.end()) return std::nullopt;
  found->second.is_ending = true;
  return found->second.member;
}

void Intents::forget(std::uint64_t token) { open_.erase(token); }

// How long it has been what it is.
std::int64_t Intents::still_ns(const SeenBy& before, SeenBy& now, std::string_view name,
                               std::uint64_t what, std::int64_t now_ns) {
  const auto found = before.find(name);
  const bool is_same = found != before.end() && found->second.what == what;
  const Seen seen{what, is_same ? found->second.since_ns : now_ns};
  now.insert_or_assign(std::string(name), seen);
  return now_ns - seen.since_ns;
}

std::optional<Firing> Intents::judge(const IntentRecord& one, bool is_alive,
                                     std::int64_t age_ns) const {
  const bool has_fired = one.state == silent_at(one.beat);
  switch (core::next_step(is_alive, has_fired, age_ns >= max_commit_ns_)) {
    case IntentStep::kNothing:
      return std::nullopt;
    case IntentStep::kFire:
      return Firing{one.name, one.state, is_alive ? old_at(one.beat) : silent_at(one.beat)};
    case IntentStep::kFireAndForget:
      return Firing{one.name, one.state, std::nullopt};
  }
  return std::nullopt;
}

Intents::Work Intents::look(const IntentList& list, std::string_view node, std::int64_t now_ns) {
  Work work;
  SeenBy states;
  SeenBy beats;
  std::set<std::string_view> open;
  for (const auto& [token, one] : open_) open.insert(intent_name(one.member));
  std::set<std::string_view> there;
  for (const IntentRecord& one : list.intents) {
    const bool is_own = one.node() == node;
    if (is_own) there.insert(one.name);
    if (is_own && open.count(one.name) == 0) {
      work.fire.push_back({one.name, one.state, std::nullopt});
      continue;
    }
    const std::int64_t silent_ns = still_ns(beats_, beats, one.node(), one.beat, now_ns);
    const std::int64_t age_ns = still_ns(states_, states, one.name, one.state, now_ns);
    const bool is_alive = is_own || (one.beat != 0 && silent_ns < lease_ns_);
    if (auto firing = judge(one, is_alive, age_ns)) work.fire.push_back(std::move(*firing));
  }
  states_ = std::move(states);
  beats_ = std::move(beats);
  if (list.intents.size() >= kMostIntents) return work;  // there may be more
  for (const auto& [token, one] : open_) {
    if (!one.is_ending && there.count(intent_name(one.member)) == 0)
      work.declare.push_back(one.member);
  }
  return work;
}

}  // namespace zoocache::redis
