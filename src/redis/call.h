// A command on its way, and whom to tell. It is answered exactly once: who comes second changes
// nothing, and one that is dropped without an answer has failed.
// Thread-safety: the thread of the callbacks only, once it was handed there.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "redis/transport.h"

namespace zoocache::redis {

class Call {
 public:
  using Clock = std::chrono::steady_clock;

  Call(Command what, Clock::time_point by, OnAnswer on_answer)
      : command(std::move(what)), deadline(by), on_answer_(std::move(on_answer)) {}
  ~Call() {
    // A callback that throws here, against its promise, has nobody to throw to: the process ends.
    if (on_answer_ != nullptr) fail(Trouble::kInternal, "the command was dropped");
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void answer(Answer answer) {
    const OnAnswer tell = std::exchange(on_answer_, nullptr);
    if (tell != nullptr) tell(std::move(answer));
  }
  void fail(Trouble trouble, std::string detail) {
    answer({Reply(), {trouble, std::move(detail)}});
  }

  const Command command;
  const Clock::time_point deadline;

 private:
  OnAnswer on_answer_;
};

}  // namespace zoocache::redis
