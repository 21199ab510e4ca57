#include "redis/journal.h"

#include <algorithm>
#include <utility>

namespace zoocache::redis {

using core::Change;

void Journal::keep(std::span<const Change> changes) {
  for (const Change& change : changes) keep(change.text);
}

void Journal::keep(std::string_view text) {
  Kept one{std::string(text), newest_number_ + 1};
  const auto found = kept_numbers_.find(one.text);
  // One that is on its way may have been carried out before this one was declared.
  if (found != kept_numbers_.end() && found->second > sent_number_) {
    release(one);
    return;
  }
  if (kept_.size() >= kMaxKept) {
    keep_everything();
    release(one);
    return;
  }
  kept_numbers_[one.text] = ++newest_number_;
  kept_.push_back(std::move(one));
}

void Journal::keep_everything() {
  Kept everything{std::string(), ++newest_number_};
  log_.hold_root();
  for (const Kept& one : kept_) release(one);
  kept_.clear();
  kept_numbers_.clear();
  kept_numbers_[everything.text] = everything.number;
  kept_.push_back(std::move(everything));
}

void Journal::release(const Kept& one) {
  const Change change(one.text);
  core::release_changes(log_, {&change, 1});
}

std::vector<std::string> Journal::begin_retry() {
  std::vector<std::string> texts;
  if (sent_number_ != 0 || kept_.empty()) return texts;
  const std::size_t count = std::min(kept_.size(), kMostAtOnce);
  for (std::size_t index = 0; index < count; ++index) texts.push_back(kept_[index].text);
  sent_number_ = kept_[count - 1].number;
  return texts;
}

void Journal::end_retry(bool is_acknowledged, std::uint64_t nonce, std::int64_t now_ns) {
  while (is_acknowledged && !kept_.empty() && kept_.front().number <= sent_number_) {
    const Kept one = std::move(kept_.front());
    kept_.pop_front();
    const auto found = kept_numbers_.find(one.text);
    if (found != kept_numbers_.end() && found->second == one.number) kept_numbers_.erase(found);
    note(one.text, nonce, now_ns);
    release(one);
  }
  sent_number_ = 0;
}

void Journal::acknowledged(std::span<const Change> changes, std::uint64_t nonce,
                           std::int64_t now_ns) {
  for (const Change& change : changes) note(change.text, nonce, now_ns);
}

void Journal::note(std::string_view text, std::uint64_t nonce, std::int64_t now_ns) {
  if (recent_.size() >= kMaxRecent) forget_oldest();
  recent_.push_back({std::string(text), nonce, now_ns});
}

void Journal::forget_oldest() {
  forgotten_ns_ = std::max(forgotten_ns_, recent_.front().at_ns);
  recent_.pop_front();
}

void Journal::keep_held(std::string_view text) {
  const Change change(text);
  core::hold_changes(log_, {&change, 1});
  keep(text);
}

void Journal::replay(std::uint64_t nonce, std::int64_t began_ns) {
  if (forgotten_ns_ != kNever && forgotten_ns_ >= began_ns) {
    keep_held(std::string_view());
    // That covers them, and all that was forgotten.
    recent_.clear();
    forgotten_ns_ = kNever;
    return;
  }
  std::deque<Recent> same;
  for (Recent& one : std::exchange(recent_, {})) {
    if (one.nonce == nonce) {
      same.push_back(std::move(one));
    } else {
      keep_held(one.text);
    }
  }
  recent_ = std::move(same);
}

void Journal::forget_before(std::int64_t now_ns) {
  while (!recent_.empty() && recent_.front().at_ns < now_ns - memory_ns_) forget_oldest();
}

}  // namespace zoocache::redis
