// The order of a process's own messages and the replies to its calls, which is not the same on all
// servers: on Redis 7 the message comes first, on Valkey 9 the reply.
#include <mutex>

#include "redis/connection.h"
#include "redis_log_support.h"

namespace zoocache::testing {
namespace {

// What came on a connection, in its order.
class Order final : public redis::Listener {
 public:
  void on_push(const redis::Reply&) override { note("message "); }
  void on_lost(redis::Link, const redis::Failure&) override {}
  void on_back(redis::Link, const redis::Server&) override {}
  void note(const std::string& what) {
    const std::lock_guard lock(mutex_);
    all_ += what;
  }
  std::string all() const {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  mutable std::mutex mutex_;
  std::string all_;
};

class OwnMessages : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "valkey") {
      NEEDS_VALKEY_SERVER();
    } else {
      NEEDS_REDIS_SERVER();
    }
    ServerOptions options;
    if (GetParam() == "valkey") options.program = valkey_server();
    server_ = std::make_unique<RedisServer>(options);
  }

  std::unique_ptr<RedisServer> server_;
};

TEST_P(OwnMessages, ComeBeforeTheReplyOrAfterIt) {
  Order heard;
  redis::ClientOptions options;
  options.url = redis::parse_url(server_->url());
  options.channels = {"ch"};
  redis::Client client(options, heard);
  ASSERT_TRUE(client.await_connected(redis::Link::kControl, 10s));
  client.async_execute(redis::Link::kControl,
                       {"EVAL", "redis.call('PUBLISH', 'ch', 'x') return 1", "0"}, 10s,
                       [&](const redis::Answer&) { heard.note("reply "); });
  ASSERT_TRUE(eventually([&] { return heard.all().size() == 14; })) << heard.all();
  RecordProperty("order", heard.all());
  std::printf("%s\n", heard.all().c_str());
}

// What was loaded between the reply and the message is not touched by the message.
TEST_P(OwnMessages, AreNoChangesOnceMore) {
  Sharer one(redis_home(server_->url(), with_lease(60)));
  one(1);
  for (int round = 0; round < 50; ++round) {
    ASSERT_TRUE(one.invalidate("user:1")) << one.last_error;
    ASSERT_FALSE(one.hits(1));
    one.home().newest();  // its reply comes behind the message
    ASSERT_TRUE(one.hits(1)) << round;
  }
  const HomeCounters told = one.status().counters;
  EXPECT_EQ(told.gaps, 0U);
  EXPECT_EQ(told.catch_ups, 0U);
}

// Each has the other's messages between its own calls and replies.
TEST_P(OwnMessages, AmongThoseOfOthersLoseNothing) {
  const HomePtr home = redis_home(server_->url(), with_lease(60));
  Sharer one(home);
  Sharer other(home);
  std::atomic<int> version{0};
  const auto get = one.cache.cacheable(
      "version", [&](int) { return version.load(); }, deps("v:{0}"));
  std::atomic<bool> stop{false};
  std::thread noise([&] {
    while (!stop) other.invalidate("user:7");
  });
  int stale = 0;
  for (int round = 0; round < 500; ++round) {
    ++version;
    one.cache.invalidate("v:1");
    if (*get(1) != version || *get(1) != version) ++stale;
  }
  stop = true;
  noise.join();
  EXPECT_EQ(stale, 0);
  EXPECT_EQ(one.status().counters.gaps, 0U);
}

INSTANTIATE_TEST_SUITE_P(On, OwnMessages, ::testing::Values("redis", "valkey"),
                         [](const auto& one) { return one.param; });

}  // namespace
}  // namespace zoocache::testing
