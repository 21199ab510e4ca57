// One process's place in a log on a Redis server: applies what is pushed, beats, catches up, and
// says until when that is to be trusted.
//
//   thread of the transport                          callers
//   -----------------------                          -------
//   tick, every third of a lease: beat               hit: is the lease over? no: that was all
//   push: apply; a gap: page                         refresh: one of them beats and pages, the rest
//   beat answered: trust, or page, or begin anew;             wait for it; if it fails: forget
//   look at intents
//   connected: check the server, beat                append: hold, apply, declare, apply, release
//
// Which of them does a step does not matter: each is a function of what a reply says and of the
// state under the mutex. Interleavings, with a the epoch that was applied:
//   (1) A reply is looked at long after it came. Its clock is then older than a: nothing is lost,
//       for trust runs from the moment it was sent. One beat overtaken by a younger one is dropped.
//   (2) Pages are read while others invalidate. A text that is named again moves behind the cursor
//       and is read later; a becomes the clock of the reply whose page was the last (page.pml).
//   (3) A push comes between two pages: it is applied; a moves only where nothing is missing below.
//   (4) The floor rises behind the cursor: what was not read is gone, and everything is invalidated
//       after the reply, which covers its clock.
//   (5) The generation is another one. Everything is invalidated after the reply that says so; what
//       was pushed of the new one before is covered by that. What is pushed of the old one later is
//       passed over.
//   (6) A writer's own message comes before or after the reply to its call: both count as the same
//       epoch. What it declared is held from before it is sent until it was applied again.
//   (7) A stored value was read, and is checked against what was applied (`holds`). What is applied
//       and noted in one step, under the mutex, is either known to the check, or is applied to the
//       log after it: then what is made of the value here dies with it (level_call.h). What was
//       declared here and has no epoch yet is held, and refuses it.
//   (8) The log needs a newer version (scripts.h). Nothing is trusted. Each heartbeat that says so
//       invalidates everything, which covers its clock: nothing older is served here, and nobody
//       has to wait for it. The same once more after the first that no longer says so.
// All of it is on the control connection; the data connection is of no concern here, so that
// nothing depends on both being to the same server. Thread-safety: everything from any thread; what
// waits, not from the transport's.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/home.h"
#include "core/log.h"
#include "redis/applied_index.h"
#include "redis/breaker.h"
#include "redis/fork_guard.h"
#include "redis/journal.h"
#include "redis/lease.h"
#include "redis/protocol.h"
#include "redis/scripts.h"
#include "redis/transport.h"

namespace zoocache::redis {

class Intents;

struct FollowerOptions {
  std::string prefix;
  int database = 0;
  std::int64_t lease_ns = 0;
  std::int64_t command_timeout_ns = 0;
  std::int64_t first_timeout_ns = 0;  // of a call that comes before the first answer
  std::int64_t max_commit_ns = 60'000'000'000;
  std::int64_t inspect_interval_ns = 500'000'000;  // between two answers to tools
  std::size_t max_log_tags = 0;
  std::size_t page_texts = 512;  // of one page, but for an epoch that has more
  std::size_t replicas_ack = 0;  // that an invalidation waits for
  bool is_eviction_allowed = false;
  bool is_writer = false;             // follower_writer.cpp
  bool keeps_silently = false;        // what is not acknowledged is no exception
  core::TimeSource* clock = nullptr;  // what hits look at; none: boot time, coarsely
};
// When a generation of that age began, by the clock of who sent the question then: no earlier.
inline std::int64_t began_ns(std::int64_t age_ms, std::int64_t sent_ns) {
  if (age_ms < 0) return INT64_MIN;
  return sent_ns - std::min(age_ms, INT64_MAX / 2'000'000) * 1'000'000;
}

// The transport subscribes to the place's channel, if it is no writer's.
using MakeTransport = std::function<std::unique_ptr<Transport>(const Place&, Listener&)>;

class Follower final : private Listener, private ForkGuard {
 public:
  Follower(const FollowerOptions& options, const MakeTransport& make_transport,
           core::InvalidationLog& log);
  ~Follower() override;
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  bool is_fresh() const noexcept {
    const std::int64_t until_ns = trusted_until_ns_.load(std::memory_order_acquire);
    if (until_ns == 0) return false;
    core::TimeSource* const clock = options_.clock;
    return (clock != nullptr ? clock->now_ns() : core::boot_time_ns()) < until_ns;
  }
  // This is a child of fork(), and the follower the parent's.
  bool is_inherited() const noexcept { return is_inherited_.load(std::memory_order_acquire); }

  void refresh() noexcept;
  // Whether it would ask the server.
  bool refresh_waits() const noexcept {
    return !options_.is_writer && !is_outdated() && breaker_.would_pass(now_ns());
  }
  core::Epoch append(std::span<const core::Change> changes, std::uint32_t origin);
  // As of LogHome; see intents.h.
  std::uint64_t declare_intent(std::span<const core::Change> changes);
  core::Epoch fire_intent(std::uint64_t token, std::span<const core::Change> changes,
                          std::uint32_t origin);
  void drop_intent(std::uint64_t token) noexcept;
  core::Epoch version(const core::TagPath& path);
  bool holds(std::uint64_t generation, core::Epoch born, std::span<const std::string> texts);
  using Question = core::LogHome::Question;
  std::vector<bool> holds_many(std::span<const Question> questions);
  HomeStatus status();
  core::Epoch newest();
  core::HomePosition position() noexcept;
  // See LogHome; in follower_looks.cpp.
  core::HomeLook look(std::span<const std::string> texts);
  core::HomeRows rows(const std::string& from, std::size_t most);
  std::vector<core::HomeNode> nodes();
  core::Facts facts();
  void tell(const core::MemoryQuestion& question, const std::string& told) noexcept;
  // See RedisLog::wait_applied.
  bool wait_applied(std::uint64_t generation, core::Epoch epoch, std::chrono::nanoseconds timeout);

