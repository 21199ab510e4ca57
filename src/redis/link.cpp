#include "redis/link.h"

#include <chrono>
#include <exception>
#include <utility>

namespace zoocache::redis {
namespace {

// A connection that lived as long was a good one: the next try comes soon.
constexpr std::chrono::seconds kGoodLife{1};

}  // namespace

KeptLink::KeptLink(boost::asio::io_context& io, Link link, LinkOptions options, LinkEvents& events)
    : io_(io),
      link_(link),
      options_(std::move(options)),
      events_(events),
      timer_(io),
      backoff_(options_.first_wait_ns, options_.most_wait_ns) {
  if (!options_.sentinels.empty()) {
    query_.emplace(io, options_.sentinel_plan, options_.primary, options_.sentinels);
  }
}

Failure KeptLink::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return is_up() ? Failure() : failure_;
}

void KeptLink::send(std::shared_ptr<Call> call) {
  if (is_up()) {
    session_->send(std::move(call));
    return;
  }
  const Failure why = failure();
  call->fail(Trouble::kNotConnected, std::string(name_of(why.trouble)) + ": " + why.detail);
}

// What cannot even be begun, such as for a file of certificates that is gone, is tried again too.
void KeptLink::attempt() {
  try {
    if (!query_) {
      connect(options_.plan);
      return;
    }
    query_->ask([this](const SentinelQuery::Found& found) {
      if (found.failure.trouble != Trouble::kNone) {
        down(found.failure);
        return;
      }
      SessionPlan plan = options_.plan;
      plan.endpoint = found.primary;
      connect(std::move(plan));
    });
  } catch (const std::exception& error) {
    down({options_.plan.is_tls ? Trouble::kTls : Trouble::kInternal, error.what()});
  }
}

void KeptLink::connect(SessionPlan plan) { session_ = Session::start(io_, plan, *this); }

void KeptLink::on_session_up(const Server& server) {
  up_since_ = Call::Clock::now();
  is_up_.store(true, std::memory_order_release);
  events_.on_link_up(link_, server);
}

void KeptLink::on_session_down(const Failure& why) {
  session_ = nullptr;
  down(why);
}

void KeptLink::down(const Failure& why) {
  if (is_stopped_) return;
  {
    const std::lock_guard lock(failure_mutex_);
    failure_ = why;
  }
  const bool was_up = is_up_.exchange(false);
  if (was_up && Call::Clock::now() - up_since_ >= kGoodLife) backoff_.reset();
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  timer_.expires_after(std::chrono::nanoseconds(backoff_.next_ns(random)));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !is_stopped_) attempt();
  });
  if (was_up) {
    events_.on_link_lost(link_, why);
  } else {
    events_.on_link_not_made(link_);
  }
}

void KeptLink::drop(const Failure& why) {
  if (query_) query_->cancel();
  if (session_ != nullptr) std::exchange(session_, nullptr)->end(why);
}

void KeptLink::restart(const Failure& why) {
  drop(why);
  down(why);
}

void KeptLink::stop(const Failure& why) {
  is_stopped_ = true;
  timer_.cancel();
  {
    const std::lock_guard lock(failure_mutex_);
    failure_ = why;
  }
  is_up_.store(false);
  drop(why);
}

}  // namespace zoocache::redis
