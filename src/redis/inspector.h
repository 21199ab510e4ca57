// Asks the processes of a namespace what is in their memory, for tools: over the channel that every
// process hears questions on, with a channel of its own for the answers.
//
//   question   on {PREFIX}:log:DB:ask          "1 FROM NUMBER MOST_BYTES ONE_IN\nTAG"
//   answer     on {PREFIX}:log:DB:told:FROM    "NODE NUMBER JSON"
//
// Where there are many processes, only one in so many answers: MOST_BYTES x processes is bounded.
// Thread-safety: everything from any thread; callers wait for each other.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/look.h"
#include "redis/fork_guard.h"
#include "redis/protocol.h"
#include "redis/transport.h"

namespace zoocache::redis {

class Inspector final : private Listener, private ForkGuard {
 public:
  // Begins to connect, and does not wait for it.
  Inspector(const Place& place, const MakeSubscribed& make_transport);
  ~Inspector() override { unwatch(); }
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;

  bool is_inherited() const noexcept { return is_inherited_.load(std::memory_order_acquire); }
  // Comes back when all have answered that the question has reached, or when the time is up, which
  // holds for the connection as well. Throws HomeUnreachable.
  core::Inspected ask(const core::Inspection& question);

 private:
  void on_push(const Reply& message) override;
  void on_lost(Link, const Failure&) override {}
  void on_back(Link, const Server&) override {}
  void in_child() noexcept override { is_inherited_.store(true, std::memory_order_release); }
  std::size_t publish(const std::string& question, std::chrono::nanoseconds at_most);

  const std::string questions_;  // channels
  const std::string answers_;
  const std::string from_;  // drawn at random
  std::atomic<bool> is_inherited_{false};
  std::mutex asking_mutex_;  // guards the next: one question at a time
  std::size_t processes_ = 0;
  std::mutex mutex_;  // guards what follows
  std::condition_variable answered_;
  std::uint64_t number_ = 0;
  std::vector<core::ProcessTold> told_;
  std::unique_ptr<Transport> transport_;  // the last: it goes first
};

}  // namespace zoocache::redis
