// What one process may do, to the millisecond, when its server is there, gone or silent: in virtual
// time, over the simulation's network.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include "redis_sim_process.h"

namespace zoocache::testing {
namespace {

constexpr Faults kNone{.lost_push = 0, .doubled_push = 0, .slow_push = 0};

struct Process : CountingProcess {
  using CountingProcess::CountingProcess;
  bool invalidate() { return SimProcess::invalidate("user:2"); }
};

class RedisLogLease : public ::testing::Test {
 protected:
  void kill() {
    network_.primary->is_up = false;
    network_.disconnect_all(network_.primary.get());
  }
  void stall(std::int64_t span_ns) {
    network_.primary->stalled_until_ns = world_.now_ns() + span_ns;
  }

  World world_{1};
  Network network_{world_, kNone};
};

TEST_F(RedisLogLease, TheFirstCallWaitsForTheServerAndIsKept) {
  Process process(network_);
  EXPECT_FALSE(process.hits());
  EXPECT_TRUE(process.hits());
}

TEST_F(RedisLogLease, HeartbeatsKeepTrust) {
  Process process(network_);
  process.hits();
  for (int step = 0; step < 600; ++step) {
    world_.sleep(50 * kSimMs);
    ASSERT_TRUE(process.hits()) << step;
  }
}

TEST_F(RedisLogLease, AFrozenProcessRenewsItsTrustAtTheFirstCall) {
  Process process(network_);
  process.hits();
  for (const std::int64_t leases : {2, 7, 30}) {
    process.thaws_ns = world_.now_ns() + leases * kSimLeaseNs;
    world_.sleep(leases * kSimLeaseNs);
    EXPECT_TRUE(process.hits()) << leases;
  }
}

// A message of the generation before comes late, and its epoch is the next one of the new: it
// stands for nothing there, least of all for a message that was lost.
TEST_F(RedisLogLease, AMessageOfAnotherGenerationClosesNoGap) {
  Process process(network_);
  process.hits();
  ModelServer& model = *network_.primary->model;
  const std::uint64_t before = model.set.nonce;
  network_.roll_back();
  world_.sleep(kSimLeaseNs);
  ASSERT_NE(model.set.nonce, before);
  ASSERT_TRUE(process.hits() || process.hits());
  model.set.texts["user:1"] = ++model.set.clock;
  network_.wires[0]->push(
      "{sim}:log:0", std::to_string(before) + " " + std::to_string(model.set.clock) + " other\n");
  world_.sleep(kSimLeaseNs);
  EXPECT_FALSE(process.hits());
}

// Without a server: a hit is never of a value that is older than a lease; eight leases after the
// trust has ended there is none.
TEST_F(RedisLogLease, WithoutTheServer) {
  Process process(network_);
  process.hits();
  world_.sleep(5 * kSimLeaseNs);
  const std::int64_t killed_ns = world_.now_ns();
  kill();
  std::int64_t loaded_ns = 0;
  std::int64_t last_hit_ns = 0;
  std::size_t hits = 0;
  while (world_.now_ns() < killed_ns + 20 * kSimLeaseNs) {
    world_.sleep(7 * kSimMs);
    const std::int64_t now_ns = world_.now_ns();
    if (process.hits()) {
      ++hits;
      last_hit_ns = now_ns;
      EXPECT_LT(now_ns - (loaded_ns != 0 ? loaded_ns : now_ns), kSimLeaseNs);
    } else {
      loaded_ns = world_.now_ns();  // it may have waited for the server before
    }
  }
  EXPECT_GT(hits, 1000U);
  EXPECT_LE(last_hit_ns, killed_ns + 9 * kSimLeaseNs) << "trust ended a lease after the end";
  EXPECT_GT(last_hit_ns, killed_ns + 8 * kSimLeaseNs);
}

// Answers take half a lease, and heartbeats are a third of one apart: the newest answer gives trust
// for half a lease at the most.
TEST_F(RedisLogLease, TrustRunsFromTheMomentThatAHeartbeatWasSent) {
  Process process(network_);
  process.hits();
  const std::int64_t lag_ns = kSimLeaseNs / 2;
  network_.wires[0]->lag(lag_ns, 100 * kSimLeaseNs);
  world_.sleep(10 * kSimLeaseNs);
  process.hits();
  kill();
  const std::int64_t killed_ns = world_.now_ns();
  while (process.hits()) {
    ASSERT_LT(world_.now_ns() - killed_ns, kSimLeaseNs - lag_ns + 50 * kSimMs);
    world_.sleep(5 * kSimMs);
  }
}

TEST_F(RedisLogLease, NeverRegisteredServesNothing) {
  network_.primary->is_up = false;
  Process process(network_);
  for (int step = 0; step < 100; ++step) {
    EXPECT_FALSE(process.hits());
    world_.sleep(30 * kSimMs);
  }
}

// While it is silent few callers wait, and none longer than the time-out.
TEST_F(RedisLogLease, ASilentServerCostsLittle) {
  Process process(network_);
  process.hits();
  world_.sleep(kSimLeaseNs);
  stall(60'000 * kSimMs);
  const std::int64_t until_ns = world_.now_ns() + 59'000 * kSimMs;
  std::size_t waited = 0;
  std::int64_t longest_ns = 0;
  while (world_.now_ns() < until_ns) {
    const std::int64_t began_ns = world_.now_ns();
    process.hits();
    EXPECT_FALSE(began_ns % 3 == 0 && process.invalidate());
    const std::int64_t took_ns = world_.now_ns() - began_ns;
    waited += took_ns > 0 ? 1U : 0U;
    longest_ns = std::max(longest_ns, took_ns);
    world_.sleep(10 * kSimMs + 1);
  }
  EXPECT_LE(longest_ns, 250 * kSimMs);
  EXPECT_LE(waited, 25U) << "the breaker's pause grows to five seconds";
  EXPECT_GE(waited, 5U);
  world_.sleep(3000 * kSimMs);
  EXPECT_TRUE(process.invalidate()) << "a heartbeat found that it answers";
}

}  // namespace
}  // namespace zoocache::testing
