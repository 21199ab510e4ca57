// The log of a Redis home on a server that does what it should, or is changed by others: messages,
// catching up, what is forgotten, who is registered, which servers are refused.
#include "redis_log_support.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace zoocache::testing {
namespace {

TEST_F(RedisLogTest, WhatIsDeclaredIsPushed) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:1"));
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_TRUE(reader->hits(2));
  EXPECT_TRUE(reader->hits(1));
}

// It takes effect before it is sent, and again when it is acknowledged.
TEST_F(RedisLogTest, AnOwnInvalidationCountsOnce) {
  start(60);
  const auto writer = sharer();
  const std::uint64_t count = writer->log().invalidations();
  const core::Epoch clock = writer->log().clock();
  ASSERT_TRUE(writer->invalidate("user:1"));
  EXPECT_EQ(writer->log().invalidations(), count + 1);
  EXPECT_EQ(writer->log().clock(), clock + 2);
  EXPECT_FALSE(writer->hits(1));
  ASSERT_FALSE(writer->log().recent().empty());
  EXPECT_EQ(writer->log().recent()[0].epoch, clock + 1);
  EXPECT_EQ(writer->log().recent()[0].died, 1U);
}

TEST_F(RedisLogTest, TheFirstCallOfAProcessWaitsForTheServer) {
  start(60);
  Sharer reader(home_);
  EXPECT_FALSE(reader.hits(1));
  EXPECT_TRUE(reader.hits(1)) << reader.status().trouble;
}

TEST_F(RedisLogTest, AGapBetweenMessagesIsClosedByAsking) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  const auto idle = sharer();
  const core::Epoch before = idle->status().applied;
  declare_silently({"user:1"});
  EXPECT_TRUE(reader->hits(1)) << "the message was lost";
  ASSERT_TRUE(writer->invalidate("other"));
  EXPECT_TRUE(eventually([&] { return idle->status().applied == before + 2; })) << "without a call";
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_TRUE(reader->hits(2)) << "only what was declared";
  EXPECT_TRUE(writer->hits(2));
}

TEST_F(RedisLogTest, AHeartbeatFindsWhatNoMessageTold) {
  start(0.5);
  const auto reader = sharer();
  declare_silently({"user:1"});
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_TRUE(reader->hits(2));
}

// Epochs on both sides of the end of a page, and one that is longer than a page.
TEST_F(RedisLogTest, PagesLoseNothing) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  std::vector<core::TagNode*> nodes;
  std::vector<core::Epoch> before;
  const auto declare = [&](int count) {
    std::vector<std::string> texts;
    for (int index = 0; index < count; ++index) {
      texts.push_back("page:" + std::to_string(nodes.size()));
      nodes.push_back(reader->log().acquire(core::TagPath::trusted(texts.back())));
      before.push_back(nodes.back()->version);
    }
    declare_silently(texts);
  };
  for (const int count : {1, 510, 3, 700, 511, 1, 512, 2}) declare(count);
  ASSERT_TRUE(writer->invalidate("other"));
  std::size_t missing = 0;
  EXPECT_TRUE(eventually([&] {
    missing = 0;
    for (std::size_t index = 0; index < nodes.size(); ++index) {
      missing += nodes[index]->version > before[index] ? 0U : 1U;
    }
    return missing == 0;
  })) << missing
      << " of " << nodes.size();
  EXPECT_TRUE(eventually([&] { return reader->hits(2) && reader->status().reachable; }));
  EXPECT_EQ(reader->status().applied, reader->status().clock);
  reader->log().release(nodes);
}

TEST_F(RedisLogTest, WhoComesBackAfterWhatIsForgottenForgetsEverything) {
  server_ = std::make_unique<RedisServer>();
  RedisOptions options = with_lease(60);
  options.max_log_tags = 16;
  home_ = redis_home(server_->url(), options);
  const auto reader = sharer();
  const auto writer = sharer();
  declare_silently({"user:1"});
  for (int index = 0; index < 40; ++index) {
    ASSERT_TRUE(writer->invalidate("tag:" + std::to_string(index)));
  }
  EXPECT_FALSE(has_member("user:1")) << "the oldest";
  EXPECT_TRUE(has_member("tag:39"));
  // Whatever it managed to read before the row went.
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_TRUE(eventually([&] { return writer->status().reachable; }));
  const core::HomePosition now = writer->home().position();
  const std::vector<std::string> none = {"unheard:of"};
  EXPECT_TRUE(writer->home().holds(now.generation, now.epoch, none));
  const auto late = sharer();  // has heard nothing of before, and asks the server
  EXPECT_FALSE(late->home().holds(now.generation, 1, none)) << "below the floor";
}

