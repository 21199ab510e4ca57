#include "redis/follower.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "redis/follower_silent.h"
#include "redis/intents.h"
#include "redis/server_check.h"

namespace zoocache::redis {
namespace {

using core::Change;
using std::chrono::nanoseconds;

// What hits read of the clock may be as old as one tick of the kernel.
constexpr std::int64_t kClockTickNs = 20'000'000;
constexpr std::int64_t kLeasesBetweenLooks = 5;  // at the server's settings

std::vector<Change> changes_of(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

}  // namespace

Follower::Follower(const FollowerOptions& options, const MakeTransport& make_transport,
                   core::InvalidationLog& log)
    : options_(options),
      place_(options.prefix, options.database),
      log_(log),
      breaker_(BreakerOptions()),
      lease_(options.lease_ns),
      journal_(log, Lease::kMemoryLeases * options.lease_ns),
      intents_(std::make_unique<Intents>(options.lease_ns, options.max_commit_ns)),
      silent_(std::make_unique<Silent>(Lease::kMemoryLeases * options.lease_ns)) {
  watch();
  const std::lock_guard lock(mutex_);  // callbacks that come early wait
  owned_transport_ = make_transport(place_, *this);
  transport_ = owned_transport_.get();
  transport_->call_after(lease() / 3, [this] { tick(); });
}

void Follower::in_child() noexcept {
  trusted_until_ns_.store(0);
  is_inherited_.store(true);
}

void Follower::tick() {
  judge_again();
  if (options_.is_writer) {
    look_at_generation();
  } else {
    send_beat();
    begin_paging();
    look_for_silent();
  }
  transport_->call_after(lease() / 3, [this] { tick(); });
}

Follower::SentBeat Follower::next_beat() {
  const std::lock_guard lock(mutex_);
  return {beat_call(place_, lease_.applied(), ++beats_), now_ns()};
}

void Follower::send_beat() {
  if (!transport_->is_connected(Link::kControl)) return;
  const SentBeat beat = next_beat();
  run(*transport_, Link::kControl, scripts_.beat, beat.call, lease(),
      [this, sent_ns = beat.at_ns](const Answer& answer) {
        const Step step = beat_answered(answer, sent_ns);
        if (step == Step::kBehind) begin_paging();
        if (step == Step::kFailed && !is_outdated()) return;
        retry_kept();
        look_at_intents();
      });
}

Follower::Step Follower::beat_answered(const Answer& answer, std::int64_t sent_ns) {
  const auto beat = answer.has_reply() ? parse_beat(answer.reply) : std::nullopt;
  if (!beat) {
    note_trouble(answer);
    return Step::kFailed;
  }
  const std::lock_guard lock(mutex_);
  if (!refusal_.empty()) return Step::kFailed;
  if (sent_ns >= newest_sent_ns_) {  // interleaving (1)
    newest_sent_ns_ = sent_ns;
    const bool was_outdated = is_outdated();
    needs_.store(beat->needs);
    if (!lease_.is_known(beat->nonce)) {
      begin_generation(*beat, sent_ns);
    } else if (was_outdated || is_outdated()) {
      pass_over(beat->clock);  // interleaving (8)
    }
    const bool had_gap = lease_.has_gap();
    if (lease_.is_over(now_ns())) ++counters_.lease_expirations;
    lease_.granted(sent_ns, beat->clock);
    if (!had_gap && lease_.has_gap()) ++counters_.gaps;
    journal_.forget_before(sent_ns);
    floor_ = beat->floor;
    intents_->note_count(beat->intents);
    breaker_.close();
  }
  publish();
  if (is_outdated()) return Step::kFailed;
  return lease_.has_gap() ? Step::kBehind : Step::kFresh;
}

// What came up to this clock is covered without being read. REQUIRES: the mutex.
void Follower::pass_over(core::Epoch clock) {
  flush();
  index_.begin(clock);
  lease_.caught_up(clock);
}

// Interleaving (5). Its age is of a moment after the heartbeat was sent: it began no earlier than
// what comes out here. REQUIRES: the mutex.
void Follower::begin_generation(const Beat& beat, std::int64_t sent_ns) {
  const bool is_other = lease_.nonce() != 0 && lease_.nonce() != beat.nonce;
  if (is_other) ++counters_.generation_changes;
  flush();
  lease_.begin(beat.nonce, beat.clock);
  index_.begin(beat.clock);
  journal_.replay(beat.nonce, began_ns(beat.age_ms, sent_ns));
}

// REQUIRES: the mutex.
void Follower::flush() {
  log_.apply_root();
  ++counters_.flushes;
}

// REQUIRES: the mutex.
void Follower::publish() {
  const bool may_trust = refusal_.empty() && !is_outdated();
  const std::int64_t until_ns = may_trust ? lease_.trusted_until_ns() : 0;
  if (until_ns > now_ns()) {
    lease_.note_trusted();
    trouble_.clear();
  }
  trusted_until_ns_.store(until_ns == 0 ? 0 : until_ns - kClockTickNs, std::memory_order_release);
}

void Follower::begin_paging() {
  Cursor cursor;
  {
    const std::lock_guard lock(mutex_);
    if (is_paging_ || !lease_.has_gap()) return;
    is_paging_ = true;
    ++counters_.catch_ups;
    cursor = {lease_.nonce(), lease_.applied()};
  }
  send_page(cursor);
}

void Follower::send_page(const Cursor& cursor) {
  const ScriptCall call = page_call(place_, cursor.nonce, cursor.after, options_.page_texts);
  run(*transport_, Link::kControl, scripts_.page, call, lease(),
      [this, cursor](const Answer& answer) {
        Cursor next = cursor;
        const Step step = page_answered(answer, &next);
        if (step == Step::kMore) {
          send_page(next);
          return;
        }
        {
          const std::lock_guard lock(mutex_);
          is_paging_ = false;
        }
        if (step == Step::kBehind) begin_paging();
        if (step == Step::kChanged) send_beat();
      });
}

Follower::Step Follower::page_answered(const Answer& answer, Cursor* cursor) {
  const auto page = answer.has_reply() ? parse_page(answer.reply) : std::nullopt;
  if (!page) {
    note_trouble(answer);
    return Step::kFailed;
  }
  const std::lock_guard lock(mutex_);
  if (cursor->nonce != lease_.nonce()) return lease_.has_gap() ? Step::kBehind : Step::kFresh;
  if (page->nonce != lease_.nonce()) {
    lease_.lose();
    publish();
    return Step::kChanged;
  }
  if (page->floor > cursor->after) {  // interleaving (4)
    pass_over(page->clock);
  } else {
    for (const Change& change : changes_of(page->texts)) {
      core::apply_changes(log_, {&change, 1});  // which came together is not told
    }
    note_applied(page->texts, page->upto);
    if (!page->is_last) {
      if (page->upto <= cursor->after) return Step::kFailed;  // makes no sense
      cursor->after = page->upto;
      return Step::kMore;
    }
  }
  lease_.caught_up(page->clock);  // interleaving (2)
  publish();
  return lease_.has_gap() ? Step::kBehind : Step::kFresh;
}

void Follower::retry_kept() {
  std::vector<std::string> texts;
  {
    const std::lock_guard lock(mutex_);
    texts = journal_.begin_retry();
    counters_.replays += texts.size();
  }
  if (texts.empty()) return;
  const ScriptCall call = invalidate_call(place_, changes_of(texts), options_.max_log_tags);
  run(*transport_, Link::kControl, scripts_.invalidate, call, lease(),
      [this, texts = std::move(texts)](const Answer& answer) {
        const auto receipt = receipt_of(answer);
        bool has_more = false;
        {
          const std::lock_guard lock(mutex_);
          if (receipt) note_receipt(*receipt, changes_of(texts));
          journal_.end_retry(receipt.has_value(), receipt ? receipt->nonce : 0, now_ns());
          has_more = receipt && journal_.has_kept();
        }
        if (has_more) retry_kept();
      });
}

std::optional<Receipt> Follower::receipt_of(const Answer& answer) {
  auto receipt = answer.has_reply() ? parse_receipt(answer.reply) : std::nullopt;
  if (!receipt) note_trouble(answer);
  return receipt;
}

// REQUIRES: the mutex.
void Follower::note_applied(const std::vector<std::string>& texts, core::Epoch epoch) {
  for (const std::string& text : texts) index_.note(text, epoch);
}

// Applies what was acknowledged. REQUIRES: the mutex.
void Follower::note_receipt(const Receipt& receipt, std::span<const Change> changes,
                            std::uint32_t origin, core::Epoch again_of) {
  core::apply_changes(log_, changes, origin, again_of);
  if (receipt.needs > kLogVersion) needs_.store(receipt.needs);  // a heartbeat ends it
  receipt_nonce_ = receipt.nonce;
  if (options_.is_writer && lease_.nonce() == 0) lease_.begin(receipt.nonce, 0);
  if (receipt.nonce == lease_.nonce()) {
    for (const Change& change : changes) index_.note(change.text, receipt.epoch);
    lease_.heard(receipt.epoch);
  } else if (lease_.nonce() != 0) {
    lease_.lose();
  }
  publish();
}

void Follower::on_push(const Reply& message) {
  if (message.items.size() < 3) return;
  if (message.items[1].text != place_.channel) {
    if (message.items[1].text == place_.questions()) on_question(message.items[2].text);
    return;
  }
  const auto news = parse_news(message.items[2].text);
  bool must_beat = false;
  bool has_gap = false;
  {
    const std::lock_guard lock(mutex_);
    // What is not ours to read, or of another generation, says that a look is due, and no more.
    must_beat = !news || news->nonce != lease_.nonce() || news->epoch == 0;
    if (is_outdated()) {  // interleaving (8)
      must_beat = news && news->epoch == 0;
    } else if (!news) {
      ++counters_.errors;
    }
    if (!must_beat && !is_outdated()) {
      const bool had_gap = lease_.has_gap();
      if (news->origin != place_.node) {
        if (lease_.has_heard(news->epoch)) ++counters_.duplicates;
        core::apply_changes(log_, changes_of(news->texts));
      }
      note_applied(news->texts, news->epoch);
      lease_.heard(news->epoch);  // interleaving (3)
      publish();
      has_gap = lease_.has_gap();
      if (has_gap && !had_gap) ++counters_.gaps;
    }
  }
  if (must_beat) send_beat();
  if (has_gap) begin_paging();
}

void Follower::on_back(Link link, const Server& server) {
  if (link != Link::kControl) {
    const std::lock_guard lock(mutex_);
    ++data_connections_;
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    refusal_.clear();
    warning_.clear();
    is_paging_ = false;
    ++counters_.connects;
  }
  if (!judge(server)) return;
  breaker_.renewed(now_ns());
  if (options_.is_writer) {
    look_at_generation();
  } else {
    send_beat();
  }
}

// Whether a log may live on this server, as far as it said. While the rest is asked, what was found
// before holds.
bool Follower::judge(const Server& server) {
  next_judgement_ns_ = now_ns() + kLeasesBetweenLooks * options_.lease_ns;
  std::string refusal = refusal_of(server);
  if (!refusal.empty()) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(refusal);
    publish();
    return false;
  }
  transport_->async_execute(
      Link::kControl, settings_command(), lease(), [this, server](const Answer& answer) {
        if (!answer.has_reply()) return;
        Judgement found = judgement_of(server, answer.reply, options_.replicas_ack);
        const std::lock_guard lock(mutex_);
        if (options_.is_eviction_allowed && !found.refusal.empty()) {
          found.warning = std::move(found.refusal);
          found.refusal.clear();
        }
        refusal_ = std::move(found.refusal);
        warning_ = std::move(found.warning);
        publish();
      });
  return true;
}

// A server that was refused may become one that fits, such as a replica that is promoted, without
// ending its connections: so it is asked again. Others get replicas and settings, and are looked at
// now and then.
void Follower::judge_again() {
  {
    const std::lock_guard lock(mutex_);
    if (refusal_.empty() && now_ns() < next_judgement_ns_) return;
  }
  if (!transport_->is_connected(Link::kControl)) return;
  transport_->async_execute(Link::kControl, server_command(), lease(),
                            [this](const Answer& answer) {
                              if (answer.has_reply() && !answer.reply.is_error())
                                judge(server_of(answer.reply));
                            });
}

void Follower::on_lost(Link link, const Failure& why) {
  if (link != Link::kControl) return;
  {
    const std::lock_guard lock(mutex_);
    ++counters_.disconnects;
  }
  note_trouble({Reply(), why});
}

void Follower::note_trouble(const Answer& answer) {
  const std::lock_guard lock(mutex_);
  if (answer.has_reply()) ++counters_.errors;
  if (answer.failure.trouble == Trouble::kTimeout) ++counters_.timeouts;
  if (!answer.has_reply()) {
    trouble_ = std::string(name_of(answer.failure.trouble)) + ": " + answer.failure.detail;
  } else if (answer.reply.is_error()) {
    trouble_ = "the server says " + answer.reply.text.substr(0, 200);
  } else {
    trouble_ = "the server's reply makes no sense";
  }
}

}  // namespace zoocache::redis
