// The asynchronous driver of a call: never blocks, ends with exactly one `done`.
//
//   advance ── hit ────────────────────────────────> done
//      ├────── leads ── start(lead) ── lead.finish ─> done      lead dropped: abandoned,
//      done(error) └────── follows ── Waiter::wake ── outcome ──> done | advance
//
// Ownership: whoever will go on holds the AsyncCall: the lead, or the waiter in the flight.
#include <mutex>
#include <utility>

#include "cpp/call.h"
#include "zoocache/errors.h"

namespace zoocache::detail {
namespace {

class AsyncCall : public std::enable_shared_from_this<AsyncCall> {
 public:
  AsyncCall(FunctionPtr function, std::shared_ptr<Request> request, FramePtr outer, Start start,
            Done done)
      : function_(std::move(function)),
        request_(std::move(request)),
        call_(*function_, *request_, std::move(outer)),
        start_(std::move(start)),
        done_(std::move(done)) {}

  void advance() {
    try {
      for (;;) {
        if (ValuePtr value = call_.look_up(); value != nullptr) return complete(value, nullptr);
        const Join joined = call_.join();
        if (joined == Join::kLead) return lead();
        if (joined == Join::kFollow && follow()) return;
      }
    } catch (...) {
      complete(nullptr, std::current_exception());
    }
  }

  void finish(ValuePtr value, std::exception_ptr error) {
    if (error == nullptr) {
      try {
        call_.end_load(value);
      } catch (...) {
        return complete(nullptr, std::current_exception());
      }
      return complete(std::move(value), nullptr);
    }
    call_.fail_load(error);
    complete(nullptr, std::move(error));
  }

  void abandoned() {
    call_.abandon_load();
    complete(nullptr, std::make_exception_ptr(
                          Error("the load was destroyed before its end; its executor went away?")));
  }

  void woken() {
    call_.stop_following();
    try {
      if (ValuePtr value = call_.take_outcome(); value != nullptr) {
        return complete(std::move(value), nullptr);
      }
    } catch (...) {
      return complete(nullptr, std::current_exception());
    }
    advance();
  }

  const FramePtr& frame() const noexcept { return frame_; }

 private:
  class Lead final : public AsyncLead {
   public:
    explicit Lead(std::shared_ptr<AsyncCall> call) : call_(std::move(call)) {}
    ~Lead() override {
      if (call_ != nullptr) call_->abandoned();
    }
    const FramePtr& frame() const noexcept override { return call_->frame(); }
    void finish(ValuePtr value, std::exception_ptr error) override {
      const std::shared_ptr<AsyncCall> call = std::exchange(call_, nullptr);
      call->finish(std::move(value), std::move(error));
    }

   private:
    std::shared_ptr<AsyncCall> call_;
  };

  class WaitingCall final : public core::Waiter {
   public:
    explicit WaitingCall(std::shared_ptr<AsyncCall> call) : call_(std::move(call)) {}
    void wake() override {
      // `follow` may not have returned yet in the other thread: it keeps the call until then.
      const std::shared_ptr<AsyncCall> call = std::exchange(call_, nullptr);
      const std::lock_guard lock(call->following_);
      call->woken();
    }

   private:
    std::shared_ptr<AsyncCall> call_;
  };

  void lead() {
    call_.start_load();
    frame_ = call_.frame();
    auto lead = std::make_shared<Lead>(shared_from_this());
    try {
      start_(lead);
    } catch (...) {
      // The loader threw before it became asynchronous.
      lead->finish(nullptr, std::current_exception());
    }
  }

  // True: somebody wakes us. False: look up again.
  bool follow() {
    const std::lock_guard lock(following_);
    const core::Following following =
        call_.follow(std::make_shared<WaitingCall>(shared_from_this()));
    if (following == core::Following::kWaiting) return true;
    if (following == core::Following::kCycle) {
      call_.load_alone();
      return false;
    }
    ValuePtr value = call_.take_outcome();
    if (value == nullptr) return false;
    complete(std::move(value), nullptr);
    return true;
  }

  void complete(ValuePtr value, std::exception_ptr error) {
    frame_.reset();
    const Done done = std::exchange(done_, nullptr);
    if (done) done(std::move(value), std::move(error));
  }

  const FunctionPtr function_;
  const std::shared_ptr<Request> request_;
  Call call_;
  FramePtr frame_;
  const Start start_;
  Done done_;
  std::recursive_mutex following_;  // orders the begin of waiting before being woken
};

}  // namespace

void run_async(const FunctionPtr& function, std::shared_ptr<Request> request, FramePtr outer,
               Start start, Done done) {
  std::make_shared<AsyncCall>(function, std::move(request), std::move(outer), std::move(start),
                              std::move(done))
      ->advance();
}

}  // namespace zoocache::detail
