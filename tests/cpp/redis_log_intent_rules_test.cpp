// Intents without a server: what a process makes of what it sees, and what comes of it in virtual
// time, over the simulation's network.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/home.h"
#include "redis/intents.h"
#include "redis_sim_process.h"
#include "zoocache/errors.h"

namespace zoocache::testing {
namespace {

using redis::IntentList;
using redis::Intents;

constexpr std::int64_t kCommitNs = 60'000 * kSimMs;  // the longest time of one, as the default says
constexpr Faults kNone{.lost_push = 0, .doubled_push = 0, .slow_push = 0};

// What a process makes of what it sees, in the lease's own time.
class IntentRules : public ::testing::Test {
 protected:
  Intents::Work look(std::uint64_t state, std::uint64_t beat, std::int64_t now_ns) {
    return intents_.look(IntentList{1, {{other_, state, beat}}}, self_.node, now_ns);
  }
  const redis::Place self_{"rules", 0};
  const redis::Place owner_{"rules", 0};
  const std::vector<std::string> texts_{"user:1"};
  const std::string other_{redis::intent_name(intent_member(owner_, 7, texts_))};
  Intents intents_{10, 100};
};

TEST_F(IntentRules, AnOwnerIsDeadOnceItsBeatStoodStillForALease) {
  EXPECT_TRUE(look(0, 5, 1000).fire.empty());
  EXPECT_TRUE(look(0, 5, 1009).fire.empty());
  EXPECT_TRUE(look(0, 6, 1011).fire.empty()) << "it was heard of";
  EXPECT_TRUE(look(0, 6, 1020).fire.empty());
  const Intents::Work work = look(0, 6, 1021);
  ASSERT_EQ(work.fire.size(), 1U);
  EXPECT_EQ(work.fire[0].state, 0U);
  ASSERT_TRUE(work.fire[0].next);
  const std::uint64_t fired = *work.fire[0].next;
  EXPECT_TRUE(look(fired, 6, 1031).fire.empty()) << "once for one silence";
  EXPECT_TRUE(look(fired, 6, 1130).fire.empty());
  const Intents::Work last = look(fired, 6, 1131);
  ASSERT_EQ(last.fire.size(), 1U);
  EXPECT_FALSE(last.fire[0].next) << "and it is gone";
}

TEST_F(IntentRules, OneThatWasHeardOfAgainIsDeadAnew) {
  look(0, 6, 1000);
  const std::uint64_t fired = *look(0, 6, 1010).fire.at(0).next;
  EXPECT_TRUE(look(fired, 7, 1020).fire.empty());
  const Intents::Work work = look(fired, 7, 1030);
  ASSERT_EQ(work.fire.size(), 1U);
  EXPECT_NE(work.fire[0].next, fired);
}

TEST_F(IntentRules, OneThatIsNotRegisteredIsDeadAtOnce) {
  EXPECT_EQ(look(0, 0, 1000).fire.size(), 1U);
}

// Its last beat is the one at which it was too old: the death still counts.
TEST_F(IntentRules, TooOldIsNotDead) {
  std::uint64_t beat = 1;
  for (std::int64_t now_ns = 1000; now_ns < 1100; now_ns += 5) {
    EXPECT_TRUE(look(0, ++beat, now_ns).fire.empty());
  }
  const Intents::Work old = look(0, beat, 1100);
  ASSERT_EQ(old.fire.size(), 1U);
  const std::uint64_t fired = old.fire[0].next.value();
  EXPECT_TRUE(look(fired, beat, 1101).fire.empty()) << "its time begins anew";
  const Intents::Work dead = look(fired, beat, 1111);
  ASSERT_EQ(dead.fire.size(), 1U);
  EXPECT_TRUE(dead.fire[0].next);
}

TEST_F(IntentRules, OwnOnesAreDeclaredAgainOrTakenAway) {
  const std::string mine = intent_member(self_, 1, texts_);
  const std::string left = intent_member(self_, 2, texts_);
  intents_.begin(1, mine);
  Intents::Work work = intents_.look(IntentList{1, {{std::string(redis::intent_name(left)), 3, 0}}},
                                     self_.node, 1000);
  EXPECT_EQ(work.declare, std::vector<std::string>{mine});
  ASSERT_EQ(work.fire.size(), 1U);
  EXPECT_EQ(work.fire[0].name, redis::intent_name(left));
  EXPECT_FALSE(work.fire[0].next);
  work = intents_.look(IntentList{1, {{std::string(redis::intent_name(mine)), 0, 0}}}, self_.node,
                       1050);
  EXPECT_TRUE(work.fire.empty() && work.declare.empty());
  EXPECT_EQ(intents_.begin_end(1), mine);
  work = intents_.look(IntentList{1, {}}, self_.node, 1060);
  EXPECT_TRUE(work.declare.empty()) << "it ends just now";
  intents_.forget(1);
  EXPECT_FALSE(intents_.begin_end(1));
}

TEST_F(IntentRules, RepliesThatDoNotFitAreNone) {
  const auto parse = [](std::vector<redis::Reply> items) {
    return redis::parse_intents({redis::Type::kArray, "", std::move(items)}).has_value();
  };
  const auto number = [](const char* text) {
    return redis::Reply{redis::Type::kInteger, text, {}};
  };
  const redis::Reply member{redis::Type::kString, other_, {}};
  EXPECT_TRUE(parse({number("1")}));
  EXPECT_TRUE(parse({number("1"), member, number("0"), number("3")}));
  EXPECT_FALSE(parse({}));
  EXPECT_FALSE(parse({number("-1")}));
  EXPECT_FALSE(parse({number("1"), member}));
  EXPECT_FALSE(parse({number("1"), member, number("-1"), number("3")}));
  EXPECT_FALSE(parse({number("1"), number("7"), number("1"), number("3")}));
  EXPECT_FALSE(redis::parse_intents(redis::Reply()));
}

// A process with one function that reads a row.
struct Process : SimProcess {
  Process(Network& network, int& row) : SimProcess(network) {
    get.emplace(cache.cacheable(
        "get",
        [this, &row](int) {
          ++loads;
          return row;
        },
        deps("user:{0}")));
    world.sleep(kSimLeaseNs);
    (*this)();
  }
  int operator()() { return *(*get)(1); }
  void freeze(std::int64_t span_ns) { thaws_ns = world.now_ns() + span_ns; }
  std::uint64_t fired() { return home().status().fired_intents; }

