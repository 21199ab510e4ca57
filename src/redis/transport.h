// What the protocol of a Redis home sees of the network and of time: two connections to one server,
// and timers. `Client` (connection.h) is the real one; a simulation can stand in for it.
//
//   control   subscribed; heartbeats, invalidations and catch-up go here: what it answers is in one
//             order with the messages that the server pushed
//   data      entries, whose size would hold up the others
//
// Promises, for every implementation:
//  - each command is answered exactly once: with the server's reply, an error reply included, or
//    with a failure. After a failure of `may_have_run`, whether the server ran it is not known. No
//    command is sent twice, and none after its failure was reported.
//  - on one connection, replies and pushed messages are handed out in the order in which the
//    server sent them.
//  - `on_lost` comes after the last reply and message of the lost connection, `on_back` before the
//    first message of the new one. What was published in between is lost.
//  - `OnAnswer`, timers and `Listener` are called on one thread, one at a time. They must neither
//    block nor throw: what they throw ends both connections, which are then made anew.
// Thread-safety: everything from any thread, also from within a callback, but `execute`, which
// waits, from any other thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "redis/command.h"
#include "redis/reply.h"

namespace zoocache::redis {

enum class Link : std::uint8_t { kControl, kData };

// Why something was not answered, or why a connection ended or could not be made.
enum class Trouble : std::uint8_t {
  kNone,
  kNotConnected,    // a command found no connection; it was not sent
  kBreakerOpen,     // a command was not sent, since others had failed
  kTimeout,         // a command's time was up
  kRefused,         // nobody listens there
  kHostNotFound,    // the name has no address
  kNoRoute,         // no way there
  kConnectTimeout,  // no connection in time
  kTls,             // a certificate is wrong, or the server speaks no TLS that we accept
  kTlsTimeout,      // no TLS handshake in time: the port may be a plain one
  kSetupRefused,    // the server refused user, password, database or channel
  kNoPrimary,       // no sentinel names a primary, or what it names is none
  kSilent,          // the server no longer answers
  kClosed,          // the server closed the connection
  kProtocol,        // the server's bytes make no sense
  kInternal,        // something of ours failed, such as an allocation or a listener
  kForked,          // this is a child of fork(); it needs a connection of its own
  kStopped,         // it is being taken down
};

const char* name_of(Trouble trouble) noexcept;

// Whether a connection that is not there for this reason may be there in a moment: it is being made
// for the first time, or ended after it was good.
inline bool may_pass_soon(Trouble trouble) noexcept {
  return trouble == Trouble::kNone || trouble == Trouble::kNotConnected ||
         trouble == Trouble::kClosed || trouble == Trouble::kSilent ||
         trouble == Trouble::kProtocol || trouble == Trouble::kInternal;
}

struct Failure {
  Trouble trouble = Trouble::kNone;
  std::string detail;  // for people; holds no password
};

struct Answer {
  Reply reply;  // if there is no trouble
  Failure failure;

  bool has_reply() const noexcept { return failure.trouble == Trouble::kNone; }
  // False: the server did not run the command and will not.
  bool may_have_run() const noexcept {
    const Trouble trouble = failure.trouble;
    return trouble != Trouble::kNotConnected && trouble != Trouble::kBreakerOpen &&
           trouble != Trouble::kForked;
  }
};

using OnAnswer = std::function<void(Answer)>;

// Whom a connection reached, as the server said when it began. Empty where it may not be asked.
struct Server {
  std::string run_id;
  std::string replication_id;
  std::string role;  // "master" or "slave"
  std::string version;
  std::size_t replicas = 0;  // that are attached
};

class Listener {
 public:
  virtual ~Listener() = default;
  // A pushed message, as it came: ["message", channel, payload] on the subscribed channel.
  virtual void on_push(const Reply& message) = 0;
  virtual void on_lost(Link link, const Failure& why) = 0;
  virtual void on_back(Link link, const Server& server) = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Nanoseconds since boot, suspended time included.
  virtual std::int64_t now_ns() const noexcept = 0;
  // Runs `work` on the thread of the callbacks, after this time or a little later. Dropped unrun at
  // the end of the transport.
  virtual void call_after(std::chrono::nanoseconds delay, std::function<void()> work) = 0;

  // Throws InvalidOption for a command that must not be sent, see command.h.
  virtual void async_execute(Link link, Command command, std::chrono::nanoseconds timeout,
                             OnAnswer on_answer) = 0;
  // The same, waiting. Comes back soon after the time-out, whatever happens.
  virtual Answer execute(Link link, Command command, std::chrono::nanoseconds timeout) = 0;

  // Begins to make a connection that is not made from the start; else does nothing.
  virtual void open(Link) {}
  virtual bool is_connected(Link link) const noexcept = 0;
  // Waits until the connection is there. False: it is not in time, or its last try failed in a way
  // that a moment does not change (refused, no route, ...), which is known at once.
  virtual bool await_connected(Link link, std::chrono::nanoseconds timeout) = 0;
  // Why the connection is not there; of no trouble where it is.
  virtual Failure failure(Link link) const = 0;
};

// The transport's control connection subscribes to the channel, once it is opened.
using MakeSubscribed =
    std::function<std::unique_ptr<Transport>(const std::string& channel, Listener&)>;

}  // namespace zoocache::redis