// One behind the floor when it asks: the row that it lacks does not exist any more.
TEST_F(RedisLogTest, TheFloorIsLookedAt) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  declare_silently({"user:1"});
  const std::string clock = std::to_string(writer->status().clock + 1);
  server_->command({"ZREM", kLogKey, "user:1"});
  server_->command({"ZADD", kLogKey, "-" + clock, "\002floor"});
  ASSERT_TRUE(writer->invalidate("other"));
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
}

TEST_F(RedisLogTest, ScriptsThatTheServerForgotAreBroughtAgain) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  server_->command({"SCRIPT", "FLUSH"});
  ASSERT_TRUE(writer->invalidate("user:1")) << writer->last_error;
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
}

TEST_F(RedisLogTest, FullMemoryKeepsNobodyFromInvalidating) {
  start(0.5, {.arguments = {"--maxmemory", "3mb", "--maxmemory-policy", "noeviction"}});
  const auto reader = sharer();
  const auto writer = sharer();
  EXPECT_NE(reader->status().trouble.find("noeviction"), std::string::npos);
  server_->command({"CONFIG", "SET", "maxmemory", "1"});
  ASSERT_EQ(server_->command({"SET", "x", "y"}).substr(0, 4), "-OOM");
  ASSERT_TRUE(writer->invalidate("user:1")) << writer->last_error;
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  const core::HomePosition before = reader->home().position();
  std::this_thread::sleep_for(700ms);  // longer than the lease: beats went through
  EXPECT_TRUE(reader->home().is_fresh()) << reader->status().trouble;
  EXPECT_EQ(reader->home().position().generation, before.generation);
}

TEST_F(RedisLogTest, RubbishOnTheChannelIsPassedOver) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  const std::string channel = std::string(kLogKey) + ":0";
  const std::string nonce = std::to_string(reader->status().generation);
  const std::vector<std::string> rubbish = {"",
                                            "x",
                                            "1 2",
                                            nonce + " ",
                                            nonce + " 5 me",
                                            nonce + " 9999999999999999999999 me\n",
                                            nonce + " 5 me\n99:a",
                                            nonce + " 5 me\n-1:a",
                                            "12345 7 me\n6:user:1",
                                            nonce + " 0 -\n",
                                            std::string("\0\xFF\n:", 4)};
  for (const std::string& text : rubbish) {
    server_->command({"PUBLISH", channel, text});
  }
  EXPECT_TRUE(reader->hits(1));
  ASSERT_TRUE(writer->invalidate("user:1"));
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_TRUE(reader->hits(2));
}

TEST_F(RedisLogTest, ALogThatMakesNoSenseIsBegunAnew) {
  start(0.5);
  const auto reader = sharer();
  const auto writer = sharer();
  for (const std::vector<std::string>& spoil :
       std::vector<std::vector<std::string>>{{"ZADD", kLogKey, "+inf", "rubbish"},
                                             {"ZADD", kLogKey, "1e300", "rubbish"},
                                             {"ZADD", kLogKey, "-inf", "\002clock"},
                                             {"ZADD", kLogKey, "-0.5", "\002clock"},
                                             {"ZADD", kLogKey, "0", "\002clock"},
                                             {"ZADD", kLogKey, "5", "\002nonce"},
                                             {"ZREM", kLogKey, "\002floor"}}) {
    ASSERT_TRUE(writer->invalidate("user:7"));
    const std::uint64_t before = reader->status().generation;
    server_->command(spoil);
    EXPECT_TRUE(eventually([&] { return reader->status().generation != before; })) << spoil[3];
    EXPECT_TRUE(eventually([&] { return reader->hits(1) && writer->hits(1); }));
    ASSERT_TRUE(writer->invalidate("user:1")) << writer->last_error;
    EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  }
}

