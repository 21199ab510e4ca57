// Writers that die between their COMMIT and the end of their block, on a real server: connections
// that fall silent, and what the server, the others and they themselves make of it.
#include <string>
#include <utility>
#include <vector>

#include "after_fork.h"
#include "processes.h"
#include "redis_log_support.h"

namespace zoocache::testing {
namespace {

struct Shared {
  std::atomic<int> row;    // the database's
  std::atomic<int> steps;  // how far the writer is
};

class RedisLogIntent : public RedisLogTest {
 protected:
  void start_with(double lease_s, double max_commit_time_s,
                  OnUnreachable on_unreachable = OnUnreachable::kRaise) {
    server_ = std::make_unique<RedisServer>();
    options_ = with_lease(lease_s);
    options_.max_commit_time_s = max_commit_time_s;
    options_.on_unreachable = on_unreachable;
    home_ = redis_home(server_->url(), options_);
  }
  // Has begun a block and commits; then it is as a test wants it.
  pid_t start_writer(Children& children, const SharedMemory<Shared>& shared) {
    const pid_t pid = children.start([&] {
      Cache cache(Options{.home = redis_home(server_->url(), options_)});
      const auto block = cache.invalidating({"user:1", "other"});
      shared->row.fetch_add(1);
      shared->steps.fetch_add(1);
      for (;;) pause_for(10ms);
      return 0;
    });
    return pid;
  }
  std::size_t standing() const {
    const std::string count = server_->command({"ZCOUNT", kLogKey, "-inf", "(-9007199254740992"});
    return std::stoul(count.substr(1));
  }

