// Second levels on a server, real or not, for their tests. Thread-safety: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include "redis/level_client.h"
#include "redis/transport.h"

namespace zoocache::testing {

inline constexpr std::int64_t kNeverMs = 3'600'000;

inline redis::LevelOptions options_with(std::int64_t told_pause_ms) {
  redis::LevelOptions options;
  options.prefix = "p";
  options.command_timeout_ns = options.connect_timeout_ns = 10'000'000'000;
  options.ttl_ms = options.claim_ms = 60'000;
  options.told_pause_ms = told_pause_ms;
  options.max_value_bytes = 1000;
  return options;
}

// A server that is always there: what it answers is the test's, by `execute`.
class PresentServer : public redis::Transport {
 public:
  std::int64_t now_ns() const noexcept override { return 1; }
  void call_after(std::chrono::nanoseconds, std::function<void()>) override {}
  void async_execute(redis::Link link, redis::Command command, std::chrono::nanoseconds timeout,
                     redis::OnAnswer on_answer) override {
    on_answer(execute(link, std::move(command), timeout));
  }
  bool is_connected(redis::Link) const noexcept override { return true; }
  bool await_connected(redis::Link, std::chrono::nanoseconds) override { return true; }
  redis::Failure failure(redis::Link) const override { return {}; }
};

}  // namespace zoocache::testing
