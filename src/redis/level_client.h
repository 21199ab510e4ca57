// One process's connection to the values on a server, and the claims that it holds there.
//
//   callers: ask ──────────────> data connection ──> server
//   callers: wait <── told ───── control connection <── the end of a claim that is waited for
//   thread of the transport:     every third of a claim's life: renew all that are held, at once
//
// A claim that is not renewed ends by itself: that is how the death of its owner is noticed. One
// that the server says is another's is held no longer. Interleavings:
//   (1) A claim is let go while its renewal is under way: what is no longer the token's is not
//       renewed by the script, and a renewal never makes a claim.
//   (2) The server was away for longer than a claim lives: others may load meanwhile. What is
//       stored then is checked by its log as ever.
//   (3) A claim that is waited for ends, and what is published of it does not come: nobody was
//       subscribed yet, or the connection was lost. Who waits looks often unless it was subscribed
//       before it was noted and has been since; and now and then all the same.
//   (4) It ends before it is waited for here: the first look says so.
// What is told is taken for the end: who can publish it could end the claim as well. A wrong one
// costs a load.
// The control connection is made when somebody waits for the first time.
// Calls wait for the connection only until it was first to be there; later, what finds none fails
// at once. Thread-safety: everything from any thread; `ask` not from the transport's.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/second_level.h"
#include "redis/fork_guard.h"
#include "redis/level_scripts.h"
#include "redis/transport.h"

namespace zoocache::redis {

struct LevelOptions {
  std::string prefix;
  std::int64_t command_timeout_ns = 0;
  std::int64_t connect_timeout_ns = 0;  // for calls that come before the first connection
  std::int64_t ttl_ms = 0;              // of entries without a time to live of their own
  std::int64_t claim_ms = 0;            // without being renewed
  std::int64_t told_pause_ms = 100;     // between two looks at a claim whose end would be told
  std::size_t max_value_bytes = 0;
  std::vector<std::string> secrets = {};
};

// The token that the text is, all of it; 0: it is none.
std::uint64_t token_in(std::string_view text) noexcept;

class LevelClient final : private Listener, private ForkGuard {
 public:
  // Begins to connect, and does not wait for it.
  // `tally` outlives it.
  LevelClient(LevelOptions options, const MakeSubscribed& make_transport,
              core::StorageTally& tally);
  ~LevelClient() override;
  LevelClient(const LevelClient&) = delete;
  LevelClient& operator=(const LevelClient&) = delete;

  // This is a child of fork(), and the connection the parent's.
  bool is_inherited() const noexcept { return is_inherited_.load(std::memory_order_acquire); }

  const LevelScripts& scripts() const noexcept { return scripts_; }
  const std::string& node() const noexcept { return node_; }

  // The answer, which may be the server's error reply, or HomeUnreachable.
  Reply ask(const Script& script, const ScriptCall& call);
  // Of commands that are sent together; in their order.
  std::vector<Reply> ask(const std::vector<Command>& commands);
  // The same for calls of a script. REQUIRES: there are some.
  std::vector<Reply> ask(const Script& script, std::span<const ScriptCall> calls);
  // Sends it, whatever comes of it.
  void tell(const Script& script, const ScriptCall& call);

  void hold(std::uint64_t token, const std::string& claim_key);
  void let_go(std::uint64_t token);

  // One caller's wait for the end of a claim.
  class Wait {
   public:
    using Outcome = std::optional<core::SecondLevel::Waited>;

    Wait(LevelClient& client, std::uint64_t token);
    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

    // The claim's key is looked at now: what is told from here on counts.
    void begin_look();
    // After the look: waits until the end is told, or until the next look is due. `is_noted`: the
    // claim's end will be told.
    Outcome until_told(bool is_noted, std::chrono::nanoseconds pause,
                       std::chrono::nanoseconds at_most);

   private:
    LevelClient& client_;
    const std::uint64_t token_;
    std::uint64_t subscription_ = 0;  // at the look
  };

 private:
  struct Waited {
    std::size_t callers = 0;
    Wait::Outcome outcome;
  };

  void on_push(const Reply& message) override;
  void on_lost(Link link, const Failure&) override;
  void on_back(Link link, const Server&) override;
  void in_child() noexcept override { is_inherited_.store(true, std::memory_order_release); }
  void await_first_connection();
  std::vector<Reply> replies_of(std::vector<Answer> answers);
  void tick();
  void renew(const std::vector<std::uint64_t>& tokens, const std::vector<std::string>& keys);

  const LevelOptions options_;
  core::StorageTally& tally_;
  const LevelScripts scripts_;
  const std::string node_;  // drawn at random
  const std::string channel_;
  std::atomic<bool> is_inherited_{false};
  std::int64_t connect_until_ns_ = 0;
  std::mutex mutex_;
  // Under the mutex:
  std::map<std::uint64_t, std::string> held_;  // token -> key
  std::map<std::uint64_t, Waited> waited_;     // by token
  std::uint64_t subscriptions_ = 0;            // so far
  bool is_subscribed_ = false;
  std::condition_variable is_told_;
  std::unique_ptr<Transport> transport_;  // last: its callbacks use all of the above
};

}  // namespace zoocache::redis
