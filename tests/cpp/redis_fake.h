// A server of a test's making: it reads what comes and sends what the test wants, whatever the
// protocol says. Thread-safety: one owner; its connections are served on a thread of its own.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "redis_server.h"

namespace zoocache::testing {

class FakeServer {
 public:
  // What to send when these bytes came; `count` is how often something came on this connection.
  // An empty text sends nothing.
  using Answers = std::function<std::string(const std::string& received, int count)>;

  explicit FakeServer(Answers answers) : answers_(std::move(answers)) {
    if (listen(listening_.socket_number(), 16) != 0) throw std::runtime_error("cannot listen");
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    is_over_ = true;
    thread_.join();
    for (const Connection& one : connections_) close(one.socket);
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(listening_.port()); }
  std::uint16_t port() const { return listening_.port(); }

  // What a good server answers to what a client says first. All of that comes at once.
  static std::string setup_replies(const std::string& received) {
    std::string replies = "%1\r\n$5\r\nproto\r\n:3\r\n";
    if (received.find("SUBSCRIBE") != std::string::npos) {
      replies += ">3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n";
    }
    replies += "+PONG\r\n";
    if (received.find("INFO") != std::string::npos) replies += "$11\r\nrole:master\r\n";
    return replies;
  }

 private:
  struct Connection {
    int socket;
    int count = 0;
  };

  void serve() {
    while (!is_over_) {
      std::vector<pollfd> waiting{{listening_.socket_number(), POLLIN, 0}};
      for (const Connection& one : connections_) waiting.push_back({one.socket, POLLIN, 0});
      if (poll(waiting.data(), waiting.size(), 10) <= 0) continue;
      for (std::size_t index = waiting.size(); index-- > 1;) {
        if (waiting[index].revents != 0 && !serve_one(connections_[index - 1])) {
          close(connections_[index - 1].socket);
          connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(index - 1));
        }
      }
      if (waiting[0].revents != 0) {
        const int socket = accept4(listening_.socket_number(), nullptr, nullptr, SOCK_CLOEXEC);
        if (socket >= 0) connections_.push_back({socket, 0});
      }
    }
  }
  bool serve_one(Connection& connection) const {
    std::string received(1 << 16, '\0');
    const ssize_t got = recv(connection.socket, received.data(), received.size(), MSG_DONTWAIT);
    if (got <= 0) return false;
    received.resize(static_cast<std::size_t>(got));
    const std::string text = answers_(received, connection.count++);
    return text.empty() ||
           send(connection.socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
  }

  const Answers answers_;
  Listening listening_;
  std::vector<Connection> connections_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

}  // namespace zoocache::testing
