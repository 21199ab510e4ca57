// One connection to one server, from its first byte to its last: it is never connected again. So
// nothing of it can run later or elsewhere, and no reply can belong to another connection's
// command.
//
// On connecting it says who it is, chooses the database, subscribes, sends PING behind that (a
// refused SUBSCRIBE is answered by an error that would else be taken for the next command's reply),
// and asks whom it reached. Only then is it up. Replies and pushes are handed out in the order of
// the wire: both go through one queue.
// Thread-safety: all of it on the thread that runs the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "redis/call.h"
#include "redis/url.h"

namespace zoocache::redis {

// Where a session goes, and what it says first.
struct SessionPlan {
  Endpoint endpoint;
  std::string socket_path;  // instead of the endpoint
  bool is_tls = false;
  std::string ca_file;
  Credentials credentials;
  std::string client_name;
  int database = 0;
  std::vector<std::string> channels;
  bool needs_primary = false;
  std::chrono::nanoseconds connect_timeout{};  // each: the name, the connection, TLS
  std::chrono::nanoseconds up_timeout{};       // all of it, until the session is up
  std::chrono::nanoseconds health_check{};
  std::size_t max_reply_bytes = 0;
  std::size_t read_bytes = 0;  // room for one read
};

class SessionEvents {
 public:
  virtual ~SessionEvents() = default;
  virtual void on_session_up(const Server& server) = 0;
  virtual void on_session_push(const Reply& message) = 0;
  // Once, last: every call of the session was answered.
  virtual void on_session_down(const Failure& why) = 0;
};

class Session {
 public:
  // `events` is told until `on_session_down`, or until `end`.
  static std::shared_ptr<Session> start(boost::asio::io_context& io, const SessionPlan& plan,
                                        SessionEvents& events);
  virtual ~Session() = default;

  // REQUIRES: the session is up.
  virtual void send(std::shared_ptr<Call> call) = 0;
  // Answers every call with `why` and tells no more. What remains ends by itself.
  virtual void end(const Failure& why) = 0;
};

}  // namespace zoocache::redis
