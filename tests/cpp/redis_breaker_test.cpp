// The circuit breaker and the waits between tries, driven by hand.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "redis/backoff.h"
#include "redis/breaker.h"
#include "seed.h"

namespace zoocache::redis {
namespace {

constexpr std::int64_t kMs = 1'000'000;

BreakerOptions options() { return {100 * kMs, 1000 * kMs, 300 * kMs}; }

TEST(RedisBreaker, OpensAtAFailureAndLetsOneProbeThrough) {
  Breaker breaker(options());
  const auto pass = breaker.enter(0);
  EXPECT_TRUE(pass.is_allowed);
  breaker.report(pass, false, 10 * kMs);
  EXPECT_TRUE(breaker.is_open());
  EXPECT_FALSE(breaker.enter(10 * kMs).is_allowed);
  EXPECT_FALSE(breaker.enter(109 * kMs).is_allowed);
  const auto probe = breaker.enter(110 * kMs);
  EXPECT_TRUE(probe.is_allowed);
  EXPECT_FALSE(breaker.enter(110 * kMs).is_allowed) << "one probe at a time";
  breaker.report(probe, true, 120 * kMs);
  EXPECT_FALSE(breaker.is_open());
  EXPECT_TRUE(breaker.enter(120 * kMs).is_allowed);
  EXPECT_EQ(breaker.openings(), 1U);
}

TEST(RedisBreaker, ThePauseGrowsToItsBoundAndIsResetByASuccess) {
  Breaker breaker(options());
  std::int64_t now = 0;
  breaker.report(breaker.enter(now), false, now);
  for (const std::int64_t pause_ms : {100, 200, 400, 800, 1000, 1000}) {
    EXPECT_FALSE(breaker.enter(now + pause_ms * kMs - 1).is_allowed) << pause_ms;
    now += pause_ms * kMs;
    const auto probe = breaker.enter(now);
    ASSERT_TRUE(probe.is_allowed) << pause_ms;
    breaker.report(probe, false, now);
  }
  now += 1000 * kMs;
  breaker.report(breaker.enter(now), true, now);
  breaker.report(breaker.enter(now), false, now);
  EXPECT_TRUE(breaker.enter(now + 100 * kMs).is_allowed);
}

TEST(RedisBreaker, WhatWasSentBeforeItOpenedAndFailsLateChangesNothing) {
  Breaker breaker(options());
  const auto first = breaker.enter(0);
  const auto second = breaker.enter(0);
  const auto third = breaker.enter(0);
  breaker.report(first, false, 0);
  breaker.report(second, true, 50 * kMs);
  EXPECT_TRUE(breaker.is_open()) << "only a probe closes it";
  breaker.report(second, false, 50 * kMs);
  const auto probe = breaker.enter(100 * kMs);
  EXPECT_TRUE(probe.is_allowed) << "the pause did not grow";
  breaker.report(probe, true, 110 * kMs);
  breaker.report(third, false, 120 * kMs);
  EXPECT_FALSE(breaker.is_open());
}

TEST(RedisBreaker, AProbeThatNeverReportsIsGivenUp) {
  Breaker breaker(options());
  breaker.report(breaker.enter(0), false, 0);
  const auto lost = breaker.enter(100 * kMs);
  EXPECT_TRUE(lost.is_allowed);
  EXPECT_FALSE(breaker.enter(399 * kMs).is_allowed);
  const auto next = breaker.enter(400 * kMs);
  EXPECT_TRUE(next.is_allowed);
  breaker.report(lost, true, 410 * kMs);
  EXPECT_TRUE(breaker.is_open()) << "it was given up";
  breaker.report(next, true, 420 * kMs);
  EXPECT_FALSE(breaker.is_open());
}

TEST(RedisBreaker, ANewConnectionIsTriedAtOnce) {
  Breaker breaker(options());
  breaker.report(breaker.enter(0), false, 0);
  breaker.renewed(5 * kMs);
  EXPECT_TRUE(breaker.enter(5 * kMs).is_allowed);
  EXPECT_FALSE(breaker.enter(5 * kMs).is_allowed);
}

// Whatever happens: while it is open, at most one caller is under way for each pause.
TEST(RedisBreaker, ClosesForWhoeverFoundThatItAnswers) {
  Breaker breaker(options());
  const auto late = breaker.enter(0);
  breaker.report(breaker.enter(0), false, 0);
  breaker.close();
  EXPECT_FALSE(breaker.is_open());
  EXPECT_TRUE(breaker.enter(1).is_allowed);
  breaker.report(late, false, 2 * kMs);
  EXPECT_FALSE(breaker.is_open()) << "of a round that is over";
  breaker.report(breaker.enter(3), false, 3 * kMs);
  EXPECT_TRUE(breaker.enter(103 * kMs).is_allowed) << "the pause is the first one";
}

TEST(RedisBreaker, NeverTwoProbesWithinOnePause) {
  const std::uint64_t seed = testing::test_seed();
  SCOPED_TRACE(testing::seed_note(seed));
  std::mt19937_64 random(seed);
  Breaker breaker(options());
  std::vector<Breaker::Pass> under_way;
  std::int64_t now = 0;
  std::int64_t last_probe = -1000 * kMs;
  for (int step = 0; step < 100'000; ++step) {
    now += static_cast<std::int64_t>(random() % 40) * kMs;
    const bool was_open = breaker.is_open();
    const auto pass = breaker.enter(now);
    if (!was_open) {
      EXPECT_TRUE(pass.is_allowed);
    }
    if (was_open && pass.is_allowed) {
      EXPECT_GE(now - last_probe, 100 * kMs);
      last_probe = now;
    }
    if (pass.is_allowed) under_way.push_back(pass);
    if (!under_way.empty() && random() % 3 != 0) {
      const std::size_t which = random() % under_way.size();
      breaker.report(under_way[which], random() % 4 == 0, now);
      under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
}

TEST(RedisBackoff, DoublesToItsBound) {
  Backoff backoff(20, 100);
  for (const std::int64_t wait : {20, 40, 80, 100, 100}) EXPECT_EQ(backoff.next_ns(), wait);
  backoff.reset();
  EXPECT_EQ(backoff.next_ns(0.0), 20);
  EXPECT_EQ(backoff.next_ns(1.0), 30) << "shortened by a quarter";
}

}  // namespace
}  // namespace zoocache::redis
