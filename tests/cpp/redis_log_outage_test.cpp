// What happens to caches when the server they share is killed, stopped, emptied or replaced, or the
// connections to it are.
#include <array>
#include <mutex>
#include <random>

#include "redis/scripts.h"
#include "redis_log_support.h"

namespace zoocache::testing {
namespace {

using RedisLogOutage = RedisLogTest;

TEST_F(RedisLogOutage, AnEmptiedServerEmptiesTheCachesAndHearsTheJournals) {
  start(0.5);
  const auto reader = sharer();
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:7"));
  const std::uint64_t before = reader->status().generation;
  const int loads = reader->loads;
  server_->command({"FLUSHALL"});
  EXPECT_TRUE(eventually([&] { return reader->status().generation != before; }));
  EXPECT_TRUE(eventually([&] { return has_member("user:7"); })) << "declared again";
  EXPECT_FALSE(reader->hits(1));
  EXPECT_GT(reader->loads, loads);
  ASSERT_TRUE(writer->invalidate("user:1"));
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
}

TEST_F(RedisLogOutage, ARestartWithoutItsDataIsAnotherGeneration) {
  start(0.5);
  const auto reader = sharer();
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:7"));
  const std::uint64_t before = reader->status().generation;
  server_->kill_hard();
  server_->start();
  EXPECT_TRUE(eventually(
      [&] { return reader->status().reachable && reader->status().generation != before; }));
  EXPECT_TRUE(eventually([&] { return has_member("user:7"); })) << "declared again";
  ASSERT_TRUE(eventually([&] { return writer->invalidate("user:1"); })) << writer->last_error;
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
}

// The clock stands where it stood, the nonce too, and epochs were lost in between: only the life of
// the server tells.
TEST_F(RedisLogOutage, ARestartThatRollsBackIsAnotherGeneration) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:5"));
  server_->command({"SAVE"});
  const std::uint64_t before = reader->status().generation;
  ASSERT_TRUE(writer->invalidate("user:7"));
  ASSERT_TRUE(eventually([&] { return reader->status().applied == writer->status().applied; }));
  server_->kill_hard();
  server_->start();
  ASSERT_TRUE(has_member("user:5"));
  EXPECT_TRUE(eventually(
      [&] { return reader->status().reachable && reader->status().generation != before; }));
  EXPECT_TRUE(eventually([&] { return has_member("user:7"); })) << "it was acknowledged, and lost";
  EXPECT_TRUE(eventually([&] { return reader->hits(1); }));
  ASSERT_TRUE(eventually([&] { return writer->invalidate("user:1"); })) << writer->last_error;
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
}

TEST_F(RedisLogOutage, WhatWasNotAcknowledgedIsKeptAndTriedAgain) {
  start(0.5);
  const auto reader = sharer();
  const auto writer = sharer();
  server_->stop();
  EXPECT_FALSE(writer->invalidate("user:1"));
  EXPECT_NE(writer->last_error.find("kept to be tried again"), std::string::npos)
      << writer->last_error;
  EXPECT_FALSE(writer->invalidate("user:8"));
  EXPECT_FALSE(writer->hits(1)) << "in its own process it is done";
  server_->go_on();
  EXPECT_TRUE(eventually([&] { return has_member("user:1") && has_member("user:8"); }));
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
}

// A tag that is declared and not acknowledged: what depends on it is not kept, and nothing else is
// concerned.
TEST_F(RedisLogOutage, WhatIsNotAcknowledgedIsNotStored) {
  start(6);
  const auto writer = sharer();
  server_->stop();
  EXPECT_FALSE(writer->invalidate("user:1"));
  for (int index = 0; index < 3; ++index) EXPECT_FALSE(writer->hits(1));
  EXPECT_TRUE(eventually([&] { return writer->hits(2); }));
  EXPECT_FALSE(writer->invalidate("user"));
  (*writer)(2);
  EXPECT_FALSE(writer->hits(2)) << "what is below a tag as well";
  server_->go_on();
  EXPECT_TRUE(eventually([&] { return writer->hits(1) && writer->hits(2); }, 30s));
}

TEST_F(RedisLogOutage, EverythingCanBeHeld) {
  start(6);
  const auto writer = sharer();
  server_->stop();
  EXPECT_THROW(writer->cache.clear(), HomeUnreachable);
  for (int index = 0; index < 3; ++index) EXPECT_FALSE(writer->hits(1));
  int loads = 0;
  const auto plain = writer->cache.cacheable("plain", [&loads] { return ++loads; });
  plain();
  EXPECT_EQ(*plain(), 2) << "without a dependency";
  server_->go_on();
  EXPECT_TRUE(eventually([&] { return writer->hits(1); }, 30s));
  plain();
  EXPECT_TRUE(eventually([&] {
    const int before = loads;
    plain();
    return loads == before;
  }));
}

TEST_F(RedisLogOutage, AJournalInPlaceOfAnException) {
  server_ = std::make_unique<RedisServer>();
  RedisOptions options = with_lease(0.5);
  options.on_unreachable = OnUnreachable::kJournal;
  home_ = redis_home(server_->url(), options);
  const auto reader = sharer();
  const auto writer = sharer();
  EXPECT_GT(writer->cache.invalidate("user:3"), 0U);
  server_->stop();
  EXPECT_EQ(writer->cache.invalidate("user:1"), 0U);
  server_->go_on();
  EXPECT_TRUE(eventually([&] { return has_member("user:1"); }));
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
}

// Without the server what is cached is served for a lease at a time, and later not at all.
TEST_F(RedisLogOutage, TrustEndsWithTheLease) {
  start(0.5);
  const auto reader = sharer();
  const int loads = reader->loads;
  server_->kill_hard();
  EXPECT_TRUE(eventually([&] {
    (*reader)(1);
    return reader->loads > loads;
  })) << "nothing is served that is older than the lease";
  EXPECT_FALSE(reader->status().reachable);
  EXPECT_NE(reader->status().trouble, "");
  EXPECT_TRUE(eventually([&] { return reader->hits(1); })) << "but for the time of a lease";
  EXPECT_TRUE(eventually([&] {
    for (int index = 0; index < 200; ++index) {
      if (reader->hits(1)) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  })) << "after eight leases nothing is";
  server_->start();
  EXPECT_TRUE(eventually([&] { return reader->hits(1) && reader->status().reachable; }));
}

TEST_F(RedisLogOutage, AServerThatIsNotThereIsNoError) {
  RedisServer server;
  server.kill_hard();
  RedisOptions options = with_lease(0.5);
  Sharer one(redis_home(server.url(), options));
  for (int index = 0; index < 3; ++index) EXPECT_FALSE(one.hits(1)) << "never registered";
  EXPECT_FALSE(one.invalidate("user:1"));
  EXPECT_THROW(one.cache.tag_version("user:1"), HomeUnreachable);
  server.start();
  EXPECT_TRUE(eventually([&] { return one.hits(1) && one.status().reachable; }));
  EXPECT_NE(server.command({"ZSCORE", kLogKey, "user:1"}).substr(0, 3), "$-1");
}

// A replica refuses to be written to. When it is the primary again its history may be another one,
// though nobody was disconnected: here it is by no epoch.
TEST_F(RedisLogOutage, APrimaryThatWasAReplicaIsAnotherGeneration) {
  start(0.5);
  const auto reader = sharer();
  const auto writer = sharer();
  const std::uint64_t before = reader->status().generation;
  server_->command({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_FALSE(writer->invalidate("user:1"));
  EXPECT_NE(writer->last_error.find("READONLY"), std::string::npos) << writer->last_error;
  EXPECT_TRUE(eventually([&] { return !reader->status().reachable; }));
  server_->command({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(eventually(
      [&] { return reader->status().reachable && reader->status().generation != before; }));
  EXPECT_TRUE(eventually([&] { return has_member("user:1"); }));
}

TEST_F(RedisLogOutage, ALogThatNeedsANewerLibraryIsNotServedFrom) {
  start(0.5);
  const auto reader = sharer();
  const auto writer = sharer();
  const auto set_needs = [&](std::uint64_t version) {
    server_->command({"ZADD", kLogKey, "-" + std::to_string(version), redis::kNeedsMember});
  };
  const auto is_back = [&] {
    return eventually([&] { return reader->hits(1) && reader->status().trouble.empty(); });
  };
  set_needs(redis::kLogVersion + 1);
  EXPECT_TRUE(eventually([&] { return !reader->status().reachable; }));
  const std::string wanted = "needs version " + std::to_string(redis::kLogVersion + 1);
  EXPECT_NE(reader->status().trouble.find(wanted), std::string::npos) << reader->status().trouble;
  for (int call = 0; call < 10; ++call) EXPECT_FALSE(reader->hits(1));
  const core::Epoch epoch = writer->cache.invalidate("user:1");
  EXPECT_GT(epoch, 0U);
  EXPECT_TRUE(has_member("user:1"));
  EXPECT_EQ(reader->status().counters.breaker_opens, 0U);
  set_needs(redis::kLogVersion);
  EXPECT_TRUE(is_back()) << reader->status().trouble;
  set_needs(redis::kLogVersion + 1);
  EXPECT_TRUE(eventually([&] { return !reader->status().reachable; }));
  server_->command({"FLUSHALL"});
  EXPECT_TRUE(is_back()) << reader->status().trouble;
  const std::uint64_t before = reader->status().generation;
  set_needs(1'000'000);  // no version of ours: somebody else wrote that
  EXPECT_TRUE(eventually([&] { return reader->status().generation != before; }));
  EXPECT_TRUE(is_back()) << reader->status().trouble;
}

// It makes no sense to an older one, which takes it for somebody else's.
TEST_F(RedisLogOutage, ALogOfANewerLibraryIsNotThrownAway) {
  start(0.5);
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:1")) << writer->last_error;
  server_->command({"ZADD", kLogKey, "-9", redis::kNeedsMember});
  server_->command({"ZREM", kLogKey, redis::kFloorMember});
  EXPECT_FALSE(writer->invalidate("user:2"));
  EXPECT_NE(writer->last_error.find("newer library"), std::string::npos) << writer->last_error;
  EXPECT_TRUE(has_member("user:1"));
  server_->command({"ZADD", kLogKey, "-1", redis::kNeedsMember});
  EXPECT_TRUE(eventually([&] { return has_member("user:2"); })) << "it was kept";
}

TEST_F(RedisLogOutage, APrimaryWithoutReplicasThatWantsThemIsNotTrusted) {
  start(0.5);
  const auto reader = sharer();
  server_->command({"CONFIG", "SET", "min-replicas-to-write", "1"});
  EXPECT_TRUE(eventually([&] { return !reader->status().reachable; }));
  EXPECT_NE(reader->status().trouble.find("NOREPLICAS"), std::string::npos)
      << reader->status().trouble;
  server_->command({"CONFIG", "SET", "min-replicas-to-write", "0"});
  EXPECT_TRUE(eventually([&] { return reader->status().reachable; }));
}

// Readers and a writer while `disturb` goes on. What a call returns is never older than what was
// acknowledged a lease before it began, and in the end everything that was declared is known.
void disturbed(const HomePtr& home, double lease_s, const std::function<void(int)>& disturb) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kSources = 8;
  std::array<std::atomic<std::uint64_t>, kSources> versions{};
  struct Acknowledged {
    Clock::time_point at;
    std::uint64_t version;
  };
  std::mutex mutex;
  std::array<std::vector<Acknowledged>, kSources> acknowledged;
  std::atomic<bool> stop{false};
  std::atomic<int> stale{0};
  std::atomic<std::size_t> reads{0};
  const auto lease =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(lease_s));
  Cache reading(Options{.home = home});
  Cache writing(Options{.home = home});
  const auto get = reading.cacheable(
      "get", [&](std::size_t source) { return versions[source].load(); }, deps("s:{0}"));
  std::thread reader([&] {
    std::mt19937_64 random(1);
    while (!stop) {
      const std::size_t source = random() % kSources;
      std::uint64_t least = 0;
      {
        const std::lock_guard lock(mutex);
        const Clock::time_point before = Clock::now() - lease;
        for (const Acknowledged& one : acknowledged[source]) {
          if (one.at < before) least = one.version;
        }
      }
      if (*get(source) < least) ++stale;
      ++reads;
    }
  });
  std::size_t failures = 0;
  std::thread writer([&] {
    std::mt19937_64 random(2);
    while (!stop) {
      const std::size_t source = random() % kSources;
      const std::uint64_t version = ++versions[source];
      try {
        writing.invalidate("s:" + std::to_string(source));
        const std::lock_guard lock(mutex);
        acknowledged[source].push_back({Clock::now(), version});
      } catch (const HomeUnreachable&) {
        ++failures;
      }
      std::this_thread::sleep_for(1ms);
    }
  });
  for (int round = 0; round < 20; ++round) disturb(round);
  stop = true;
  reader.join();
  writer.join();
  EXPECT_EQ(stale, 0);
  EXPECT_GT(reads, 100U);
  for (std::size_t source = 0; source < kSources; ++source) {
    EXPECT_TRUE(eventually([&] { return *get(source) == versions[source]; })) << source;
  }
  std::printf("%zu reads, %zu invalidations not acknowledged\n", reads.load(), failures);
}

TEST_F(RedisLogOutage, ConnectionsThatAreKilledAgainAndAgain) {
  start(0.4);
  disturbed(home_, 0.4, [&](int) {
    server_->command({"CLIENT", "KILL", "SKIPME", "yes"});
    std::this_thread::sleep_for(50ms);
  });
}

TEST_F(RedisLogOutage, AServerThatStopsAndGoesOn) {
  start(0.4);
  disturbed(home_, 0.4, [&](int round) {
    if (round % 7 == 2) {
      server_->stop();
      std::this_thread::sleep_for(1s);
      server_->go_on();
    }
    std::this_thread::sleep_for(50ms);
  });
}

TEST_F(RedisLogOutage, AServerThatLosesAllAgainAndAgain) {
  start(0.4);
  disturbed(home_, 0.4, [&](int round) {
    if (round % 5 == 2) server_->command({"FLUSHALL"});
    if (round % 9 == 4) {
      server_->kill_hard();
      server_->start();
    }
    std::this_thread::sleep_for(100ms);
  });
}

}  // namespace
}  // namespace zoocache::testing
