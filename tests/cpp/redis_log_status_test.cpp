// What a process tells of its server, and what of stored values it knows without asking: in virtual
// time, over the simulation's network.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "redis/applied_index.h"
#include "redis_sim_process.h"
#include "seed.h"
#include "zoocache/errors.h"

namespace zoocache::testing {
namespace {

constexpr Faults kNone{.lost_push = 0, .doubled_push = 0, .slow_push = 0};

struct Process : SimProcess {
  explicit Process(Network& network) : SimProcess(network) {
    get.emplace(cache.cacheable(
        "get", [](int id) { return id; }, deps("user:{0}")));
    (*get)(1);
  }
  HomeCounters counters() const { return cache.home()->counters; }
  bool holds(core::Epoch born, const std::string& text) {
    const std::vector<std::string> texts{text};
    return home().holds(home().position().generation, born, texts);
  }

  std::optional<CachedFunction<int, int>> get;
};

class RedisLogStatus : public ::testing::Test {
 protected:
  ModelServer& server() { return *network_.primary->model; }

  World world_{1};
  Network network_{world_, kNone};
  Process process_{network_};
};

TEST_F(RedisLogStatus, AQuietTimeCountsNothingButItsBeginning) {
  world_.sleep(20 * kSimLeaseNs);
  ASSERT_TRUE(process_.invalidate("user:1"));
  const HomeCounters told = process_.counters();
  EXPECT_EQ(told.connects, 1U);
  EXPECT_EQ(told.script_loads, 4U) << "heartbeat, invalidation, nodes, and a page at the most";
  EXPECT_EQ(told.flushes, 1U) << "to begin";
  for (const std::uint64_t one :
       {told.disconnects, told.timeouts, told.errors, told.gaps, told.catch_ups,
        told.generation_changes, told.replays, told.breaker_opens, told.unreplicated,
        told.duplicates, told.lease_expirations}) {
    EXPECT_EQ(one, 0U);
  }
}

TEST_F(RedisLogStatus, AGap) {
  server().set.texts["user:1"] = ++server().set.clock;  // its message is lost
  world_.sleep(kSimLeaseNs);
  EXPECT_EQ(process_.counters().gaps, 1U);
  EXPECT_EQ(process_.counters().catch_ups, 1U);
  EXPECT_EQ(process_.counters().generation_changes, 0U);
}

TEST_F(RedisLogStatus, AGapThatAMessageShows) {
  ++server().set.clock;
  network_.wires[0]->push("{sim}:log:0", std::to_string(server().set.nonce) + " " +
                                             std::to_string(++server().set.clock) + " other\n");
  world_.sleep(50 * kSimMs);
  EXPECT_EQ(process_.counters().gaps, 1U);
}

TEST_F(RedisLogStatus, AMessageThatComesTwice) {
  const auto message = [&](std::uint64_t epoch) {
    return std::to_string(server().set.nonce) + " " + std::to_string(epoch) + " other\n";
  };
  const std::uint64_t first = ++server().set.clock;
  for (const std::uint64_t epoch : {first, first, first + 2, first + 2}) {
    server().set.clock = std::max(server().set.clock, epoch);
    network_.wires[0]->push("{sim}:log:0", message(epoch));
    world_.sleep(5 * kSimMs);
  }
  EXPECT_EQ(process_.counters().duplicates, 2U) << "below what is applied, and above a gap";
}

TEST_F(RedisLogStatus, AProcessThatStandsStill) {
  world_.sleep(5 * kSimLeaseNs);
  EXPECT_EQ(process_.counters().lease_expirations, 0U);
  process_.thaws_ns = world_.now_ns() + 3 * kSimLeaseNs;
  world_.sleep(5 * kSimLeaseNs);
  EXPECT_EQ(process_.counters().lease_expirations, 1U);
  world_.sleep(5 * kSimLeaseNs);
  EXPECT_EQ(process_.counters().lease_expirations, 1U) << "once for each time";
}

TEST_F(RedisLogStatus, AMessageThatMakesNoSense) {
  network_.wires[0]->push("{sim}:log:0", "rubbish");
  world_.sleep(50 * kSimMs);
  EXPECT_EQ(process_.counters().errors, 1U);
}

TEST_F(RedisLogStatus, AnotherGenerationAndWhatIsDeclaredAgain) {
  ASSERT_TRUE(process_.invalidate("user:1"));
  const std::uint64_t flushes = process_.counters().flushes;
  network_.crash(false);
  world_.sleep(3 * kSimLeaseNs);
  const HomeCounters told = process_.counters();
  EXPECT_EQ(told.connects, 2U);
  EXPECT_EQ(told.disconnects, 1U);
  EXPECT_EQ(told.generation_changes, 1U);
  EXPECT_EQ(told.replays, 1U);
  EXPECT_EQ(told.flushes, flushes + 1);
}

TEST_F(RedisLogStatus, ASilentServer) {
  network_.primary->stalled_until_ns = world_.now_ns() + 3 * kSimLeaseNs;
  EXPECT_FALSE(process_.invalidate("user:1"));
  EXPECT_FALSE(process_.invalidate("user:1"));
  const HomeCounters told = process_.counters();
  EXPECT_GE(told.timeouts, 1U);
  EXPECT_EQ(told.breaker_opens, 1U);
  EXPECT_EQ(told.replays, 0U);
  world_.sleep(8 * kSimLeaseNs);
  EXPECT_GE(process_.counters().replays, 1U);
}

TEST_F(RedisLogStatus, AServerThatRefuses) {
  server().is_writable = false;
  world_.sleep(kSimLeaseNs);
  EXPECT_GE(process_.counters().errors, 1U);
}

TEST_F(RedisLogStatus, StoredValuesAreCheckedHere) {
  ASSERT_TRUE(process_.invalidate("user:1:orders"));
  const core::Epoch epoch = process_.home().position().epoch;
  const std::int64_t began_ns = world_.now_ns();
  EXPECT_TRUE(process_.holds(epoch, "user:1:orders"));
  EXPECT_TRUE(process_.holds(epoch - 1, "user:1"));
  EXPECT_FALSE(process_.holds(epoch - 1, "user:1:orders"));
  EXPECT_FALSE(process_.holds(epoch - 1, "user:1:orders:7"));
  EXPECT_FALSE(process_.holds(epoch, "\x03rubbish"));
  const std::vector<std::string> one{"user:1"};
  EXPECT_FALSE(process_.home().holds(process_.home().position().generation + 1, epoch, one));
  EXPECT_EQ(world_.now_ns(), began_ns) << "the server was asked";
  EXPECT_EQ(process_.counters().local_checks, 2U);
  EXPECT_EQ(process_.counters().server_checks, 0U);
}

// Of what was before a process came it knows nothing.
TEST_F(RedisLogStatus, OlderValuesAreCheckedByTheServer) {
  ASSERT_TRUE(process_.invalidate("user:1"));
  ASSERT_TRUE(process_.invalidate("user:2"));
  Process late(network_);
  const core::Epoch epoch = late.home().position().epoch;
  EXPECT_TRUE(late.holds(epoch - 1, "user:1"));
  EXPECT_FALSE(late.holds(epoch - 1, "user:2"));
  EXPECT_EQ(late.counters().local_checks, 0U);
  EXPECT_EQ(late.counters().server_checks, 1U);
  EXPECT_TRUE(late.holds(epoch, "user:2"));
  EXPECT_EQ(late.counters().local_checks, 1U);
}

TEST_F(RedisLogStatus, WhatACatchUpToldIsKnown) {
  const core::Epoch before = process_.home().position().epoch;
  server().set.texts["user:1"] = ++server().set.clock;
  EXPECT_TRUE(process_.holds(before, "user:1")) << "nobody has heard of it; the lease bounds that";
  world_.sleep(kSimLeaseNs);
  EXPECT_FALSE(process_.holds(before, "user:1"));
  EXPECT_TRUE(process_.holds(before, "user:2"));
}

TEST_F(RedisLogStatus, WhatIsNotAcknowledgedYetDoesNotHold) {
  ASSERT_TRUE(process_.holds(0, "user:1"));
  server().is_writable = false;
  ASSERT_FALSE(process_.invalidate("user"));
  ASSERT_TRUE(process_.home().is_fresh());
  EXPECT_FALSE(process_.holds(process_.home().position().epoch, "user:1"));
  EXPECT_TRUE(process_.holds(process_.home().position().epoch, "group:1"));
}

TEST_F(RedisLogStatus, WithoutTrustNothingIsKnown) {
  network_.primary->is_up = false;
  network_.disconnect_all(network_.primary.get());
  world_.sleep(2 * kSimLeaseNs);
  EXPECT_THROW(process_.holds(0, "user:1"), HomeUnreachable);
}

// A server that took over answers before it was heard with a heartbeat: not all that was told to
// the other one, and with the nonce of that one.
TEST_F(RedisLogStatus, AServerThatTookOverIsNotBelievedAtOnce) {
  ASSERT_TRUE(process_.invalidate("user:1"));
  Process late(network_);  // knows nothing of before
  network_.replicate();
  ASSERT_TRUE(process_.invalidate("user:2"));
  const core::Epoch epoch = late.home().position().epoch;
  network_.crash(true);
  const auto is_back = [&] { return network_.wires[1]->server() == network_.primary.get(); };
  world_.wait(is_back, INT64_MAX);
  ASSERT_TRUE(late.home().is_fresh()) << "by the lease of before";
  EXPECT_FALSE(late.holds(epoch - 2, "user:3"));
  world_.sleep(kSimLeaseNs);
  EXPECT_EQ(late.counters().generation_changes, 1U);
}

// Against a table that forgets nothing.
TEST(AppliedIndex, KnowsAllThatIsAboveItsFloor) {
  std::mt19937_64 random(test_seed());
  SCOPED_TRACE(seed_note(test_seed()));
  redis::AppliedIndex index;
  index.begin(5);
  std::map<std::string, core::Epoch> all;
  core::Epoch clock = 5;
  for (std::size_t step = 0; step < 3 * redis::AppliedIndex::kMaxRecords; ++step) {
    const std::string text = std::to_string(random() % 100'000);
    const core::Epoch epoch = ++clock - random() % 3;  // they overtake each other
    index.note(text, epoch);
    all[text] = std::max(all[text], epoch);
    if (step % 1000 == 0) {
      for (int look = 0; look < 1000; ++look) {
        const std::string one = std::to_string(random() % 100'000);
        const auto found = all.find(one);
        const core::Epoch newest = found == all.end() ? 0 : found->second;
        if (newest > index.floor()) {
          ASSERT_EQ(index.newest(one), newest);
        } else {
          ASSERT_LE(index.newest(one), index.floor());
        }
      }
    }
  }
  EXPECT_GT(index.floor(), 5U);
  EXPECT_LT(index.floor(), clock);
}

}  // namespace
}  // namespace zoocache::testing
