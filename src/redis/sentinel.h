// Asks sentinels where the primary is: one after the other, each on a connection of its own that
// then ends; the one that answered is asked first the next time.
// Thread-safety: all of it on the thread that runs the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "redis/session.h"

namespace zoocache::redis {

class SentinelQuery : private SessionEvents {
 public:
  struct Found {
    Endpoint primary;
    Failure failure;  // of no trouble if `primary` is one
  };
  using OnFound = std::function<void(const Found&)>;

  // `plan` is what to connect with, but for the endpoint. REQUIRES: there is a sentinel.
  SentinelQuery(boost::asio::io_context& io, SessionPlan plan, std::string primary,
                std::vector<Endpoint> sentinels)
      : io_(io),
        plan_(std::move(plan)),
        primary_(std::move(primary)),
        sentinels_(std::move(sentinels)) {}
  ~SentinelQuery() override { cancel(); }
  SentinelQuery(const SentinelQuery&) = delete;
  SentinelQuery& operator=(const SentinelQuery&) = delete;

  // REQUIRES: no query is under way.
  void ask(OnFound on_found);
  // `on_found` is no longer called.
  void cancel();

 private:
  void on_session_up(const Server& server) override;
  void on_session_push(const Reply&) override {}
  void on_session_down(const Failure& why) override;
  void ask_next();
  void answered(const Answer& answer);
  void found(const Found& result);

  boost::asio::io_context& io_;
  SessionPlan plan_;
  const std::string primary_;
  std::vector<Endpoint> sentinels_;
  std::size_t asked_ = 0;  // index of the one that is asked
  std::string troubles_;
  OnFound on_found_;
  std::shared_ptr<Session> session_;
};

}  // namespace zoocache::redis
