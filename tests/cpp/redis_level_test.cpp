// Values on a real server, and what happens to them: owners that die, servers that go, other
// programs that write there. What every second level holds is in level_conformance_test.cpp.
#include <gtest/gtest.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>
#include <zoocache/redis.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "after_fork.h"
#include "core/second_level.h"
#include "processes.h"
#include "redis/level_scripts.h"
#include "redis_client.h"
#include "redis_server.h"
#include "temporary_folder.h"

namespace zoocache::testing {
namespace {

using core::SecondLevel;
using core::SeenEntry;
using core::StoredValue;
using Kind = SecondLevel::Claim::Kind;
using Waited = SecondLevel::Waited;
using LevelPtr = std::shared_ptr<SecondLevel>;

StoredValue value_of(std::string payload, std::int64_t lives_ns = 0) {
  StoredValue value;
  value.generation = 7;
  value.born = 1;
  value.dependencies = {"user:1"};
  value.payload = std::move(payload);
  value.lives_ns = lives_ns;
  return value;
}

std::string payload_of(const std::optional<StoredValue>& value) {
  return value ? value->payload : "(none)";
}

// What it throws, if it is HomeUnreachable.
std::string trouble_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const HomeUnreachable& error) {
    return error.what();
  }
  return "";
}

class RedisLevelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_REDIS_SERVER();
    server_ = std::make_unique<RedisServer>();
    // A loaded machine is no dead server.
    options_.command_timeout_s = 10;
    options_.connect_timeout_s = 10;
  }
  // A connection of its own, as another process has.
  LevelPtr level() const { return level(options_); }
  LevelPtr level(const RedisStorageOptions& options) const {
    return redis_storage(server_->url(), options)->connect();
  }
  // The first key whose name matches.
  std::string key_like(const std::string& pattern) const {
    const std::string reply =
        server_->command({"EVAL", "return redis.call('KEYS', ARGV[1])[1] or ''", "0", pattern});
    const std::size_t line = reply.find("\r\n");
    if (line == std::string::npos) return "";
    return reply.substr(line + 2, reply.size() - line - 4);
  }
  std::int64_t pttl(const std::string& key) const {
    return std::stoll(server_->command({"PTTL", key}).substr(1));
  }

  std::unique_ptr<RedisServer> server_;
  RedisStorageOptions options_;
};

TEST_F(RedisLevelTest, AClaimLivesAsLongAsItsOwner) {
  options_.claim_s = 0.5;
  const LevelPtr one = level();
  const LevelPtr other = level();
  const auto mine = one->claim("key", std::nullopt);
  ASSERT_EQ(mine.kind, Kind::kMine);
  EXPECT_EQ(other->wait("key", mine.token, 1500ms), Waited::kTimedOut);
  EXPECT_EQ(other->claim("key", std::nullopt).token, mine.token);
  one->release("key", mine.token, false);
  EXPECT_EQ(other->wait("key", mine.token, 10s), Waited::kEnded);
}

TEST_F(RedisLevelTest, ManyClaimsAreRenewed) {
  options_.claim_s = 1;
  const LevelPtr one = level();
  std::vector<std::uint64_t> tokens;
  for (int index = 0; index < 300; ++index) {
    tokens.push_back(one->claim("key " + std::to_string(index), std::nullopt).token);
  }
  const LevelPtr other = level();
  EXPECT_EQ(other->wait("key 0", tokens[0], 2s), Waited::kTimedOut);
  for (int index = 0; index < 300; ++index) {
    const auto there = other->claim("key " + std::to_string(index), std::nullopt);
    ASSERT_EQ(there.kind, Kind::kTaken) << index;
    ASSERT_EQ(there.token, tokens[static_cast<std::size_t>(index)]);
  }
}

TEST_F(RedisLevelTest, TheClaimOfAKilledOwnerEnds) {
  options_.claim_s = 0.5;
  const SharedMemory<std::atomic<std::uint64_t>> token;
  Children children;
  const pid_t owner = children.start([&] {
    const LevelPtr own = level();
    token->store(own->claim("key", std::nullopt).token);
    for (;;) pause_for(1s);
    return 0;
  });
  ASSERT_TRUE(comes_true([&] { return token->load() != 0; }));
  const LevelPtr other = level();
  EXPECT_EQ(other->claim("key", std::nullopt).token, token->load());
  EXPECT_EQ(other->wait("key", token->load(), 1s), Waited::kTimedOut) << "it is alive";
  children.end(owner, SIGKILL);
  EXPECT_EQ(other->wait("key", token->load(), 30s), Waited::kEnded);
  EXPECT_EQ(other->claim("key", std::nullopt).kind, Kind::kMine);
}

