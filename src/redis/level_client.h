// One process's connection to the values on a server, and the claims that it holds there.
//
//   callers: ask ──────────────> data connection ──> server
//   thread of the transport:     every third of a claim's life: renew all that are held, at once
//
// A claim that is not renewed ends by itself: that is how the death of its owner is noticed. One
// that the server says is another's is held no longer. Interleavings:
//   (1) A claim is let go while its renewal is under way: what is no longer the token's is not
//       renewed by the script, and a renewal never makes a claim.
//   (2) The server was away for longer than a claim lives: others may load meanwhile. What is
//       stored then is checked by its log as ever.
// Calls wait for the connection only until it was first to be there; later, what finds none fails
// at once. Thread-safety: everything from any thread; `ask` not from the transport's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

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
  std::size_t max_value_bytes = 0;
  std::vector<std::string> secrets = {};
};
using MakeLevelTransport = std::function<std::unique_ptr<Transport>(Listener&)>;

class LevelClient final : private Listener, private ForkGuard {
 public:
  // Begins to connect, and does not wait for it.
  LevelClient(LevelOptions options, const MakeLevelTransport& make_transport);
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
  std::vector<Reply> ask(const Script& script, const std::vector<ScriptCall>& calls);
  // Sends it, whatever comes of it.
  void tell(const Script& script, const ScriptCall& call);

  void hold(std::uint64_t token, const std::string& claim_key);
  void let_go(std::uint64_t token);

 private:
  void on_push(const Reply&) override {}
  void on_lost(Link, const Failure&) override {}
  void on_back(Link, const Server&) override {}
  void in_child() noexcept override { is_inherited_.store(true, std::memory_order_release); }
  void await_first_connection();
  void tick();
  void renew(const std::vector<std::uint64_t>& tokens, const std::vector<std::string>& keys);

  const LevelOptions options_;
  const LevelScripts scripts_;
  const std::string node_;  // drawn at random; for people who look at the server
  std::atomic<bool> is_inherited_{false};
  std::int64_t connect_until_ns_ = 0;
  std::mutex mutex_;
  std::map<std::uint64_t, std::string> held_;  // token -> key; under the mutex
  std::unique_ptr<Transport> transport_;       // last: its callbacks use all of the above
};

}  // namespace zoocache::redis
