// Sentinels: the primary is found through any of them, and found again after it went.
#include <gtest/gtest.h>

#include <string>

#include "redis_client.h"
#include "redis_fake.h"

namespace zoocache::testing {
namespace {

using redis::Client;
using redis::ClientOptions;

std::string sentinel_url(const std::vector<std::uint16_t>& ports, const std::string& primary) {
  std::string hosts;
  for (const std::uint16_t port : ports) {
    hosts += (hosts.empty() ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(port);
  }
  return "redis+sentinel://" + hosts + "/" + primary;
}

ServerOptions sentinel_of(const RedisServer& primary) {
  ServerOptions options;
  options.is_sentinel = true;
  options.arguments = {"sentinel monitor main 127.0.0.1 " + std::to_string(primary.port()) + " 1",
                       "sentinel down-after-milliseconds main 500",
                       "sentinel failover-timeout main 3000"};
  return options;
}

TEST(RedisSentinel, FindsThePrimaryThroughTheOneThatAnswers) {
  NEEDS_REDIS_SERVER();
  const RedisServer primary;
  const RedisServer sentinel(sentinel_of(primary));
  Heard heard;
  Client client(options_for(sentinel_url({free_port(), sentinel.port()}, "main")), heard);
  ASSERT_TRUE(connects(client)) << client.failure(Link::kControl).detail;
  EXPECT_EQ(text_of(client.execute(Link::kData, {"SET", "a", "b"}, 5s)), "OK");
  EXPECT_EQ(primary.command({"GET", "a"}), "$1\r\nb\r\n");
}

TEST(RedisSentinel, AnotherNameIsAnError) {
  NEEDS_REDIS_SERVER();
  const RedisServer primary;
  const RedisServer sentinel(sentinel_of(primary));
  Heard heard;
  const Client client(options_for(sentinel_url({sentinel.port()}, "other")), heard);
  EXPECT_TRUE(
      eventually([&] { return client.failure(Link::kData).trouble == Trouble::kNoPrimary; }));
  EXPECT_NE(client.failure(Link::kData).detail.find("other"), std::string::npos);
}

TEST(RedisSentinel, NobodyThere) {
  Heard heard;
  const Client client(options_for(sentinel_url({free_port(), free_port()}, "main")), heard);
  EXPECT_TRUE(
      eventually([&] { return client.failure(Link::kData).trouble == Trouble::kNoPrimary; }));
}

// A sentinel that has not yet heard of a failover names what is a replica by now.
TEST(RedisSentinel, WhatIsNoPrimaryIsNotUsed) {
  NEEDS_REDIS_SERVER();
  const RedisServer primary;
  RedisServer replica;
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(primary.port())});
  const std::string port = std::to_string(replica.port());
  FakeServer sentinel([&](const std::string& received, int count) {
    if (count == 0) return FakeServer::setup_replies(received);
    return "*2\r\n$9\r\n127.0.0.1\r\n$" + std::to_string(port.size()) + "\r\n" + port + "\r\n";
  });
  Heard heard;
  const Client client(options_for(sentinel_url({sentinel.port()}, "main")), heard);
  EXPECT_TRUE(eventually([&] {
    return client.failure(Link::kData).detail.find("role slave") != std::string::npos;
  })) << client.failure(Link::kData).detail;
  replica.command({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(connects(client)) << client.failure(Link::kData).detail;
}

TEST(RedisSentinel, FollowsAFailover) {
  NEEDS_REDIS_SERVER();
  const RedisServer primary;
  RedisServer replica(
      {.arguments = {"--replicaof", "127.0.0.1 " + std::to_string(primary.port())}});
  ASSERT_TRUE(eventually([&] {
    return replica.command({"INFO", "replication"}).find("master_link_status:up") !=
           std::string::npos;
  }));
  RedisServer sentinel(sentinel_of(primary));
  Heard heard;
  Client client(options_for(sentinel_url({sentinel.port()}, "main")), heard);
  ASSERT_TRUE(connects(client)) << client.failure(Link::kControl).detail;
  ASSERT_TRUE(eventually([&] {
    return sentinel.command({"SENTINEL", "REPLICAS", "main"}).find("s_down") == std::string::npos &&
           sentinel.command({"SENTINEL", "REPLICAS", "main"})
                   .find(std::to_string(replica.port())) != std::string::npos;
  }));
  primary.stop();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually(
      [&] {
        return text_of(client.execute(Link::kControl, {"SET", "after", "it"}, 200ms)) == "OK";
      },
      15s))
      << client.failure(Link::kControl).detail;
  std::printf("writes again %.0f ms after the primary was stopped\n", milliseconds_since(start));
  EXPECT_EQ(replica.command({"GET", "after"}), "$2\r\nit\r\n");
  primary.go_on();
}

}  // namespace
}  // namespace zoocache::testing
