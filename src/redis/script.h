// A Lua script on the server: called by its hash, and brought there when the server lacks it.
//
// The server forgets scripts when it starts anew. `run` then sends the script and the call in one
// go, behind each other on the same connection. A script may have run when the answer is a failure
// of `may_have_run`: it must be harmless when it runs again.
// Thread-safety: everything from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/transport.h"

namespace zoocache::redis {

class Script {
 public:
  explicit Script(std::string_view source);
  const std::string& source() const noexcept { return source_; }
  const std::string& hash() const noexcept { return hash_; }  // SHA-1, as the server names it
  // How often it was brought to a server.
  std::uint64_t loads() const noexcept { return loads_.load(std::memory_order_relaxed); }
  void note_load() const noexcept { loads_.fetch_add(1, std::memory_order_relaxed); }

 private:
  const std::string source_;
  const std::string hash_;
  mutable std::atomic<std::uint64_t> loads_{0};
};

struct ScriptCall {
  std::vector<std::string> keys;
  std::vector<std::string> arguments;
};

// REQUIRES: `transport` and `script` outlive the answer.
void run(Transport& transport, Link link, const Script& script, const ScriptCall& call,
         std::chrono::nanoseconds timeout, OnAnswer on_answer);
Answer run(Transport& transport, Link link, const Script& script, const ScriptCall& call,
           std::chrono::nanoseconds timeout);

// Commands, or calls of a script, that are sent together: a round trip for all of them, and one
// more where the server lacks the script. The answers are in their order.
// REQUIRES: there are some.
std::vector<Answer> execute_all(Transport& transport, Link link, std::vector<Command> commands,
                                std::chrono::nanoseconds timeout);
std::vector<Answer> run_all(Transport& transport, Link link, const Script& script,
                            std::span<const ScriptCall> calls, std::chrono::nanoseconds timeout);

}  // namespace zoocache::redis
