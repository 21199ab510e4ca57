#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "redis/connection.h"
#include "redis/redis_level.h"
#include "redis/settings.h"
#include "redis/url.h"
#include "zoocache/errors.h"
#include "zoocache/redis.h"

namespace zoocache {
namespace {

using redis::check_seconds;
using redis::span_ns;

void check_options(const RedisStorageOptions& options) {
  constexpr double kTenYearsS = 315'360'000;
  constexpr std::size_t kMostBytes = std::size_t{1} << 28;
  redis::check_prefix(options.prefix);
  check_seconds("command_timeout_s", options.command_timeout_s, 0.001, 60);
  check_seconds("connect_timeout_s", options.connect_timeout_s, 0.001, 60);
  check_seconds("ttl_s", options.ttl_s, 1, kTenYearsS);
  check_seconds("claim_s", options.claim_s, 0.1, 60);
  if (options.max_value_bytes < 1 || options.max_value_bytes > kMostBytes) {
    throw InvalidOption("max_value_bytes=" + std::to_string(options.max_value_bytes) +
                        " is not allowed: 1 to 2^28");
  }
}

redis::LevelOptions level_options(const redis::Url& url, const RedisStorageOptions& options) {
  const double connect_s =
      url.connect_timeout_s > 0 ? url.connect_timeout_s : options.connect_timeout_s;
  redis::LevelOptions made;
  made.prefix = options.prefix;
  made.command_timeout_ns = span_ns(url.timeout_s > 0 ? url.timeout_s : options.command_timeout_s);
  made.connect_timeout_ns = span_ns(connect_s);
  made.ttl_ms = static_cast<std::int64_t>(options.ttl_s * 1e3);
  made.claim_ms = static_cast<std::int64_t>(options.claim_s * 1e3);
  made.max_value_bytes = options.max_value_bytes;
  made.secrets = options.secrets;
  return made;
}

class RedisStorage final : public Storage {
 public:
  RedisStorage(const redis::Url& url, const RedisStorageOptions& options)
      : server_(redis::describe(url)),
        level_(std::make_shared<redis::RedisLevel>(
            level_options(url, options),
            [url, options](const std::string& channel, redis::Listener& listener) {
              redis::ClientOptions made;
              made.url = url;
              made.connect_timeout_s = options.connect_timeout_s;
              made.channels = {channel};
              made.has_control = false;  // not before somebody waits
              // An entry, and what comes behind it.
              made.max_reply_bytes = 2 * (options.max_value_bytes + redis::kBesideValueBytes);
              return std::make_unique<redis::Client>(made, listener);
            })) {}

  std::shared_ptr<core::SecondLevel> connect() const override { return level_; }
  std::string server() const override { return server_; }

 private:
  const std::string server_;
  const std::shared_ptr<redis::RedisLevel> level_;
};

}  // namespace

StoragePtr redis_storage(const std::string& url, const RedisStorageOptions& options) {
  check_options(options);
  return std::make_shared<RedisStorage>(redis::parse_url(url), options);
}

}  // namespace zoocache
