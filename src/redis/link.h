// One of the two connections, kept up: finds the server, connects, and when the connection ends
// waits a little longer each time and begins anew.
//
//   waiting --timer--> asking sentinels --> connecting --> up --> lost --> waiting
//
// Thread-safety: all of it on the thread that runs the io_context, but `is_up` and `failure`.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <random>

#include "redis/backoff.h"
#include "redis/sentinel.h"
#include "redis/session.h"

namespace zoocache::redis {

struct LinkOptions {
  SessionPlan plan;                 // without an endpoint where sentinels name it
  std::vector<Endpoint> sentinels;  // empty: the plan's endpoint or socket
  SessionPlan sentinel_plan;
  std::string primary;
  std::int64_t first_wait_ns = 0;
  std::int64_t most_wait_ns = 0;
};

class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  virtual void on_link_up(Link link, const Server& server) = 0;
  virtual void on_link_push(Link link, const Reply& message) = 0;
  virtual void on_link_lost(Link link, const Failure& why) = 0;
  virtual void on_link_not_made(Link link) = 0;  // a try failed; `failure` says why
};

class KeptLink : private SessionEvents {
 public:
  KeptLink(boost::asio::io_context& io, Link link, LinkOptions options, LinkEvents& events);
  ~KeptLink() override = default;
  KeptLink(const KeptLink&) = delete;
  KeptLink& operator=(const KeptLink&) = delete;

  void start() {
    if (!is_stopped_) attempt();
  }
  // Fails the call at once where the link is not up.
  void send(std::shared_ptr<Call> call);
  // Whatever state it is in: drops it, tells of the loss, and begins anew.
  void restart(const Failure& why);
  // Fails all that waits. Nothing is told any more.
  void stop(const Failure& why);

  bool is_up() const noexcept { return is_up_.load(std::memory_order_acquire); }
  Failure failure() const;

 private:
  void on_session_up(const Server& server) override;
  void on_session_push(const Reply& message) override { events_.on_link_push(link_, message); }
  void on_session_down(const Failure& why) override;
  void attempt();
  void connect(SessionPlan plan);
  void down(const Failure& why);
  void drop(const Failure& why);

  boost::asio::io_context& io_;
  const Link link_;
  const LinkOptions options_;
  LinkEvents& events_;
  std::optional<SentinelQuery> query_;
  boost::asio::steady_timer timer_;
  Backoff backoff_;
  std::minstd_rand random_{std::random_device{}()};
  std::shared_ptr<Session> session_;
  Call::Clock::time_point up_since_;
  bool is_stopped_ = false;
  std::atomic<bool> is_up_{false};
  mutable std::mutex failure_mutex_;
  Failure failure_{Trouble::kNotConnected, "not yet connected"};
};

}  // namespace zoocache::redis
