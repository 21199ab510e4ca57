#include "core/level_batch.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>

#include "core/log.h"

namespace zoocache::core {

using Found = LevelCall::Found;

LevelBatch::LevelBatch(InvalidationLog& log, std::shared_ptr<SecondLevel> level)
    : log_(log), level_(std::move(level)) {}

LevelBatch::~LevelBatch() { release_claims(); }

void LevelBatch::add(LevelCall& call) { parts_.emplace_back(call); }

void LevelBatch::look(bool claims) noexcept {
  try {
    look_or_throw(claims);
  } catch (const std::exception&) {
    // The home or the storage cannot be asked any more: as if nothing more were stored.
    for (Part& part : parts_) part.is_open = false;
  }
}

void LevelBatch::look_or_throw(bool claims) {
  const Epoch born_here = log_.arrive();
  if (!log_.home()->position().trusted) return;
  for (Part& part : parts_) {
    part.call->born_here_ = born_here;
    part.is_open = true;
  }
  get_all();
  for (int round = 0; round < kLevelRounds; ++round) {
    take_what_holds();
    if (!claims) return;
    claim_rest();
  }
}

void LevelBatch::get_all() {
  std::vector<std::string_view> keys;
  for (const Part& part : parts_) keys.emplace_back(part.call->key_.bytes);
  std::vector<std::optional<StoredValue>> values = level_->get_many(keys);
  for (std::size_t index = 0; index < parts_.size(); ++index) {
    parts_[index].there = std::move(values[index]);
  }
}

void LevelBatch::take_what_holds() {
  std::vector<Part*> asked;
  std::vector<LogHome::Question> questions;
  for (Part& part : parts_) {
    if (!part.is_open || !part.there) continue;
    asked.push_back(&part);
    questions.push_back(part.call->question(*part.there));
  }
  if (asked.empty()) return;
  const std::vector<bool> holds = log_.home()->holds_many(questions);
  for (std::size_t index = 0; index < asked.size(); ++index) {
    if (!holds[index]) continue;
    Part& part = *asked[index];
    part.call->value_ = std::move(*part.there);
    part.there.reset();
    part.found = Found::kValue;
    part.is_open = false;
  }
}

void LevelBatch::claim_rest() {
  std::vector<Part*> open;
  std::vector<SecondLevel::Claiming> claims;
  for (Part& part : parts_) {
    if (!part.is_open) continue;
    open.push_back(&part);
    claims.push_back({.key = part.call->key_.bytes, .refused = {}, .claim = {}});
    if (part.there) claims.back().refused = seen_of(*part.there);
    part.there.reset();
  }
  if (open.empty()) return;
  const auto take = [&] {
    for (std::size_t index = 0; index < open.size(); ++index) {
      if (!claims[index].claim) continue;
      Part& part = *open[index];
      SecondLevel::Claim& claim = *claims[index].claim;
      if (claim.kind == SecondLevel::Claim::Kind::kFound) {
        part.there = std::move(claim.found);
        continue;
      }
      part.is_open = false;
      if (claim.kind == SecondLevel::Claim::Kind::kMine) part.call->token_ = claim.token;
      if (claim.kind == SecondLevel::Claim::Kind::kTaken) part.found = Found::kTimedOut;
    }
  };
  try {
    level_->claim_many(claims);
  } catch (const std::exception&) {
    take();  // what was claimed before is ours
    throw;
  }
  take();
}

void LevelBatch::finish() noexcept {
  try {
    put_what_holds();
  } catch (const std::exception& error) {
    for (Part& part : parts_) {
      if (std::exchange(part.call->is_kept_, false)) note_trouble(error, &part.trouble);
    }
  }
  release_claims();
}

void LevelBatch::put_what_holds() {
  std::vector<Part*> kept;
  std::vector<LogHome::Question> questions;
  for (Part& part : parts_) {
    if (!part.call->is_kept_) continue;
    kept.push_back(&part);
    questions.push_back(part.call->question(part.call->value_));
  }
  if (kept.empty()) return;
  const std::vector<bool> holds = log_.home()->holds_many(questions);
  std::vector<Part*> sent;
  std::vector<SecondLevel::Putting> puts;
  for (std::size_t index = 0; index < kept.size(); ++index) {
    Part& part = *kept[index];
    if (!holds[index]) {
      part.trouble = "invalidated while it was loaded";
      continue;
    }
    sent.push_back(&part);
    puts.push_back({.key = part.call->key_.bytes,
                    .token = part.call->token_,
                    .value = &part.call->value_,
                    .is_stored = false,
                    .trouble = {}});
  }
  for (Part* const part : kept) part->call->is_kept_ = false;
  for (Part* const part : sent) part->call->token_ = 0;  // freed with the put, come what may
  level_->put_many(puts);
  for (std::size_t index = 0; index < sent.size(); ++index) {
    sent[index]->is_stored = puts[index].is_stored;
    sent[index]->trouble = std::move(puts[index].trouble);
  }
}

// Nothing here may throw: where there is no memory for the list, each goes by itself.
void LevelBatch::release_claims() noexcept {
  std::vector<SecondLevel::Releasing> releases;
  try {
    releases.reserve(parts_.size());
  } catch (const std::bad_alloc&) {
    for (const Part& part : parts_) {
      const std::uint64_t token = std::exchange(part.call->token_, 0);
      if (token != 0) level_->release(part.call->key_.bytes, token, part.call->has_failed_);
    }
    return;
  }
  for (const Part& part : parts_) {
    const std::uint64_t token = std::exchange(part.call->token_, 0);
    if (token == 0) continue;
    releases.push_back(
        {.key = part.call->key_.bytes, .token = token, .failed = part.call->has_failed_});
  }
  if (!releases.empty()) level_->release_many(releases);
}

}  // namespace zoocache::core
