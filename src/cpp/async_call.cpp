// The asynchronous driver of a call: never blocks, ends with exactly one `done`.
//
//   advance ── hit ────────────────────────────────> done
//      ├────── leads ── start(lead) ── lead.finish ─> done      lead dropped: abandoned,
//      done(error) ├── follows ── Waiter::wake ── outcome ──> done | advance
//                  └─────────── expire ── advance, alone
//
// With a second level, steps that may wait for it run in the background, and the call goes on from
// there:
//
//   leads ── [look] ── found ──────────────────────────────> done
//              └────── start(lead) ── lead.finish ── [store] ─> done
//
// Ownership: whoever will go on holds the AsyncCall: the lead, the waiter in the flight, or the job
// in the background.
// Who goes on after a wait: wake and expire may come at once, and before `follow` has returned in
// the thread that began to wait.
//   1. Whoever claims the waiter goes on; the other does nothing.
//   2. A waiter is open to `expire` only once `follow` is over, and only if nobody claimed it by
//      then: the call may be far ahead already, waiting for the next flight.
//   3. Everything that `wake` needs is written before the waiter enters the flight, whose mutex
//      passes it on; `follow` touches nothing of the call afterwards.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <utility>

#include "cpp/call.h"
#include "zoocache/errors.h"

namespace zoocache::detail {
namespace {

class AsyncCall final : public AsyncPending, public std::enable_shared_from_this<AsyncCall> {
 public:
  AsyncCall(FunctionPtr function, std::shared_ptr<Request> request, FramePtr outer, Start start,
            Done done)
      : function_(std::move(function)),
        request_(std::move(request)),
        call_(*function_, *request_, std::move(outer)),
        start_(std::move(start)),
        done_(std::move(done)) {}

  // Goes as far as it gets without blocking.
  void advance() noexcept {
    try {
      for (;;) {
        if (ValuePtr value = call_.look_up(); value != nullptr) {
          return complete(std::move(value), nullptr);
        }
        // There are no timers here: a soft time-out is over at once.
        if (call_.loads_softly()) {
          if (call_.begin_softly()) run_detached(function_, request_, start_);
          return complete(call_.finish_softly(), nullptr);
        }
        const Join joined = call_.join();
        if (joined == Join::kLead) return lead();
        if (joined == Join::kFollow) {
          if (call_.in_grace()) return complete(call_.serve_old(), nullptr);
          if (follow()) return;
        }
      }
    } catch (...) {
      complete(nullptr, std::current_exception());
    }
  }

  // A load in the background, for nobody in particular.
  static void run_detached(const FunctionPtr& function, std::shared_ptr<Request> request,
                           Start start) {
    auto done = [function, request](const ValuePtr&, const std::exception_ptr&) {
      end_refresh(*function, *request);
    };
    const auto call =
        std::make_shared<AsyncCall>(function, request, nullptr, std::move(start), std::move(done));
    try {
      call->call_.begin_detached();
      if (call->call_.join() == Join::kLead) return call->lead();
    } catch (...) {
      return call->complete(nullptr, std::current_exception());
    }
    call->complete(nullptr, nullptr);
  }

  bool waiting() override {
    const std::lock_guard lock(mutex_);
    return waiter_ != nullptr && !waiter_->claimed();
  }

  void expire() override {
    std::shared_ptr<WaitingCall> waiter;
    {
      const std::lock_guard lock(mutex_);
      waiter = std::exchange(waiter_, nullptr);
    }
    if (waiter == nullptr) return;
    const std::shared_ptr<AsyncCall> self = waiter->claim();
    if (self == nullptr) return;
    call_.stop_following();
    try {
      call_.give_up_waiting();
    } catch (...) {
      return complete(nullptr, std::current_exception());
    }
    advance();
  }

 private:
  class Lead final : public AsyncLead {
   public:
    explicit Lead(std::shared_ptr<AsyncCall> call)
        : call_(std::move(call)), frame_(call_->call_.frame()) {}
    ~Lead() override {
      if (const auto call = std::exchange(call_, nullptr)) call->abandoned();
    }
    const FramePtr& frame() const noexcept override { return frame_; }
    BoxPtr box() const noexcept override { return call_ == nullptr ? nullptr : call_->call_.box(); }
    void finish(std::exception_ptr error) override {
      const auto call = std::exchange(call_, nullptr);
      if (call != nullptr) call->finished(std::move(error));
    }

   private:
    std::shared_ptr<AsyncCall> call_;  // empty once it ended
    const FramePtr frame_;
  };

  class WaitingCall final : public core::Waiter {
   public:
    explicit WaitingCall(std::shared_ptr<AsyncCall> call) : call_(std::move(call)) {}
    bool claimed() const noexcept { return claimed_.load(std::memory_order_acquire); }
    // The call, for the first who asks.
    std::shared_ptr<AsyncCall> claim() noexcept {
      if (claimed_.exchange(true, std::memory_order_acq_rel)) return nullptr;
      return std::move(call_);
    }
    void wake() override {
      if (const auto call = claim()) call->woken();
    }

   private:
    std::atomic<bool> claimed_{false};
    std::shared_ptr<AsyncCall> call_;
  };

  using Step = void (AsyncCall::*)();

  // A step of the call in the background, which runs it or drops it.
  class StepElsewhere {
   public:
    StepElsewhere(std::shared_ptr<AsyncCall> call, Step step, Step dropped)
        : call_(std::move(call)), step_(step), dropped_(dropped) {}
    ~StepElsewhere() {
      if (const auto call = claim()) (call.get()->*dropped_)();
    }
    StepElsewhere(const StepElsewhere&) = delete;
    StepElsewhere& operator=(const StepElsewhere&) = delete;
    // The call, for the first who asks.
    std::shared_ptr<AsyncCall> claim() noexcept {
      if (claimed_.exchange(true, std::memory_order_acq_rel)) return nullptr;
      return std::move(call_);
    }
    void run() {
      if (const auto call = claim()) (call.get()->*step_)();
    }

