// Caches that share a log on a real server, for tests of what happens to them.
// Thread-safety: one owner, but for what caches promise.
#pragma once

#include <gtest/gtest.h>
#include <zoocache/redis.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache_access.h"
#include "core/home.h"
#include "core/log.h"
#include "eventually.h"
#include "redis/redis_log.h"
#include "redis_server.h"

namespace zoocache::testing {

using namespace std::chrono_literals;

inline constexpr const char* kLogKey = "{zoocache}:log";

bool eventually(const std::function<bool()>& is_so,
                std::chrono::milliseconds patience = std::chrono::seconds(15));

// A cache with one function, get(id), that depends on "user:{id}" and counts its loads.
struct Sharer {
  explicit Sharer(const HomePtr& home) : cache(Options{.home = home}) {
    get.emplace(cache.cacheable(
        "get", [this](int) { return ++loads; }, deps("user:{0}")));
  }
  int operator()(int id) { return *(*get)(id); }
  // Whether a call is answered from the cache.
  bool hits(int id) {
    const int before = loads;
    (*this)(id);
    return loads == before;
  }
  bool invalidate(const std::string& tag) {
    try {
      cache.invalidate(tag);
    } catch (const HomeUnreachable& error) {
      last_error = error.what();
      return false;
    }
    return true;
  }
  core::InvalidationLog& log() { return detail::CacheAccess::engine(cache).log(); }
  redis::RedisLog& home() { return dynamic_cast<redis::RedisLog&>(*log().home()); }
  HomeStatus status() { return home().status(); }

  std::atomic<int> loads{0};
  std::string last_error;
  Cache cache;
  std::optional<CachedFunction<int, int>> get;
};

// Long leases: what is seen to happen was not a heartbeat's doing. Short ones: it was.
inline RedisOptions with_lease(double lease_s) {
  RedisOptions options;
  options.lease_s = lease_s;
  return options;
}

class RedisLogTest : public ::testing::Test {
 protected:
  void SetUp() override { NEEDS_REDIS_SERVER(); }
  void start(double lease_s, const ServerOptions& server = {}) {
    server_ = std::make_unique<RedisServer>(server);
    home_ = redis_home(server_->url(), with_lease(lease_s));
  }
  // Connected and trusted, with get(1) and get(2) in its cache.
  std::unique_ptr<Sharer> sharer() const {
    auto made = std::make_unique<Sharer>(home_);
    EXPECT_TRUE(eventually([&] {
      (*made)(2);
      return made->hits(1) && made->status().reachable;
    })) << made->status().trouble;
    return made;
  }
  // Declares without telling anybody: the message was lost.
  void declare_silently(const std::vector<std::string>& texts) const {
    std::vector<std::string> words{
        "EVAL",
        "local epoch = redis.call('ZINCRBY', KEYS[1], -1, '\\2clock') "
        "for _, text in ipairs(ARGV) do redis.call('ZADD', KEYS[1], -epoch, text) end",
        "1", kLogKey};
    words.insert(words.end(), texts.begin(), texts.end());
    server_->command(words);
  }
  bool has_member(const std::string& member) const {
    return server_->command({"ZSCORE", kLogKey, member}).substr(0, 3) != "$-1";
  }

  std::unique_ptr<RedisServer> server_;
  HomePtr home_;
};

}  // namespace zoocache::testing