TEST_F(RedisLogTest, ALogWhoseKeyIsOfAnotherTypeIsBegunAnew) {
  start(0.5);
  const auto reader = sharer();
  const auto writer = sharer();
  for (const std::vector<std::string>& spoil :
       std::vector<std::vector<std::string>>{{"SET", kLogKey, "something else"},
                                             {"RPUSH", kLogKey, "something", "else"},
                                             {"HSET", kLogKey, "something", "else"}}) {
    const std::uint64_t before = reader->status().generation;
    server_->command({"DEL", kLogKey});
    server_->command(spoil);
    EXPECT_TRUE(writer->invalidate("user:1")) << writer->last_error;
    EXPECT_TRUE(eventually([&] { return reader->status().generation != before; })) << spoil[0];
    EXPECT_TRUE(eventually([&] { return reader->status().reachable && has_member("user:1"); }));
    EXPECT_TRUE(eventually([&] { return reader->hits(1) && writer->hits(1); }));
  }
}

TEST_F(RedisLogTest, TextsThatWouldPassForTheLogsOwnAreEverything) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  const std::string texts[] = {"\002nonce", "\002clock", "\002beat:x"};
  for (const std::string& text : texts) {
    EXPECT_TRUE(eventually([&] { return reader->hits(1); }));
    const core::Change change(text);
    writer->home().append(writer->log(), {&change, 1}, 0);
    EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  }
  EXPECT_TRUE(has_member(""));
  EXPECT_FALSE(has_member("\002beat:x"));
}

TEST_F(RedisLogTest, VeryManyTagsAtOnceAreEverything) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  std::vector<std::string> texts;
  for (int index = 0; index < 10'001; ++index) texts.push_back("many:" + std::to_string(index));
  const std::vector<core::Change> changes(texts.begin(), texts.end());
  writer->home().append(writer->log(), changes, 0);
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_FALSE(has_member("many:1"));
}

TEST_F(RedisLogTest, NodesAreRegisteredWhileTheyLive) {
  start(0.5);
  const auto count = [&] {
    const std::string all = server_->command({"ZRANGE", kLogKey, "-inf", "(0", "BYSCORE"});
    std::size_t found = 0;
    for (std::size_t at = 0; (at = all.find("\002beat:", at)) != std::string::npos; ++at) ++found;
    return found;
  };
  const auto reader = sharer();
  EXPECT_EQ(count(), 1U);
  {
    const auto other = sharer();
    EXPECT_EQ(count(), 2U);
  }
  EXPECT_EQ(count(), 1U);
  server_->command({"ZADD", kLogKey, "-3", "\002applied:dead", "-9", "\002beat:dead"});
  EXPECT_EQ(count(), 2U);
  EXPECT_TRUE(eventually([&] { return count() == 1; }, 30s)) << "its beat stands still";
}

TEST_F(RedisLogTest, WaitingEndsWhenAllHaveApplied) {
  start(60);
  const auto reader = sharer();
  const auto writer = sharer();
  const std::uint64_t epoch = writer->cache.invalidate("user:1");
  const std::uint64_t generation = writer->status().generation;
  EXPECT_FALSE(writer->home().wait_applied(generation, epoch, 100ms))
      << "in a young generation somebody may not have registered yet";
  server_->command({"ZADD", kLogKey, "-1", "\002began"});
  EXPECT_TRUE(writer->home().wait_applied(generation, epoch, 10s));
  EXPECT_FALSE(reader->hits(1));
  EXPECT_FALSE(writer->home().wait_applied(generation + 1, epoch, 100ms));
  server_->command({"ZADD", kLogKey, "0", "\002applied:silent", "-1", "\002beat:silent"});
  EXPECT_FALSE(writer->home().wait_applied(generation, epoch, 100ms)) << "one has not";
}

TEST_F(RedisLogTest, WaitingForSomebodySilentTakesALease) {
  start(0.5);
  const auto writer = sharer();
  const std::uint64_t epoch = writer->cache.invalidate("user:1");
  server_->command({"ZADD", kLogKey, "0", "\002applied:silent", "-1", "\002beat:silent"});
  EXPECT_TRUE(writer->home().wait_applied(writer->status().generation, epoch, 10s));
}

TEST_F(RedisLogTest, ServersThatDoNotFitAreRefused) {
  RedisServer evicting({.arguments = {"--maxmemory-policy", "allkeys-lru"}});
  EXPECT_THROW(redis_home(evicting.url()), HomeUnreachable);
  RedisOptions anyway;
  anyway.allow_eviction = true;
  Sharer reader(redis_home(evicting.url(), anyway));
  reader(1);
  EXPECT_TRUE(reader.hits(1));
  EXPECT_NE(reader.status().trouble.find("allkeys-lru"), std::string::npos);

  RedisServer replica({.arguments = {"--replicaof", "127.0.0.1", "1"}});
  EXPECT_THROW(redis_home(replica.url()), HomeUnreachable);
  RedisServer closed({.arguments = {"--requirepass", "secret"}});
  EXPECT_THROW(redis_home(closed.url()), HomeUnreachable);
}

