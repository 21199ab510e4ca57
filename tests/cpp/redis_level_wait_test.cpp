// Waiting for the end of a claim on a real server: it is told, and looked for where that may not
// come.
#include <gtest/gtest.h>
#include <zoocache/redis.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/second_level.h"
#include "redis/level_scripts.h"
#include "redis/redis_level.h"
#include "redis_client.h"
#include "redis_level_support.h"
#include "redis_server.h"

namespace zoocache::testing {
namespace {

using core::SecondLevel;
using core::StoredValue;
using Waited = SecondLevel::Waited;
using LevelPtr = std::unique_ptr<redis::RedisLevel>;

class RedisLevelWait : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_REDIS_SERVER();
    server_ = std::make_unique<RedisServer>();
  }
  LevelPtr level(std::int64_t told_pause_ms, const std::string& user = "") const {
    const std::string url = "redis://" + user + "127.0.0.1:" + std::to_string(server_->port());
    return std::make_unique<redis::RedisLevel>(
        options_with(told_pause_ms), [url](const std::string& channel, redis::Listener& listener) {
          redis::ClientOptions options = options_for(url);
          options.channels = {channel};
          options.has_control = false;
          return std::make_unique<redis::Client>(options, listener);
        });
  }
  std::size_t calls() const {
    const std::string told = server_->command({"INFO", "commandstats"});
    const std::string name = "cmdstat_evalsha:calls=";
    const std::size_t at = told.find(name);
    return at == std::string::npos ? 0 : std::stoul(told.substr(at + name.size()));
  }
  // Until it looks no more, since it would be told.
  bool hears(redis::RedisLevel& level, std::uint64_t token) const {
    return eventually([&] {
      const std::size_t before = calls();
      EXPECT_EQ(level.wait("warm", token, 100ms), Waited::kTimedOut);
      return calls() - before <= 2;
    });
  }
  // Waits for the claim, and is noted in it.
  std::future<Waited> wait(redis::RedisLevel& level, std::uint64_t token) const {
    const std::size_t before = calls();
    auto waited =
        std::async(std::launch::async, [&level, token] { return level.wait("key", token, 20s); });
    EXPECT_TRUE(eventually([&] { return calls() != before; }));
    return waited;
  }

  std::unique_ptr<RedisServer> server_;
};

TEST_F(RedisLevelWait, EveryEndIsTold) {
  const LevelPtr one = level(kNeverMs);
  const LevelPtr other = level(kNeverMs);
  const auto warm = one->claim("warm", std::nullopt);
  ASSERT_TRUE(hears(*other, warm.token));
  const std::vector<std::pair<std::function<void(std::uint64_t)>, Waited>> ends{
      {[&](std::uint64_t token) { one->release("key", token, false); }, Waited::kEnded},
      {[&](std::uint64_t token) { one->release("key", token, true); }, Waited::kFailed},
      {[&](std::uint64_t token) { one->put("key", token, StoredValue()); }, Waited::kEnded}};
  for (const auto& [end, outcome] : ends) {
    const auto mine = one->claim("key", std::nullopt);
    ASSERT_EQ(mine.kind, SecondLevel::Claim::Kind::kMine);
    std::future<Waited> waited = wait(*other, mine.token);
    end(mine.token);
    EXPECT_EQ(waited.get(), outcome);
  }
}

TEST_F(RedisLevelWait, AnEndThatNobodyTellsIsFound) {
  const LevelPtr one = level(kNeverMs);
  const LevelPtr other = level(redis::LevelOptions().told_pause_ms);
  const auto warm = one->claim("warm", std::nullopt);
  ASSERT_TRUE(hears(*other, warm.token));
  const auto mine = one->claim("key", std::nullopt);
  std::future<Waited> waited = wait(*other, mine.token);
  server_->command({"EVAL",
                    "for _, key in ipairs(redis.call('KEYS', '*:f:*')) do "
                    "redis.call('UNLINK', key) end",
                    "0"});
  EXPECT_EQ(waited.get(), Waited::kEnded);
}

TEST_F(RedisLevelWait, AServerThatEndsConnectionsIsHeardAgain) {
  const LevelPtr one = level(kNeverMs);
  const LevelPtr other = level(kNeverMs);
  const auto warm = one->claim("warm", std::nullopt);
  ASSERT_TRUE(hears(*other, warm.token));
  server_->command({"CLIENT", "KILL", "TYPE", "pubsub"});
  EXPECT_TRUE(hears(*other, warm.token));
  const auto mine = one->claim("key", std::nullopt);
  std::future<Waited> waited = wait(*other, mine.token);
  one->release("key", mine.token, false);
  EXPECT_EQ(waited.get(), Waited::kEnded);
}

// A user without channels: nobody is told, and all goes on.
TEST_F(RedisLevelWait, WhoMayNotPublishOrSubscribeLooks) {
  server_->command({"ACL", "SETUSER", "few", "on", ">word", "~*", "resetchannels", "+@all"});
  const LevelPtr one = level(kNeverMs, "few:word@");
  const LevelPtr other = level(kNeverMs, "few:word@");
  const LevelPtr subscribed = level(100);
  const auto warm = one->claim("warm", std::nullopt);
  ASSERT_TRUE(hears(*subscribed, warm.token));
  const auto mine = one->claim("key", std::nullopt);
  std::future<Waited> first = wait(*other, mine.token);
  std::future<Waited> second = wait(*subscribed, mine.token);
  one->put("key", mine.token, StoredValue());
  EXPECT_EQ(first.get(), Waited::kEnded);
  EXPECT_EQ(second.get(), Waited::kEnded);
  EXPECT_TRUE(one->get("key"));
}

TEST_F(RedisLevelWait, AClaimNotesSoManyAndNobodyTwice) {
  const redis::LevelScripts scripts;
  Heard heard;
  redis::Client client(options_for(server_->url()), heard);
  ASSERT_TRUE(connects(client));
  const auto look = [&](const std::string& node) {
    const redis::ScriptCall call{{"{p}:f:1"}, {"5", node, "34"}};
    return redis::run(client, Link::kData, scripts.look, call, 10s).reply.text;
  };
  server_->command({"SET", "{p}:f:1", "ab:5", "PX", "60000"});
  const std::string nodes[] = {std::string(16, 'a'), std::string(16, 'b'), std::string(16, 'c')};
  EXPECT_EQ(look(nodes[0]), "noted");
  EXPECT_EQ(look(nodes[0]), "noted");
  EXPECT_EQ(look(nodes[1]), "noted");
  EXPECT_EQ(look(nodes[2]), "runs");
  EXPECT_EQ(look(nodes[1]), "noted");
  EXPECT_EQ(server_->command({"GET", "{p}:f:1"}),
            "$38\r\nab:5 " + nodes[0] + " " + nodes[1] + "\r\n");
  EXPECT_NE(server_->command({"PTTL", "{p}:f:1"}), ":-1\r\n") << "it lives no longer for that";
  EXPECT_EQ(redis::run(client, Link::kData, scripts.renew, {{"{p}:f:1"}, {"60000", "5"}}, 10s)
                .reply.items.at(0)
                .text,
            "1");
  for (const std::string text : {"ab:6", "ab:5 xyz", "ab:5,cd", "5", "!6"}) {
    server_->command({"SET", "{p}:f:1", text, "PX", "60000"});
    EXPECT_EQ(look(nodes[0]), "ended") << text;
    EXPECT_EQ(server_->command({"STRLEN", "{p}:f:1"}), ":" + std::to_string(text.size()) + "\r\n");
  }
}

}  // namespace
}  // namespace zoocache::testing
