#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "redis/connection.h"
#include "redis/redis_log.h"
#include "redis/server_check.h"
#include "redis/settings.h"
#include "redis/url.h"
#include "zoocache/errors.h"
#include "zoocache/redis.h"

namespace zoocache {
namespace {

using redis::check_prefix;
using redis::check_seconds;
using redis::span_ns;
using std::chrono::nanoseconds;

void check_options(const RedisOptions& options) {
  check_prefix(options.prefix);
  check_seconds("lease_s", options.lease_s, 0.3, 60);
  check_seconds("command_timeout_s", options.command_timeout_s, 0.001, 60);
  check_seconds("connect_timeout_s", options.connect_timeout_s, 0.001, 60);
  check_seconds("max_commit_time_s", options.max_commit_time_s, 0.01, 86'400);
  check_seconds("inspect_interval_s", options.inspect_interval_s, 0, 3'600);
  if (options.max_log_tags < 16 || options.max_log_tags > (std::size_t{1} << 24)) {
    throw InvalidOption("max_log_tags=" + std::to_string(options.max_log_tags) +
                        " is not allowed: 2^4 to 2^24");
  }
  if (options.replicas_ack > 100) {
    throw InvalidOption("replicas_ack=" + std::to_string(options.replicas_ack) +
                        " is not allowed: 0 to 100");
  }
}

redis::ClientOptions client_options(const redis::Url& url, const RedisOptions& options) {
  redis::ClientOptions made;
  made.url = url;
  made.connect_timeout_s = options.connect_timeout_s;
  return made;
}

redis::FollowerOptions follower_options(const redis::Url& url, const RedisOptions& options) {
  const double connect_s =
      url.connect_timeout_s > 0 ? url.connect_timeout_s : options.connect_timeout_s;
  redis::FollowerOptions made;
  made.prefix = options.prefix;
  made.database = url.database;
  made.lease_ns = span_ns(options.lease_s);
  made.command_timeout_ns = span_ns(url.timeout_s > 0 ? url.timeout_s : options.command_timeout_s);
  made.first_timeout_ns = span_ns(connect_s) + made.command_timeout_ns;
  made.max_log_tags = options.max_log_tags;
  made.max_commit_ns = span_ns(options.max_commit_time_s);
  made.replicas_ack = options.replicas_ack;
  made.inspect_interval_ns = span_ns(options.inspect_interval_s);
  made.is_eviction_allowed = options.allow_eviction;
  made.is_writer = options.mode == RedisMode::kWriter;
  made.keeps_silently = options.on_unreachable == OnUnreachable::kJournal;
  return made;
}

class Visitor final : public redis::Listener {
 public:
  void on_push(const redis::Reply&) override {}
  void on_lost(redis::Link, const redis::Failure&) override {}
  void on_back(redis::Link link, const redis::Server& server) override {
    if (link != redis::Link::kControl) return;
    const std::lock_guard lock(mutex_);
    server_ = server;
  }
  redis::Server server() {
    const std::lock_guard lock(mutex_);
    return server_;
  }

 private:
  std::mutex mutex_;
  redis::Server server_;
};

// Whether the server itself says that it is none for us, now and later.
bool is_refusal(redis::Trouble trouble) {
  return trouble == redis::Trouble::kSetupRefused || trouble == redis::Trouble::kTls;
}

void check_server(const redis::Url& url, const RedisOptions& options) {
  constexpr auto kControl = redis::Link::kControl;
  const std::string where = redis::describe(url) + ": ";
  const redis::FollowerOptions times = follower_options(url, options);
  Visitor visitor;
  redis::Client client(client_options(url, options), visitor);
  if (!client.await_connected(kControl, nanoseconds(times.first_timeout_ns))) {
    const redis::Failure why = client.failure(kControl);
    if (!is_refusal(why.trouble)) return;
    throw HomeUnreachable(where + redis::name_of(why.trouble) + ": " + why.detail);
  }
  // The answer comes behind `on_back`.
  const redis::Answer answer =
      client.execute(kControl, redis::settings_command(), nanoseconds(times.first_timeout_ns));
  std::string refusal = redis::refusal_of(visitor.server());
  if (refusal.empty() && answer.has_reply() && !options.allow_eviction) {
    refusal = redis::judgement_of(visitor.server(), answer.reply, options.replicas_ack).refusal;
  }
  if (!refusal.empty()) throw HomeUnreachable(where + refusal);
}

class RedisHome final : public Home {
 public:
  RedisHome(redis::Url url, RedisOptions options)
      : url_(std::move(url)), options_(std::move(options)) {
    check_server(url_, options_);
  }

  std::unique_ptr<core::LogHome> connect() const override {
    const redis::MakeTransport make_transport =
        [url = url_, options = options_](const redis::Place& place, redis::Listener& listener) {
          redis::ClientOptions made = client_options(url, options);
          if (options.mode != RedisMode::kWriter) made.channels = {place.channel};
          if (!made.channels.empty() && options.inspect_interval_s > 0) {
            made.channels.push_back(place.questions());
          }
          return std::make_unique<redis::Client>(made, listener);
        };
    const redis::MakeSubscribed make_asking =
        [url = url_, options = options_](const std::string& channel, redis::Listener& listener) {
          redis::ClientOptions made = client_options(url, options);
          made.channels = {channel};
          return std::make_unique<redis::Client>(made, listener);
        };
    return std::make_unique<redis::RedisLog>(follower_options(url_, options_), make_transport,
                                             make_asking);
  }
  std::string server() const override { return redis::describe(url_); }

 private:
  const redis::Url url_;
  const RedisOptions options_;
};

}  // namespace

HomePtr redis_home(const std::string& url, const RedisOptions& options) {
  check_options(options);
  return std::make_shared<RedisHome>(redis::parse_url(url), options);
}

}  // namespace zoocache
