// Processes of several versions of the library and one log: what a process does that is too old for
// it, and that it gets its trust back. In virtual time, over the simulation's network.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <cstdint>
#include <string>
#include <vector>

#include "redis/scripts.h"
#include "redis_sim_process.h"
#include "zoocache/errors.h"

namespace zoocache::testing {
namespace {

constexpr Faults kNone{.lost_push = 0, .doubled_push = 0, .slow_push = 0};
constexpr std::uint64_t kNewer = redis::kLogVersion + 1;

using Process = CountingProcess;

class RedisLogVersion : public ::testing::Test {
 protected:
  RedisLogVersion() {
    process_.hits();
    EXPECT_TRUE(process_.hits());
  }
  ModelServer& server() { return *network_.primary->model; }

  World world_{1};
  Network network_{world_, kNone};
  Process process_{network_};
};

TEST_F(RedisLogVersion, ALogSaysWhichVersionItNeeds) {
  EXPECT_EQ(server().set.needs, redis::kLeastLogVersion);
}

TEST_F(RedisLogVersion, AProcessThatIsTooOldLoadsAndSaysWhy) {
  server().set.needs = kNewer;
  world_.sleep(kSimLeaseNs);
  for (int call = 0; call < 20; ++call) {
    EXPECT_FALSE(process_.hits());
    world_.sleep(call * 30 * kSimMs);
  }
  const auto told = process_.cache.home();
  EXPECT_FALSE(told->reachable);
  EXPECT_NE(told->trouble.find("needs version " + std::to_string(kNewer)), std::string::npos);
  const std::vector<std::string> texts{"user:1"};
  EXPECT_THROW(process_.home().holds(told->generation, told->clock, texts), HomeUnreachable);
  EXPECT_THROW(process_.home().newest(), HomeUnreachable);
  EXPECT_FALSE(process_.home().position().trusted);
  EXPECT_EQ(told->counters.breaker_opens, 0U);
}

TEST_F(RedisLogVersion, AndAsksForNothingAtEachCall) {
  server().set.needs = kNewer;
  world_.sleep(kSimLeaseNs);
  EXPECT_FALSE(process_.home().refresh_waits());
  const std::int64_t began_ns = world_.now_ns();
  for (int call = 0; call < 20; ++call) process_.hits();
  EXPECT_EQ(world_.now_ns(), began_ns) << "the server was asked";
}

TEST_F(RedisLogVersion, OneThatComesLaterServesNothing) {
  server().set.needs = kNewer;
  Process late(network_);
  for (int call = 0; call < 5; ++call) EXPECT_FALSE(late.hits());
  EXPECT_NE(late.cache.home()->trouble.find("needs version"), std::string::npos);
  EXPECT_GT(late.cache.invalidate("user:1"), 0U);
}

TEST_F(RedisLogVersion, WhatItDeclaresIsAcceptedAndHeard) {
  Process other(network_);
  other.hits();
  ASSERT_TRUE(other.hits());
  const core::Epoch before = server().set.clock;
  server().set.needs = kNewer;
  EXPECT_EQ(process_.cache.invalidate("user:1"), before + 1);
  EXPECT_EQ(server().set.texts["user:1"], before + 1);
  EXPECT_FALSE(process_.hits()) << "the reply said so, before any heartbeat";
  EXPECT_FALSE(process_.hits());
}

TEST_F(RedisLogVersion, WhatWasNotAcknowledgedIsDeclaredAgain) {
  server().set.needs = kNewer;
  world_.sleep(kSimLeaseNs);
  server().is_writable = false;
  EXPECT_THROW(process_.cache.invalidate("user:7"), HomeUnreachable);
  server().is_writable = true;
  world_.sleep(4 * kSimLeaseNs);
  EXPECT_EQ(server().set.texts.count("user:7"), 1U);
}

// It cannot say what it has applied of what it does not read; but it serves nothing of before.
TEST_F(RedisLogVersion, NobodyWaitsForIt) {
  server().set.needs = kNewer;
  world_.sleep(kSimLeaseNs);
  server().set.texts["user:1"] = ++server().set.clock;
  network_.wires[0]->push("{sim}:log:0", std::to_string(server().set.nonce) + " " +
                                             std::to_string(server().set.clock) + " other\n");
  world_.sleep(kSimLeaseNs);
  ASSERT_EQ(server().set.nodes.size(), 1U);
  EXPECT_EQ(server().set.nodes.begin()->second.first, server().set.clock);
  EXPECT_EQ(process_.cache.home()->counters.catch_ups, 0U);
}

// What it could not read may have been anything.
TEST_F(RedisLogVersion, ItServesAgainWhenItMay) {
  server().set.needs = kNewer;
  world_.sleep(kSimLeaseNs);
  EXPECT_FALSE(process_.hits());
  const std::uint64_t before = process_.cache.home()->counters.flushes;
  server().set.needs = redis::kLogVersion;
  world_.sleep(kSimLeaseNs);
  EXPECT_GT(process_.cache.home()->counters.flushes, before);
  EXPECT_FALSE(process_.hits());
  EXPECT_TRUE(process_.hits());
  EXPECT_EQ(process_.cache.home()->trouble, "");
}

TEST_F(RedisLogVersion, AMessageInBetweenIsNotTakenForRead) {
  server().set.needs = kNewer;
  world_.sleep(kSimLeaseNs);
  const std::string late = std::to_string(server().set.nonce) + " " +
                           std::to_string(server().set.clock + 1) + " other\n";
  server().set.texts["user:1"] = ++server().set.clock;
  network_.wires[0]->push("{sim}:log:0", late);  // it names no text that this version understands
  world_.sleep(10 * kSimMs);
  server().set.needs = redis::kLogVersion;
  world_.sleep(kSimLeaseNs);
  const std::vector<std::string> texts{"user:1"};
  EXPECT_FALSE(process_.home().holds(server().set.nonce, server().set.clock - 1, texts));
}

TEST_F(RedisLogVersion, AnotherLogIsBegunAsEver) {
  server().set.needs = kNewer;
  world_.sleep(kSimLeaseNs);
  server().set = ModelServer::Set();
  world_.sleep(kSimLeaseNs);
  EXPECT_EQ(server().set.needs, redis::kLeastLogVersion);
  EXPECT_FALSE(process_.hits());
  EXPECT_TRUE(process_.hits());
}

// Who writes what older ones cannot read says so first, and by another generation.
TEST_F(RedisLogVersion, ALogOfAnOlderVersionIsRaised) {
  const std::uint64_t before = server().set.nonce;
  server().set.needs = 0;
  world_.sleep(kSimLeaseNs);
  EXPECT_EQ(server().set.needs, redis::kLeastLogVersion);
  EXPECT_NE(server().set.nonce, before);
}

}  // namespace
}  // namespace zoocache::testing
