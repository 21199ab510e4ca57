// A client of a test, and what its listener heard. Thread-safety: everything from any thread.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "eventually.h"
#include "redis/connection.h"
#include "redis_server.h"

namespace zoocache::testing {

using namespace std::chrono_literals;
using redis::Link;
using redis::Trouble;

inline constexpr Link kLinks[] = {Link::kControl, Link::kData};
// Long enough for a loaded machine under a sanitizer.
inline constexpr std::chrono::seconds kPatience{10};

class Heard final : public redis::Listener {
 public:
  struct Event {
    enum class Kind { kPush, kLost, kBack } kind;
    Link link = Link::kControl;
    redis::Reply message;
    redis::Failure why;
    redis::Server server;
  };

  void on_push(const redis::Reply& message) override {
    add({Event::Kind::kPush, Link::kControl, message, {}, {}});
    ++pushes;
  }
  void on_lost(Link link, const redis::Failure& why) override {
    add({Event::Kind::kLost, link, {}, why, {}});
  }
  void on_back(Link link, const redis::Server& server) override {
    add({Event::Kind::kBack, link, {}, {}, server});
  }
  std::atomic<std::size_t> pushes{0};

  std::vector<Event> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::size_t count(Event::Kind kind, Link link) const {
    std::size_t found = 0;
    for (const Event& one : events()) found += one.kind == kind && one.link == link ? 1U : 0U;
    return found;
  }
  std::vector<std::string> payloads() const {
    std::vector<std::string> found;
    for (const Event& one : events()) {
      if (one.kind == Event::Kind::kPush) found.push_back(one.message.items.back().text);
    }
    return found;
  }

 private:
  void add(Event event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }

  mutable std::mutex mutex_;
  std::vector<Event> events_;
};

bool eventually(const std::function<bool()>& is_so, std::chrono::milliseconds patience = kPatience);

inline bool connects(const redis::Client& client) {
  return eventually(
      [&] { return client.is_connected(Link::kControl) && client.is_connected(Link::kData); });
}

inline redis::ClientOptions options_for(const std::string& url) {
  redis::ClientOptions options;
  options.url = redis::parse_url(url);
  options.channels = {"ch"};
  options.health_check_s = 0.5;
  options.most_wait_s = 0.1;
  return options;
}

// Until it is answered by the server; the failures in between are not looked at.
inline redis::Answer ask_until_answered(redis::Client& client, Link link,
                                        const redis::Command& command) {
  redis::Answer answer;
  eventually([&] {
    answer = client.execute(link, command, 1s);
    return answer.has_reply();
  });
  return answer;
}

inline std::string text_of(const redis::Answer& answer) {
  if (answer.has_reply()) return answer.reply.text;
  return std::string(redis::name_of(answer.failure.trouble)) + ": " + answer.failure.detail;
}

inline double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace zoocache::testing