TEST_F(RedisLevelTest, AClaimThatIsLostIsNotTheNextOnes) {
  const LevelPtr one = level();
  const LevelPtr other = level();
  const auto lost = one->claim("key", std::nullopt);
  server_->command({"FLUSHALL"});
  const auto mine = other->claim("key", std::nullopt);
  ASSERT_EQ(mine.kind, Kind::kMine);
  one->put("key", lost.token, value_of("value"));
  one->release("key", lost.token, true);
  EXPECT_EQ(other->wait("key", mine.token, 5ms), Waited::kTimedOut);
  EXPECT_EQ(payload_of(other->get("key")), "value");
}

TEST_F(RedisLevelTest, AServerThatIsGoneIsSaidAtOnceAndComesBack) {
  options_.connect_timeout_s = 1;
  const LevelPtr one = level();
  one->put("key", 0, value_of("value"));
  server_->kill_hard();
  EXPECT_NE(trouble_of([&] { one->get("key"); }), "");
  EXPECT_NE(trouble_of([&] { one->claim("key", std::nullopt); }), "");
  EXPECT_NE(trouble_of([&] { one->put("key", 1, value_of("value")); }), "");
  EXPECT_NE(trouble_of([&] { one->wait("key", 1, 10s); }), "");
  one->release("key", 1, true);
  const StorageStatus status = one->status();
  EXPECT_FALSE(status.reachable);
  EXPECT_NE(status.trouble, "");
  EXPECT_GE(status.counters.errors, 5U);
  EXPECT_TRUE(eventually([&] { return one->status().counters.disconnects > 0; }));
  const LevelPtr late = level();
  EXPECT_NE(trouble_of([&] { late->get("key"); }).find("refused"), std::string::npos);
  server_->start();
  for (const LevelPtr& each : {one, late}) {
    EXPECT_TRUE(eventually(
        [&] { return trouble_of([&] { each->put("key", 0, value_of("new")); }).empty(); }));
    EXPECT_EQ(payload_of(each->get("key")), "new");
    EXPECT_TRUE(each->status().reachable);
  }
  EXPECT_TRUE(eventually([&] { return one->status().counters.connects > 1; }));
}

TEST_F(RedisLevelTest, AFrozenServerCostsOneTimeOut) {
  options_.command_timeout_s = 0.1;
  const LevelPtr one = level();
  ASSERT_TRUE(eventually(
      [&] { return trouble_of([&] { one->put("key", 0, value_of("value")); }).empty(); }));
  server_->stop();
  EXPECT_TRUE(eventually([&] {
    return trouble_of([&] { one->get("key"); }).find("breaker open") != std::string::npos;
  }));
  server_->go_on();
  EXPECT_TRUE(eventually([&] {
    std::string payload;
    trouble_of([&] { payload = payload_of(one->get("key")); });
    return payload == "value";
  }));
}

TEST_F(RedisLevelTest, ChangedBytesAreNoEntry) {
  const LevelPtr one = level();
  one->put("key", 0, value_of("value"));
  const std::string key = key_like("*:e:*");
  const std::string dumped = server_->command({"GET", key});
  const std::string bytes = dumped.substr(dumped.find("\r\n") + 2);
  const std::size_t size = bytes.size() - 2;
  ASSERT_GT(size, 60U);
  for (std::size_t at = 0; at < size; at += at < 24 ? 3 : 9) {
    const std::string offset = std::to_string(at);
    server_->command({"SETRANGE", key, offset, std::string(1, static_cast<char>(bytes[at] ^ 4))});
    const auto rejected = one->status().counters.rejected;
    EXPECT_FALSE(one->get("key")) << at;
    EXPECT_EQ(one->status().counters.rejected, rejected + 1) << at;
    const auto claim = one->claim("key", SeenEntry{7, 1});
    EXPECT_EQ(claim.kind, Kind::kMine) << at;
    one->release("key", claim.token, false);
    server_->command({"SETRANGE", key, offset, bytes.substr(at, 1)});
    EXPECT_EQ(payload_of(one->get("key")), "value");
  }
  server_->command({"SET", key, bytes.substr(0, size / 2)});
  EXPECT_FALSE(one->get("key"));
  EXPECT_EQ(one->claim("key", std::nullopt).kind, Kind::kMine);
}