  int loads = 0;
  std::optional<CachedFunction<int, int>> get;
};

class RedisLogIntents : public ::testing::Test {
 protected:
  std::size_t standing() const { return network_.primary->model->set.intents.size(); }

  int row_ = 0;
  World world_{1};
  Network network_{world_, kNone};
};

TEST_F(RedisLogIntents, TheDeathOfAWriterIsNoticedWithinALeaseAndAHalf) {
  Process writer(network_, row_);
  Process one(network_, row_);
  Process two(network_, row_);
  EXPECT_EQ(one() + two(), 0);
  const auto block = writer.cache.invalidating({"user:1"});
  EXPECT_EQ(standing(), 1U);
  row_ = 1;
  writer.freeze(1000 * kSimLeaseNs);
  const std::int64_t died_ns = world_.now_ns();
  while (one() == 0 || two() == 0) {
    ASSERT_LT(world_.now_ns() - died_ns, 2 * kSimLeaseNs);
    world_.sleep(7 * kSimMs);
  }
  EXPECT_GT(world_.now_ns() - died_ns, kSimLeaseNs / 2) << "nobody is taken for dead at once";
  world_.sleep(10 * kSimLeaseNs);
  EXPECT_EQ(one.fired() + two.fired(), 1U);
  const int loads = one.loads;
  EXPECT_EQ(one(), 1);
  EXPECT_EQ(one.loads, loads);
  writer.thaws_ns = 0;
}

TEST_F(RedisLogIntents, ACommitThatWasOnItsWayIsSeenAndThenTheIntentGoes) {
  Process writer(network_, row_);
  Process one(network_, row_);
  const auto block = writer.cache.invalidating({"user:1"});
  writer.freeze(1000 * kSimLeaseNs);
  world_.sleep(5 * kSimLeaseNs);
  EXPECT_EQ(one.fired(), 1U);
  EXPECT_EQ(one(), 0);
  row_ = 1;
  world_.sleep(kCommitNs - 10 * kSimLeaseNs);
  EXPECT_EQ(standing(), 1U);
  EXPECT_LE(one.fired(), 2U) << "the log forgets a silent process, which is as a death";
  world_.sleep(30 * kSimLeaseNs);
  EXPECT_EQ(one(), 1);
  EXPECT_LE(one.fired(), 3U);
  EXPECT_EQ(standing(), 0U);
  writer.thaws_ns = 0;
}

TEST_F(RedisLogIntents, AWriterThatStoodStillGoesOn) {
  Process writer(network_, row_);
  Process one(network_, row_);
  {
    const auto block = writer.cache.invalidating({"user:1"});
    writer.freeze(4 * kSimLeaseNs);
    world_.sleep(5 * kSimLeaseNs);
    EXPECT_EQ(one.fired(), 1U);
    EXPECT_EQ(standing(), 1U) << "it may yet commit";
    world_.sleep(kCommitNs - 10 * kSimLeaseNs);
    EXPECT_EQ(one.fired(), 1U) << "it is heard of";
    one();
    row_ = 1;
  }
  EXPECT_EQ(standing(), 0U);
  world_.sleep(kSimLeaseNs);
  EXPECT_EQ(one(), 1);
}

TEST_F(RedisLogIntents, ABlockThatIsOpenForTooLongFiresAgainAndAgain) {
  Process writer(network_, row_);
  Process one(network_, row_);
  const auto block = writer.cache.invalidating({"user:1"});
  for (std::uint64_t times = 1; times <= 3; ++times) {
    world_.sleep(kCommitNs + kSimLeaseNs);
    EXPECT_EQ(one.fired() + writer.fired(), times);
    EXPECT_EQ(standing(), 1U);
  }
}

TEST_F(RedisLogIntents, AServerThatLostEverythingHearsOfItAgain) {
  Process writer(network_, row_);
  Process one(network_, row_);
  const auto block = writer.cache.invalidating({"user:1"});
  network_.crash(false);
  EXPECT_EQ(standing(), 0U);
  world_.sleep(3 * kSimLeaseNs);
  EXPECT_EQ(standing(), 1U);
  EXPECT_EQ(one(), 0);
  row_ = 1;
  writer.freeze(1000 * kSimLeaseNs);
  world_.sleep(2 * kSimLeaseNs);
  EXPECT_EQ(one(), 1);
  writer.thaws_ns = 0;
}

TEST_F(RedisLogIntents, WhatArrivedAndWasNotAnsweredIsTakenAway) {
  Process writer(network_, row_);
  Process one(network_, row_);
  { const auto first = writer.cache.invalidating({"user:2"}); }  // the server knows the script
  network_.primary->stalled_until_ns = world_.now_ns() + kSimLeaseNs / 2;
  EXPECT_THROW(static_cast<void>(writer.cache.invalidating({"user:1"})), HomeUnreachable);
  bool arrived = false;
  for (int step = 0; step < 1000 && !arrived; ++step) {
    world_.sleep(kSimMs);
    arrived = standing() == 1;
  }
  EXPECT_TRUE(arrived);
  world_.sleep(2 * kSimLeaseNs);
  EXPECT_EQ(standing(), 0U);
}

// Whether or not the server has heard of the end.
TEST_F(RedisLogIntents, AnEndThatIsNotAnsweredIsDeclaredAgainAndTheIntentGoes) {
  Process writer(network_, row_);
  Process one(network_, row_);
  {
    const auto block = writer.cache.invalidating({"user:1"});
    row_ = 1;
    network_.primary->stalled_until_ns = world_.now_ns() + kSimLeaseNs / 2;
  }
  world_.sleep(3 * kSimLeaseNs);
  EXPECT_EQ(standing(), 0U);
  EXPECT_EQ(one(), 1);
}

}  // namespace
}  // namespace zoocache::testing
