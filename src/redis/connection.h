// Two connections to a Redis server, kept up by one thread: the real `Transport`.
//
//  callers --post--> thread: io_context -- control --> server: subscribed; invalidations
//     ^                 |              \-- data -----> server: entries
//     +---- answers ----+
//
// Beyond what transport.h promises:
//  - A command that finds no connection fails at once. One whose time is up is taken out of the
//    queue if it was not written; else its reply is dropped when it comes. None runs after an
//    outage that it did not survive.
//  - Data commands pass a circuit breaker (breaker.h): after a time-out or a loss nobody waits.
//  - A lost connection is tried again after 20 ms, then twice as long each time, up to half a
//    second. The server is lost when it says nothing for two intervals of the health check.
//  - What a listener or an allocation throws ends both connections, which are made anew.
//  - In a child of fork() every command fails at once, on the calling thread; the child makes a
//    client of its own. Its copies of the descriptors are closed; the object can be destroyed, and
//    leaks.
//  - The destructor takes milliseconds, whatever the server does. It fails what waits; a callback
//    that is told so must not send again.
// Thread-safety: everything from any thread; `execute` and the destructor not from a callback.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "redis/breaker.h"
#include "redis/transport.h"
#include "redis/url.h"

namespace zoocache::redis {

struct ClientOptions {
  Url url;
  std::vector<std::string> channels;     // what the control connection subscribes to
  std::string client_name = "zoocache";  // as CLIENT LIST shows it; the URL's name= wins
  double connect_timeout_s = 1;          // each: name, connection, TLS. 0.001 to 60; the URL's wins
  double health_check_s = 1;             // longer than the longest script. 0.01 to 60
  double first_wait_s = 0.02;  // before the first try to connect again. 0.001 to most_wait_s
  double most_wait_s = 0.5;    // before later ones. At most 60
  std::size_t max_reply_bytes = std::size_t{64} << 20;  // 2^17 to 2^30
  bool has_control = true;  // false: there is the data connection only, until `open`
  BreakerOptions breaker;
};

// What happened so far.
struct ClientStats {
  std::uint64_t connects = 0;  // of both connections
  std::uint64_t losses = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t breaker_openings = 0;
  std::uint64_t exceptions = 0;  // what callbacks or allocations threw
};

class Client final : public Transport {
 public:
  // Begins to connect, and does not wait for it. `listener` outlives the client. Throws
  // InvalidOption.
  Client(const ClientOptions& options, Listener& listener);
  ~Client() override;  // NOLINT(bugprone-exception-escape): see there
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  std::int64_t now_ns() const noexcept override;
  void call_after(std::chrono::nanoseconds delay, std::function<void()> work) override;
  void async_execute(Link link, Command command, std::chrono::nanoseconds timeout,
                     OnAnswer on_answer) override;
  Answer execute(Link link, Command command, std::chrono::nanoseconds timeout) override;
  void open(Link link) override;
  bool is_connected(Link link) const noexcept override;
  bool await_connected(Link link, std::chrono::nanoseconds timeout) override;
  Failure failure(Link link) const override;

  ClientStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace zoocache::redis
