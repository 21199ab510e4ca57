// Whether stored values still hold: interleaving (7).
#include <algorithm>
#include <chrono>
#include <iterator>
#include <mutex>
#include <utility>

#include "redis/follower.h"
#include "zoocache/errors.h"

namespace zoocache::redis {

using core::Epoch;
using std::chrono::nanoseconds;

namespace {

constexpr std::size_t kChecksAtOnce = 256;  // calls of the script in a round trip

}  // namespace

bool Follower::holds(std::uint64_t generation, Epoch born, std::span<const std::string> texts) {
  const Question question{generation, born, {texts.begin(), texts.end()}};
  return holds_many({&question, 1}).front();
}

// What is known here is not asked for; the rest goes in one go.
std::vector<bool> Follower::holds_many(std::span<const Question> questions) {
  std::vector<bool> answers(questions.size(), false);
  std::vector<std::size_t> asked;
  std::vector<ScriptCall> calls;
  for (std::size_t index = 0; index < questions.size(); ++index) {
    const Question& one = questions[index];
    std::vector<std::string> wanted;
    const Epoch none = core::newest_of(one.texts, [&](std::string_view text) {
      wanted.emplace_back(text);
      return Epoch{0};
    });
    if (none == core::kForever || core::is_any_held(log_, one.texts)) continue;
    const Verdict verdict = holds_here(one.generation, one.born, wanted);
    answers[index] = verdict == Verdict::kYes;
    if (verdict != Verdict::kAsk) continue;
    asked.push_back(index);
    calls.push_back({{place_.key}, {std::to_string(one.generation)}});
    std::move(wanted.begin(), wanted.end(), std::back_inserter(calls.back().arguments));
  }
  for (std::size_t at = 0; at < calls.size(); at += kChecksAtOnce) {
    const std::size_t count = std::min(kChecksAtOnce, calls.size() - at);
    const std::vector<Checked> found = check({calls.data() + at, count});
    const std::lock_guard lock(mutex_);
    for (std::size_t index = 0; index < count; ++index) {
      const Question& one = questions[asked[at + index]];
      const bool holds = found[index].nonce == one.generation && one.born >= found[index].floor &&
                         one.born >= found[index].newest;
      answers[asked[at + index]] = holds;
      if (holds) ++counters_.server_checks;
    }
  }
  return answers;
}

std::vector<Checked> Follower::check(std::span<const ScriptCall> calls) {
  const std::int64_t until_ns = deadline();
  std::vector<Answer> answers;
  if (calls.size() == 1) {
    answers.push_back(ask(scripts_.check, calls.front(), until_ns));
  } else {
    const auto left = [&] { return nanoseconds(std::max<std::int64_t>(until_ns - now_ns(), 1)); };
    transport_->await_connected(Link::kControl, left());
    answers = run_all(*transport_, Link::kControl, scripts_.check, calls, left());
  }
  std::vector<Checked> checked;
  for (const Answer& answer : answers) {
    const auto found = answer.has_reply() ? parse_checked(answer.reply) : std::nullopt;
    if (!found) {
      note_trouble(answer);
      throw HomeUnreachable(trouble());
    }
    checked.push_back(*found);
  }
  return checked;
}

// What is trusted is at most a lease behind, as every hit is.
Follower::Verdict Follower::holds_here(std::uint64_t generation, Epoch born,
                                       const std::vector<std::string>& texts) {
  {
    const std::lock_guard lock(mutex_);
    if (is_fresh()) {
      if (generation != lease_.nonce()) return Verdict::kNo;
      const auto is_newer = [&](const std::string& text) { return index_.newest(text) > born; };
      if (std::any_of(texts.begin(), texts.end(), is_newer)) return Verdict::kNo;
      if (born < index_.floor()) return Verdict::kAsk;
      ++counters_.local_checks;
      return Verdict::kYes;
    }
  }
  throw HomeUnreachable(trouble());
}

}  // namespace zoocache::redis