  RedisOptions options_;
};

TEST_F(RedisLogIntent, WhatAKilledWriterCommittedIsSeenAndNeverAnOlderValueAgain) {
  NEEDS_THREADS_AFTER_FORK();
  start_with(0.5, 60);
  Children children;
  const SharedMemory<Shared> shared;
  Sharer first(home_);
  Sharer second(home_);
  const auto read = [&shared](Sharer& one) {
    return one.cache.cacheable(
        "row", [&shared](int) { return shared->row.load(); }, deps("user:{0}"));
  };
  const auto one = read(first);
  const auto two = read(second);
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(eventually([&] { return first.status().reachable && *one(1) == round - 1; }));
    ASSERT_EQ(*two(1), round - 1);
    const pid_t writer = start_writer(children, shared);
    ASSERT_TRUE(eventually([&] { return shared->steps.load() == round; }));
    children.end(writer, SIGKILL);
    ASSERT_TRUE(eventually([&] { return *one(1) == round; }));
    ASSERT_TRUE(eventually([&] { return *two(1) == round; }));
    EXPECT_EQ(*one(1), round);
  }
  EXPECT_EQ(first.status().fired_intents + second.status().fired_intents, 3U)
      << "of two who notice one carries it out, once for each death";
  EXPECT_TRUE(has_member("other"));
}

TEST_F(RedisLogIntent, AStoppedWriterThatGoesOnIsNoticedAgainWhenItDies) {
  NEEDS_THREADS_AFTER_FORK();
  start_with(0.3, 60);
  Children children;
  const SharedMemory<Shared> shared;
  const auto reader = sharer();
  const pid_t writer = start_writer(children, shared);
  ASSERT_TRUE(eventually([&] { return shared->steps.load() == 1; }));
  (*reader)(1);
  kill(writer, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_EQ(reader->status().fired_intents, 1U);
  const auto beat = [&] { return server_->command({"ZRANGE", kLogKey, "0", "-1", "WITHSCORES"}); };
  const std::string before = beat();
  kill(writer, SIGCONT);
  ASSERT_TRUE(eventually([&] { return beat() != before; }));
  EXPECT_EQ(standing(), 1U) << "it may be alive";
  (*reader)(1);
  children.end(writer, SIGKILL);
  ASSERT_TRUE(eventually([&] { return reader->status().fired_intents == 2; }));
  ASSERT_TRUE(eventually([&] { return !reader->hits(1) || reader->loads >= 3; }));
}

TEST_F(RedisLogIntent, ADeadOnesIntentFiresAgainAfterTheLongestTimeOfACommitAndGoes) {
  NEEDS_THREADS_AFTER_FORK();
  start_with(0.3, 0.9);
  Children children;
  const SharedMemory<Shared> shared;
  const auto reader = sharer();
  const pid_t writer = start_writer(children, shared);
  ASSERT_TRUE(eventually([&] { return shared->steps.load() == 1; }));
  children.end(writer, SIGKILL);
  ASSERT_TRUE(eventually([&] { return reader->status().fired_intents >= 1; }));
  EXPECT_EQ(standing(), 1U);
  ASSERT_TRUE(eventually([&] { return standing() == 0; }));
  EXPECT_GE(reader->status().fired_intents, 2U);
  ASSERT_TRUE(eventually([&] { return reader->status().intents == 0; }));
}

TEST_F(RedisLogIntent, ABlockThatIsOpenForTooLongFiresMeanwhileAndGoesAtItsEnd) {
  start_with(0.3, 0.2);
  const auto reader = sharer();
  const auto writer = sharer();
  {
    const auto block = writer->cache.invalidating({"user:1"});
    const auto fired = [&] {
      return reader->status().fired_intents + writer->status().fired_intents;
    };
    ASSERT_TRUE(eventually([&] { return fired() >= 2; })) << "again and again";
    EXPECT_EQ(standing(), 1U);
  }
  EXPECT_EQ(standing(), 0U);
}

TEST_F(RedisLogIntent, TheEndIsOneInvalidationAndACancelledOneNone) {
  start_with(60, 60);
  const auto reader = sharer();
  const auto writer = sharer();
  {
    const auto block = writer->cache.invalidating({"user:1", "user:9"});
    EXPECT_EQ(standing(), 1U);
    EXPECT_TRUE(reader->hits(1));
  }
  EXPECT_EQ(standing(), 0U);
  ASSERT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_EQ(writer->cache.tag_version("user:1"), writer->cache.tag_version("user:9"));
  auto block = writer->cache.invalidating({"user:2"});
  block.cancel();
  EXPECT_EQ(standing(), 0U);
  EXPECT_FALSE(has_member("user:2"));
}

TEST_F(RedisLogIntent, AnEmptiedServerHearsOfOpenBlocksAgain) {
  start_with(0.3, 60);
  const auto writer = sharer();
  const auto block = writer->cache.invalidating({"user:1"});
  ASSERT_EQ(standing(), 1U);
  server_->command({"FLUSHALL"});
  ASSERT_TRUE(eventually([&] { return standing() == 1; }));
}

TEST_F(RedisLogIntent, WhatCannotBeDeclaredIsNotBegun) {
  start_with(6, 60);
  const auto writer = sharer();
  server_->stop();
  EXPECT_THROW(static_cast<void>(writer->cache.invalidating({"user:1"})), HomeUnreachable);
  server_->go_on();
  ASSERT_TRUE(eventually([&] { return writer->hits(1); })) << "nothing is held";
  ASSERT_TRUE(eventually([&] { return writer->status().reachable && standing() == 0; }))
      << "what arrived all the same has been taken away";
}

TEST_F(RedisLogIntent, AJournalDeclaresItLater) {
  start_with(0.3, 60, OnUnreachable::kJournal);
  const auto writer = sharer();
  server_->kill_hard();
  const auto block = writer->cache.invalidating({"user:1"});
  server_->start();
  ASSERT_TRUE(eventually([&] { return standing() == 1; }));
}

TEST_F(RedisLogIntent, AnEndThatIsNotAcknowledgedIsKeptAndTheIntentGoes) {
  start_with(0.5, 60);
  const auto reader = sharer();
  const auto writer = sharer();
  {
    const auto block = writer->cache.invalidating({"user:1"});
    server_->stop();
  }
  server_->go_on();
  ASSERT_TRUE(eventually([&] { return !reader->hits(1); }));
  ASSERT_TRUE(eventually([&] { return has_member("user:1") && standing() == 0; }));
}

}  // namespace
}  // namespace zoocache::testing
