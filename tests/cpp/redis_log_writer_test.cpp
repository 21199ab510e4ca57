// Processes that declare and cache nothing.
#include <algorithm>
#include <string>

#include "redis_log_support.h"

namespace zoocache::testing {
namespace {

class RedisLogWriter : public RedisLogTest {
 protected:
  void start(double lease_s) {
    RedisLogTest::start(lease_s);
    writers_ = redis_home(server_->url(), writing(lease_s));
  }
  static RedisOptions writing(double lease_s) {
    RedisOptions options = with_lease(lease_s);
    options.mode = RedisMode::kWriter;
    options.command_timeout_s = 1;
    return options;
  }
  std::unique_ptr<Sharer> writer() const { return std::make_unique<Sharer>(writers_); }
  std::size_t registered() const {
    const std::string members = server_->command({"ZRANGE", kLogKey, "0", "-1"});
    std::size_t found = 0;
    for (std::size_t at = 0; (at = members.find("beat:", at)) != std::string::npos; ++at) ++found;
    return found;
  }

  HomePtr writers_;
};

TEST_F(RedisLogWriter, DeclaresAndIsNotKnownToTheServer) {
  start(0.3);
  const auto reader = sharer();
  const auto one = writer();
  ASSERT_TRUE(one->invalidate("user:1")) << one->last_error;
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_TRUE(one->status().reachable) << one->status().trouble;
  std::this_thread::sleep_for(400ms);  // longer than a lease: it would have beaten
  EXPECT_EQ(registered(), 1U) << "the reader";
  EXPECT_EQ(server_->command({"PUBSUB", "NUMSUB", std::string(kLogKey) + ":0"}),
            "*2\r\n$16\r\n{zoocache}:log:0\r\n:1\r\n");
  EXPECT_EQ(one->status().counters.catch_ups + one->status().counters.errors, 0U);
}

TEST_F(RedisLogWriter, LoadsAtEveryCall) {
  start(60);
  const auto one = writer();
  EXPECT_FALSE(one->hits(1));
  EXPECT_FALSE(one->hits(1));
  ASSERT_TRUE(one->invalidate("user:1"));
  EXPECT_FALSE(one->hits(1));
  EXPECT_FALSE(one->hits(1));
  EXPECT_FALSE(one->log().arrival_waits());
  EXPECT_GT(one->cache.tag_version("user:1"), 0U);
  const std::vector<std::string> texts{"user:2"};
  EXPECT_THROW(one->home().holds(one->home().position().generation, 1, texts), HomeUnreachable);
}

TEST_F(RedisLogWriter, ItsReceiptsCountEverywhereAndItWaitsForOthers) {
  start(0.5);
  const auto reader = sharer();
  const auto one = writer();
  const core::Epoch epoch = one->cache.invalidate("user:1");
  const std::uint64_t generation = one->home().position().generation;
  EXPECT_EQ(core::reach(reader->log(), generation, epoch, 10s), core::Reached::kYes);
  EXPECT_EQ(core::reach(one->log(), generation, epoch, 10s), core::Reached::kYes);
  EXPECT_EQ(core::reach(one->log(), generation + 1, epoch, 10s), core::Reached::kYes);
  EXPECT_TRUE(one->home().wait_applied(generation, epoch, 100s));
}

TEST_F(RedisLogWriter, DeclaresAgainWhatAnotherGenerationHasNotHeard) {
  start(0.5);
  const auto reader = sharer();
  const auto one = writer();
  ASSERT_TRUE(one->invalidate("user:1"));
  ASSERT_TRUE(has_member("user:1"));
  server_->command({"FLUSHALL"});
  EXPECT_TRUE(eventually([&] { return has_member("user:1"); }));
  EXPECT_EQ(one->status().counters.generation_changes, 1U);
  EXPECT_GE(one->status().counters.replays, 1U);
}

TEST_F(RedisLogWriter, KeepsWhatIsNotAcknowledged) {
  start(0.5);
  const auto one = writer();
  ASSERT_TRUE(one->invalidate("user:1"));
  server_->kill_hard();
  ASSERT_FALSE(one->invalidate("user:2"));
  EXPECT_TRUE(eventually([&] { return !one->status().reachable; }));
  server_->start();
  EXPECT_TRUE(eventually([&] { return has_member("user:2"); }));
  EXPECT_TRUE(eventually([&] { return one->status().reachable; }));
}

TEST_F(RedisLogWriter, WaitsForReplicas) {
  server_ = std::make_unique<RedisServer>(
      ServerOptions{.arguments = {"--repl-diskless-sync-delay", "0"}});
  RedisServer replica(
      {.arguments = {"--replicaof", "127.0.0.1 " + std::to_string(server_->port())}});
  ASSERT_TRUE(eventually([&] {
    return server_->command({"INFO", "replication"}).find("state=online") != std::string::npos;
  }));
  RedisOptions options = writing(60);
  options.replicas_ack = 1;
  writers_ = redis_home(server_->url(), options);
  const auto one = writer();
  EXPECT_TRUE(one->invalidate("user:1")) << one->last_error;
  EXPECT_TRUE(one->invalidate("user:1")) << one->last_error;
  replica.stop();
  EXPECT_FALSE(one->invalidate("user:1"));
  EXPECT_EQ(registered(), 0U);
}

}  // namespace
}  // namespace zoocache::testing