// One that began to evict any key later is not trusted either, once it is connected to again.
TEST_F(RedisLogTest, AServerThatNoLongerFitsIsNotTrusted) {
  start(0.5);
  const auto reader = sharer();
  server_->command({"CONFIG", "SET", "maxmemory-policy", "allkeys-random"});
  server_->command({"CLIENT", "KILL", "SKIPME", "yes"});
  EXPECT_TRUE(eventually([&] {
    return !reader->home().is_fresh() &&
           reader->status().trouble.find("allkeys-random") != std::string::npos;
  })) << reader->status().trouble;
  EXPECT_FALSE(reader->invalidate("user:1"));
}

// What docs/REDIS.md says that a user has to be allowed.
TEST_F(RedisLogTest, AUserWithFewRights) {
  server_ = std::make_unique<RedisServer>();
  server_->command({"ACL",           "SETUSER",       "few",      "on",         ">word",
                    "~{zoocache}:*", "&{zoocache}:*", "+hello",   "+auth",      "+client|setname",
                    "+select",       "+ping",         "+info",    "+subscribe", "+publish",
                    "+script|load",  "+evalsha",      "+time",    "+zadd",      "+zrem",
                    "+zcount",       "+zscore",       "+zmscore", "+zrevrange", "+zrangebyscore",
                    "+unlink"});
  home_ =
      redis_home("redis://few:word@127.0.0.1:" + std::to_string(server_->port()), with_lease(60));
  const auto reader = sharer();
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:1")) << writer->last_error;
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_GT(writer->cache.tag_version("user:1"), 0U);
  declare_silently({"user:2"});
  ASSERT_TRUE(writer->invalidate("other"));
  EXPECT_TRUE(eventually([&] { return !reader->hits(2); }));
  const std::string log = server_->command({"ACL", "LOG"});
  EXPECT_EQ(log.find("evalsha"), std::string::npos) << log;
}

TEST_F(RedisLogTest, OptionsOutOfRangeAreRefused) {
  const auto refused = [](const RedisOptions& options) {
    try {
      redis_home("redis://127.0.0.1:1", options);
    } catch (const InvalidOption&) {
      return true;
    }
    return false;
  };
  EXPECT_TRUE(refused({.prefix = ""}));
  EXPECT_TRUE(refused({.prefix = "a{b}"}));
  EXPECT_TRUE(refused({.prefix = std::string(65, 'a')}));
  EXPECT_TRUE(refused({.lease_s = 0.29}));
  EXPECT_TRUE(refused({.lease_s = 61}));
  EXPECT_TRUE(refused({.command_timeout_s = 0}));
  EXPECT_TRUE(refused({.connect_timeout_s = -1}));
  EXPECT_TRUE(refused({.max_log_tags = 15}));
  EXPECT_TRUE(refused({.replicas_ack = 101}));
  EXPECT_FALSE(refused({}));
  EXPECT_THROW(redis_home("http://x"), InvalidOption);
}

TEST_F(RedisLogTest, NamespacesAndDatabasesAreApart) {
  start(60);
  const auto reader = sharer();
  RedisOptions other = with_lease(60);
  other.prefix = "other";
  Sharer elsewhere(redis_home(server_->url(), other));
  Sharer beside(redis_home(server_->url() + "/3", with_lease(60)));
  ASSERT_TRUE(elsewhere.invalidate("user:1"));
  ASSERT_TRUE(beside.invalidate("user:1"));
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:2"));
  EXPECT_TRUE(eventually([&] { return !reader->hits(2); }));
  EXPECT_TRUE(reader->hits(1));
}

TEST_F(RedisLogTest, AChildOfForkFollowsByItself) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer lets no child of fork() start a thread";
#endif
  start(60);
  const auto parent = sharer();
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    const bool is_clean = !parent->hits(1) && parent->hits(1) && parent->invalidate("user:2");
    _exit(is_clean ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(eventually([&] { return !parent->hits(2); })) << "the child's invalidation";
  EXPECT_TRUE(parent->hits(1));
}

}  // namespace
}  // namespace zoocache::testing