TEST_F(RedisLevelTest, AnEntryOfAnotherKeyIsNone) {
  const LevelPtr one = level();
  one->put("a", 0, value_of("value of a"));
  const std::string a = key_like("*:e:*");
  server_->command({"RENAME", a, "kept"});
  one->put("b", 0, value_of("value of b"));
  server_->command({"RENAME", "kept", key_like("*:e:*")});
  EXPECT_FALSE(one->get("b"));
  EXPECT_EQ(one->claim("b", std::nullopt).kind, Kind::kMine);
}

TEST_F(RedisLevelTest, WhatOthersKeepUnderOurKeysIsOverwritten) {
  const LevelPtr one = level();
  one->put("key", 0, value_of("value"));
  one->claim("key", SeenEntry{7, 1});
  const std::string entry = key_like("*:e:*");
  const std::string claim = key_like("*:f:*");
  const std::vector<std::vector<std::string>> others{{"HSET", "", "field", "value"},
                                                     {"RPUSH", "", "value"},
                                                     {"ZADD", "", "1", "value"},
                                                     {"SET", "", "text"},
                                                     {"SET", "", ""},
                                                     {"SET", "", "ab:17"},
                                                     {"SET", "", "!17"},
                                                     {"SET", "", "ab:0", "PX", "60000"}};
  for (std::vector<std::string> words : others) {
    SCOPED_TRACE(words[0] + " " + words[2]);
    for (const std::string& key : {entry, claim}) {
      server_->command({"DEL", key});
      words[1] = key;
      server_->command(words);
    }
    EXPECT_FALSE(one->get("key"));
    EXPECT_EQ(one->wait("key", 5, 10s), Waited::kEnded);
    if (words.size() > 3 && words[2] == "ab:0") {  // as a claim it ends, but is nobody's
      EXPECT_NE(trouble_of([&] { one->claim("key", std::nullopt); }), "");
      continue;
    }
    const auto mine = one->claim("key", std::nullopt);
    ASSERT_EQ(mine.kind, Kind::kMine);
    EXPECT_EQ(one->wait("key", mine.token, 1ms), Waited::kTimedOut);
    one->put("key", mine.token, value_of("new"));
    EXPECT_EQ(payload_of(one->get("key")), "new");
    EXPECT_EQ(one->wait("key", mine.token, 10s), Waited::kEnded);
  }
}

TEST_F(RedisLevelTest, LongerTextsThanEntriesAreNotFetched) {
  options_.max_value_bytes = 1000;
  const LevelPtr one = level();
  one->put("key", 0, value_of("value"));
  const std::string key = key_like("*:e:*");
  server_->command({"SETRANGE", key, std::to_string(20 << 20), "x"});
  EXPECT_FALSE(one->get("key"));
  EXPECT_EQ(one->claim("key", std::nullopt).kind, Kind::kMine) << "the connection was not lost";
}