 private:
  enum class Step {
    kFresh,    // all that is known to exist is applied
    kBehind,   // some is not
    kMore,     // there is another page
    kChanged,  // the generation is another one: beat again
    kFailed    // not answered, or refused
  };
  struct Cursor {
    std::uint64_t nonce = 0;
    core::Epoch after = 0;
  };
  struct SentBeat {
    ScriptCall call;
    std::int64_t at_ns = 0;
  };
  struct Silent;

  // On the transport's thread.
  void on_push(const Reply& message) override;
  void on_question(std::string_view payload);
  void on_lost(Link link, const Failure& why) override;
  void on_back(Link link, const Server& server) override;
  void in_child() noexcept override;
  void tick();
  bool judge(const Server& server);
  void judge_again();
  void send_beat();
  void begin_paging();
  void send_page(const Cursor& cursor);
  void retry_kept();
  void look_for_silent();
  void look_at_intents();
  void look_at_generation();
  void follow_generation(const Nodes& found, std::int64_t sent_ns);

  // What replies say.
  Step beat_answered(const Answer& answer, std::int64_t sent_ns);
  Step page_answered(const Answer& answer, Cursor* cursor);
  std::optional<Receipt> receipt_of(const Answer& answer);
  void note_receipt(const Receipt& receipt, std::span<const core::Change> changes,
                    std::uint32_t origin = 0, core::Epoch again_of = 0);
  void note_applied(const std::vector<std::string>& texts, core::Epoch epoch);
  void begin_generation(const Beat& beat, std::int64_t sent_ns);
  void note_trouble(const Answer& answer);
  void flush();
  void pass_over(core::Epoch clock);
  void publish();

  // On callers' threads.
  bool renew();
  bool lead_renewal();
  Step beat_now(std::int64_t deadline_ns);
  Step catch_up(std::int64_t deadline_ns);
  std::int64_t deadline();
  Answer ask(const std::function<Answer(std::chrono::nanoseconds)>& send, std::int64_t deadline_ns);
  Answer ask(const Script& script, const ScriptCall& call, std::int64_t deadline_ns);
  Reply reply_to(const Command& command);
  Nodes ask_nodes();
  core::Epoch append_by(const Script& script, const ScriptCall& call,
                        std::span<const core::Change> changes, std::uint32_t origin);
  std::optional<Receipt> receipt_from(const Script& script, const ScriptCall& call,
                                      std::string* why);
  std::string unreplicated(const Receipt& receipt, std::uint64_t connection);
  std::uint64_t connection_of(Link link);
  bool await_replicas(const Receipt& receipt, std::uint64_t connection);
  enum class Verdict { kYes, kNo, kAsk };
  Verdict holds_here(std::uint64_t generation, core::Epoch born,
                     const std::vector<std::string>& texts);
  std::vector<Checked> check(std::span<const ScriptCall> calls);
  std::vector<core::Epoch> scores(std::span<const std::string> texts);
  SentBeat next_beat();
  std::string trouble();
  std::string version_trouble() const;
  bool may_declare();
  // Whether the log needs a newer version than this one.
  bool is_outdated() const noexcept { return needs_.load() > kLogVersion; }

  std::int64_t now_ns() const noexcept { return transport_->now_ns(); }
  std::chrono::nanoseconds lease() const { return std::chrono::nanoseconds(options_.lease_ns); }

  const FollowerOptions options_;
  const Place place_;
  const LogScripts scripts_;
  core::InvalidationLog& log_;
  Breaker breaker_;
  std::atomic<std::int64_t> trusted_until_ns_{0};
  std::atomic<bool> is_inherited_{false};
  std::atomic<std::uint64_t> fired_{0};  // intents of others
  std::atomic<std::uint64_t> needs_{0};  // the version, as the newest reply has it

  std::mutex mutex_;  // guards what follows; the log's own is taken within
  Lease lease_;
  AppliedIndex index_;
  Journal journal_;
  std::unique_ptr<Intents> intents_;
  std::uint64_t receipt_nonce_ = 0;     // of the newest
  std::uint64_t data_connections_ = 0;  // so far
  std::uint64_t beats_ = 0;
  std::int64_t newest_sent_ns_ = 0;  // of the beats that were answered
  core::Epoch floor_ = 0;
  bool is_paging_ = false;
  std::string refusal_;  // why this server is none for a log
  std::string warning_;
  std::string trouble_;
  HomeCounters counters_;  // what others count is added by `status`

  std::mutex renewal_mutex_;  // guards what follows
  std::condition_variable is_renewed_;
  bool is_renewing_ = false;
  std::uint64_t renewals_ = 0;

  std::unique_ptr<Silent> silent_;  // the transport's thread's, as the next two
  std::int64_t next_judgement_ns_ = 0;
  std::int64_t next_inspection_ns_ = 0;
  // Callbacks come until it is gone, and use it: a pointer of their own, which nobody changes.
  Transport* transport_ = nullptr;
  std::unique_ptr<Transport> owned_transport_;  // the last: it goes first
};

}  // namespace zoocache::redis
