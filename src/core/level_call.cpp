#include "core/level_call.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/hash.h"
#include "core/log.h"

namespace zoocache::core {
namespace {

// What an entry that is read elsewhere depends on, as texts of changes. A key of an inner function
// has no name there: any key of that function stands for it.
std::vector<std::string> texts_of(const DepSet& deps) {
  std::vector<std::string> texts(deps.tags().begin(), deps.tags().end());
  for (const DepSet::Key& key : deps.keys()) {
    texts.emplace_back(HiddenTag(key.function_id, kAnyKey).path().text());
  }
  for (const TagNode* node : deps.nodes()) {
    if (node->hidden()) {
      texts.emplace_back(HiddenTag(node->hidden_function(), kAnyKey).path().text());
    } else {
      texts.push_back(node->text());
    }
  }
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts;
}

}  // namespace

std::uint64_t LevelKey::hash() const noexcept {
  const std::uint64_t hash = stable_hash(bytes, 0xA24BAED4963EE407ULL);
  return hash == kAnyKey ? 0 : hash;
}

std::string LevelKey::text() const {
  return std::string(HiddenTag(function_id, hash()).path().text());
}

LevelCall::LevelCall(InvalidationLog& log, std::shared_ptr<SecondLevel> level, LevelKey key)
    : log_(log), level_(std::move(level)), key_(std::move(key)) {}

LevelCall::~LevelCall() {
  if (token_ != 0) level_->release(key_.bytes, token_, has_failed_);
}

LogHome::Question LevelCall::question(const StoredValue& value) const {
  LogHome::Question question{value.generation, value.born, value.dependencies};
  question.texts.push_back(key_.text());  // and with it the function
  return question;
}

bool LevelCall::holds(const StoredValue& value) {
  const LogHome::Question asked = question(value);
  return log_.home()->holds(asked.generation, asked.born, asked.texts);
}

LevelCall::Found LevelCall::look(bool shared, std::chrono::nanoseconds at_most) noexcept {
  try {
    return look_or_throw(shared, at_most);
  } catch (const std::exception&) {
    return Found::kNothing;  // the home or the storage cannot be asked: as if nothing were stored
  }
}

LevelCall::Found LevelCall::look_or_throw(bool shared, std::chrono::nanoseconds at_most) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  std::optional<StoredValue> there;
  for (int round = 0; round < kLevelRounds; ++round) {
    if (!there) {
      born_here_ = log_.arrive();
      if (!log_.home()->position().trusted) return Found::kNothing;
      there = level_->get(key_.bytes);
    }
    if (there && holds(*there)) {
      value_ = std::move(*there);
      return Found::kValue;
    }
    if (!shared) return Found::kNothing;
    std::optional<SeenEntry> refused;
    if (there) refused = seen_of(*there);
    SecondLevel::Claim claim = level_->claim(key_.bytes, refused);
    there.reset();
    if (claim.kind == SecondLevel::Claim::Kind::kMine) {
      token_ = claim.token;
      return Found::kNothing;
    }
    if (claim.kind == SecondLevel::Claim::Kind::kFound) {
      there = std::move(claim.found);
      continue;
    }
    const auto left = until - std::chrono::steady_clock::now();
    if (left.count() <= 0) return Found::kTimedOut;
    const SecondLevel::Waited waited = level_->wait(key_.bytes, claim.token, left);
    if (waited == SecondLevel::Waited::kTimedOut) return Found::kTimedOut;
    if (waited == SecondLevel::Waited::kFailed) return Found::kNothing;
  }
  return Found::kNothing;
}

void LevelCall::depend(DepSet& deps) const {
  for (const std::string& text : value_.dependencies) {
    if (const auto function = HiddenTag::function_of(text)) {
      deps.add_key({*function, kAnyKey});
    } else {
      deps.add_tag(text);
    }
  }
}

bool LevelCall::begin_load() noexcept {
  Epoch clock;  // of no interest: what matters is what was applied
  if (log_.try_arrive(&clock)) born_ = log_.home()->position();
  return born_.trusted;
}

void LevelCall::keep(std::string payload, const DepSet& deps, std::int64_t lives_ns) {
  if (!born_.trusted) return;
  value_.generation = born_.generation;
  value_.born = born_.epoch;
  value_.dependencies = texts_of(deps);
  value_.payload = std::move(payload);
  value_.lives_ns = lives_ns;
  is_kept_ = true;
}

bool LevelCall::finish(std::string* trouble) noexcept {
  const std::uint64_t token = std::exchange(token_, 0);
  try {
    // What died meanwhile would be refused by every reader; a newer entry may be there instead.
    if (std::exchange(is_kept_, false) && holds(value_)) {
      level_->put(key_.bytes, token, value_);
      return true;
    }
    *trouble = "invalidated while it was loaded";
  } catch (const std::exception& error) {
    note_trouble(error, trouble);
  }
  if (token != 0) level_->release(key_.bytes, token, has_failed_);
  return false;
}

}  // namespace zoocache::core