TEST_F(RedisLevelTest, FullMemoryIsSaidAndFreesTheClaim) {
  const LevelPtr one = level();
  const LevelPtr other = level();
  one->put("there", 0, value_of("value"));
  const auto mine = one->claim("key", std::nullopt);
  const auto failed = one->claim("another", std::nullopt);
  server_->command({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_THROW(one->put("key", mine.token, value_of("value")), StorageIsFull);
  EXPECT_EQ(other->wait("key", mine.token, 10s), Waited::kEnded);
  EXPECT_EQ(payload_of(one->get("there")), "value");
  EXPECT_NE(trouble_of([&] { other->claim("key", std::nullopt); }).find("OOM"), std::string::npos);
  one->release("another", failed.token, true);
  EXPECT_EQ(other->wait("another", failed.token, 10s), Waited::kFailed);
  server_->command({"CONFIG", "SET", "maxmemory", "0"});
  one->put("key", 0, value_of("value"));
  EXPECT_EQ(payload_of(other->get("key")), "value");
}

TEST_F(RedisLevelTest, AValueThatIsTooLargeIsSaidAndFreesTheClaim) {
  options_.max_value_bytes = 1000;
  const LevelPtr one = level();
  const auto mine = one->claim("key", std::nullopt);
  EXPECT_THROW(one->put("key", mine.token, value_of(std::string(1001, 'x'))), StorageIsFull);
  EXPECT_EQ(one->wait("key", mine.token, 10s), Waited::kEnded);
  one->put("key", 0, value_of(std::string(1000, 'x')));
  EXPECT_TRUE(one->get("key"));
  StoredValue wide = value_of("value");
  wide.dependencies.assign(300, std::string(16'000, 'x'));
  EXPECT_THROW(one->put("key", 0, wide), StorageIsFull);
}

TEST_F(RedisLevelTest, AServerThatForgotTheScriptsGetsThem) {
  options_.claim_s = 0.5;
  const LevelPtr one = level();
  const auto flush = [this] { server_->command({"SCRIPT", "FLUSH"}); };
  const auto mine = one->claim("key", std::nullopt);
  flush();
  EXPECT_EQ(one->wait("key", mine.token, 1s), Waited::kTimedOut) << "it is renewed";
  flush();
  one->put("key", mine.token, value_of("value"));
  flush();
  EXPECT_EQ(one->claim("key", std::nullopt).kind, Kind::kFound);
  const auto next = one->claim("key", SeenEntry{7, 1});
  flush();
  one->release("key", next.token, true);
  EXPECT_EQ(one->wait("key", next.token, 10s), Waited::kFailed);
}

// As when an answer was lost on its way and whoever asked tries again.
TEST_F(RedisLevelTest, ScriptsThatRunTwiceDoWhatTheyDoOnce) {
  const redis::LevelScripts scripts;
  Heard heard;
  redis::Client client(options_for(server_->url()), heard);
  ASSERT_TRUE(connects(client));
  const auto twice = [&](const redis::Script& script, const redis::ScriptCall& call) {
    redis::run(client, Link::kData, script, call, 10s);
    return redis::run(client, Link::kData, script, call, 10s).reply;
  };
  const std::string entry(100, 'e');
  const redis::ScriptCall claim{{"{p}:e:1", "{p}:f:1"}, {"", "1000", "5", "ab:5", "60000"}};
  EXPECT_EQ(twice(scripts.claim, claim).items.at(0).text, "mine");
  EXPECT_EQ(twice(scripts.renew, {{"{p}:f:1"}, {"60000", "5"}}).items.at(0).text, "1");
  EXPECT_EQ(twice(scripts.put, {{"{p}:e:1", "{p}:f:1"}, {"5", "60000", entry}}).text, "1");
  EXPECT_EQ(twice(scripts.claim, claim).items.at(0).text, "found");
  server_->command({"SET", "{p}:f:1", "cd:6", "PX", "60000"});
  twice(scripts.put, {{"{p}:e:1", "{p}:f:1"}, {"5", "60000", entry}});
  twice(scripts.release, {{"{p}:f:1"}, {"5", "1000"}});
  EXPECT_NE(server_->command({"GET", "{p}:f:1"}).find("cd:6"), std::string::npos);
  twice(scripts.release, {{"{p}:f:1"}, {"6", "60000"}});
  EXPECT_NE(server_->command({"GET", "{p}:f:1"}).find("!6"), std::string::npos);
}

TEST_F(RedisLevelTest, AForkedChildHasAConnectionOfItsOwn) {
  NEEDS_THREADS_AFTER_FORK();
  options_.claim_s = 0.5;
  const LevelPtr one = level();
  const auto mine = one->claim("key", std::nullopt);
  one->put("there", 0, value_of("value"));
  Children children;
  for (int round = 0; round < 5; ++round) {
    const std::string name = "of child " + std::to_string(round);
    const pid_t child = children.start([&] {
      if (payload_of(one->get("there")) != "value") return 1;
      if (one->claim("key", std::nullopt).token != mine.token) return 2;
      const auto own = one->claim(name, std::nullopt);
      if (own.kind != Kind::kMine) return 3;
      one->put(name, own.token, value_of(name));
      return 0;
    });
    EXPECT_EQ(children.end(child), 0);
    EXPECT_EQ(payload_of(one->get(name)), name);
  }
  EXPECT_EQ(one->wait("key", mine.token, 1s), Waited::kTimedOut) << "the parent renews it";
}

TEST_F(RedisLevelTest, PrefixesAreTenants) {
  const LevelPtr one = level();
  options_.prefix = "another";
  const LevelPtr other = level();
  one->put("key", 0, value_of("value"));
  EXPECT_FALSE(other->get("key"));
  EXPECT_EQ(other->claim("key", std::nullopt).kind, Kind::kMine);
  EXPECT_EQ(one->claim("key", SeenEntry{7, 1}).kind, Kind::kMine);
  other->put("key", 0, value_of("the other's"));
  EXPECT_EQ(payload_of(one->get("key")), "value");
}

TEST_F(RedisLevelTest, EveryKeyHasATimeToLive) {
  options_.ttl_s = 100;
  options_.claim_s = 60;
  const LevelPtr one = level();
  one->put("key", 0, value_of("value"));
  const std::string entry = key_like("*:e:*");
  EXPECT_GT(pttl(entry), 0);
  EXPECT_LE(pttl(entry), 100'000);
  EXPECT_EQ(one->get("key")->lives_ns, 0);
  const auto mine = one->claim("key", SeenEntry{7, 1});
  const std::string claim = key_like("*:f:*");
  EXPECT_GT(pttl(claim), 10'000) << "as long as the option says";
  EXPECT_LE(pttl(claim), 60'000);
  one->release("key", mine.token, true);
  EXPECT_GT(pttl(claim), 0);
  one->put("key", 0, value_of("value", 3'600'000'000'000));
  EXPECT_GT(pttl(entry), 100'000);
  EXPECT_GT(one->get("key")->lives_ns, 100'000'000'000);
  server_->command({"PEXPIRE", entry, "50000"});
  EXPECT_LE(one->get("key")->lives_ns, 50'000'000'000);
  server_->command({"PEXPIRE", entry, "999000000"});
  EXPECT_EQ(one->get("key")->lives_ns, 3'600'000'000'000) << "no longer than it was given";
  server_->command({"PERSIST", entry});
  EXPECT_FALSE(one->get("key")) << "nobody counts its time";
}

TEST_F(RedisLevelTest, OneConnectionForEachStorage) {
  const StoragePtr storage = redis_storage(server_->url(), options_);
  EXPECT_EQ(server_->command({"CLIENT", "LIST"}).find("name=zoocache"), std::string::npos)
      << "not before it is used";
  for (int round = 0; round < 3; ++round) storage->connect()->get("key");
  const std::string clients = server_->command({"CLIENT", "LIST"});
  const std::size_t first = clients.find("name=zoocache");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(clients.find("name=zoocache", first + 1), std::string::npos);
}

TEST_F(RedisLevelTest, NeedsItsLogOnTheSameServer) {
  const TemporaryFolder folder;
  Options options;
  options.storage = redis_storage(server_->url(), options_);
  for (const HomePtr& home : {memory_home(), lmdb_home(folder.path())}) {
    options.home = home;
    EXPECT_THROW(Cache{options}, InvalidOption);
  }
  options.home = redis_home(server_->url());
  EXPECT_NO_THROW(Cache{options});
  RedisServer other;
  options.home = redis_home(other.url());
  EXPECT_THROW(Cache{options}, InvalidOption);
}

TEST(RedisStorageOptions, AreChecked) {
  const std::string url = "redis://127.0.0.1:1";
  EXPECT_NO_THROW(redis_storage(url));
  EXPECT_THROW(redis_storage("http://127.0.0.1"), InvalidOption);
  const std::vector<std::function<void(RedisStorageOptions&)>> wrongs{
      [](RedisStorageOptions& one) { one.prefix = "a}b"; },
      [](RedisStorageOptions& one) { one.command_timeout_s = 0; },
      [](RedisStorageOptions& one) { one.connect_timeout_s = 61; },
      [](RedisStorageOptions& one) { one.ttl_s = 0.5; },
      [](RedisStorageOptions& one) { one.ttl_s = 1e9; },
      [](RedisStorageOptions& one) { one.claim_s = 0.05; },
      [](RedisStorageOptions& one) { one.max_value_bytes = 0; },
      [](RedisStorageOptions& one) { one.secrets = {"only 15 letters"}; },
      [](RedisStorageOptions& one) { one.max_value_bytes = std::size_t{1} << 29; }};
  for (const auto& wrong : wrongs) {
    RedisStorageOptions options;
    wrong(options);
    EXPECT_THROW(redis_storage(url, options), InvalidOption);
  }
}

}  // namespace
}  // namespace zoocache::testing