   private:
    std::shared_ptr<AsyncCall> call_;
    const Step step_;
    const Step dropped_;
    std::atomic<bool> claimed_{false};
  };

  // False: there is no background to be had, and the caller goes on.
  bool go_on_elsewhere(Step step, Step dropped) noexcept {
    std::shared_ptr<StepElsewhere> job;
    try {
      job = std::make_shared<StepElsewhere>(shared_from_this(), step, dropped);
      function_->cache->storage_jobs.start([job] { job->run(); });
      return true;
    } catch (...) {
      return job != nullptr && job->claim() == nullptr;
    }
  }

  void lead() {
    if (call_.begin_level()) {
      look_until_ = std::chrono::steady_clock::now() + call_.level_patience();
      if (go_on_elsewhere(&AsyncCall::look, &AsyncCall::abandoned)) return;
    }
    load();
  }

  // Waits a little at a time: what another process's load waits for may stand behind this in the
  // background.
  void look() noexcept {
    constexpr std::chrono::nanoseconds kSlice = std::chrono::milliseconds(20);
    const std::chrono::nanoseconds left = look_until_ - std::chrono::steady_clock::now();
    const auto at_most = std::clamp(left, std::chrono::nanoseconds(0), kSlice);
    const bool in_vain = call_.look_in_level(at_most) == core::LevelCall::Found::kTimedOut;
    if (in_vain && left > kSlice && go_on_elsewhere(&AsyncCall::look, &AsyncCall::abandoned)) {
      return;
    }
    try {
      if (ValuePtr value = call_.take_from_level(); value != nullptr) {
        return complete(std::move(value), nullptr);
      }
      load();
    } catch (...) {
      conclude(nullptr, std::current_exception());
    }
  }

  void load() {
    call_.start_load();
    const auto lead = std::make_shared<Lead>(shared_from_this());
    try {
      // Until it first suspends, the load is this thread's own.
      const CurrentFrame scope(lead->frame());
      start_(lead);
    } catch (...) {
      lead->finish(std::current_exception());  // it threw before it became asynchronous
    }
  }

  // True: somebody goes on with the call, or it has ended. False: look up again.
  bool follow() {
    const auto waiter = std::make_shared<WaitingCall>(shared_from_this());
    const core::Following following = call_.follow(waiter);
    if (following == core::Following::kWaiting) {
      const std::lock_guard lock(mutex_);
      if (!waiter->claimed()) waiter_ = waiter;
      return true;
    }
    if (following == core::Following::kCycle) {
      call_.load_alone();
      return false;
    }
    ValuePtr value = call_.take_outcome();
    if (value == nullptr) return false;
    complete(std::move(value), nullptr);
    return true;
  }

  void woken() noexcept {
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

  void finished(std::exception_ptr error) noexcept {
    ValuePtr value;
    try {
      if (error == nullptr) {
        value = call_.end_load();
      } else {
        call_.fail_load(error);
        if (call_.forgives_errors()) {
          value = call_.serve_old();
          error = nullptr;
        }
      }
    } catch (...) {
      value = nullptr;
      error = std::current_exception();
    }
    conclude(std::move(value), std::move(error));
  }

  void abandoned() noexcept {
    call_.abandon_load();
    try {
      throw Error("the load was destroyed before its end; did its executor go away?");
    } catch (...) {  // or bad_alloc
      conclude(nullptr, std::current_exception());
    }
  }

  // Nobody waits for the flight any more; what is left to do in the second level is done before the
  // call ends.
  void conclude(ValuePtr value, std::exception_ptr error) noexcept {
    if (!call_.has_level_work()) return complete(std::move(value), std::move(error));
    value_ = std::move(value);
    error_ = std::move(error);
    if (!go_on_elsewhere(&AsyncCall::store, &AsyncCall::hand_over)) store();
  }
  void store() noexcept {
    call_.finish_level();
    hand_over();
  }
  void hand_over() noexcept { complete(std::move(value_), std::move(error_)); }

  // What goes on here belongs to the load that the call was made in.
  void complete(ValuePtr value, std::exception_ptr error) noexcept {
    const Done done = std::exchange(done_, nullptr);
    const CurrentFrame scope(call_.context());
    if (done) done(std::move(value), std::move(error));
  }

  const FunctionPtr function_;
  const std::shared_ptr<Request> request_;
  Call call_;
  const Start start_;
  Done done_;
  std::mutex mutex_;                     // guards waiter_
  std::shared_ptr<WaitingCall> waiter_;  // the one that `expire` may claim
  std::chrono::steady_clock::time_point look_until_;
  ValuePtr value_;  // the outcome, while it is stored
  std::exception_ptr error_;
};

}  // namespace

void reload_async(const FunctionPtr& function, std::shared_ptr<Request> request, Start start) {
  core::count(function->function.counters.refreshes);
  AsyncCall::run_detached(function, std::move(request), std::move(start));
}

std::weak_ptr<AsyncPending> run_async(const FunctionPtr& function, std::shared_ptr<Request> request,
                                      FramePtr outer, Start start, Done done) {
  const auto call = std::make_shared<AsyncCall>(function, std::move(request), std::move(outer),
                                                std::move(start), std::move(done));
  call->advance();
  return call;
}

}  // namespace zoocache::detail
