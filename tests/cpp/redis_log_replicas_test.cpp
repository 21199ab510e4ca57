// What becomes of an invalidation when another server takes over: the advice that is given, and
// waiting for replicas.
#include <algorithm>

#include "redis/protocol.h"
#include "redis/scripts.h"
#include "redis/server_check.h"
#include "redis_log_support.h"

namespace zoocache::testing {
namespace {

class RedisLogReplicas : public RedisLogTest {
 protected:
  void start_with_replica(RedisOptions options) {
    server_ = std::make_unique<RedisServer>(
        ServerOptions{.arguments = {"--repl-diskless-sync-delay", "0"}});
    replica_ = std::make_unique<RedisServer>(ServerOptions{
        .arguments = {"--replicaof", "127.0.0.1 " + std::to_string(server_->port())}});
    ASSERT_TRUE(eventually([&] {
      const std::string told = replica_->command({"INFO", "replication"});
      return told.find("master_link_status:up") != std::string::npos &&
             server_->command({"INFO", "replication"}).find("state=online") != std::string::npos;
    }));
    options.command_timeout_s = 1;
    home_ = redis_home(server_->url(), options);
  }

  std::unique_ptr<RedisServer> replica_;
};

TEST_F(RedisLogReplicas, AnInvalidationWaitsForThem) {
  RedisOptions options = with_lease(60);
  options.replicas_ack = 1;
  start_with_replica(options);
  const auto reader = sharer();
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:1")) << writer->last_error;
  EXPECT_EQ(writer->status().counters.unreplicated, 0U);
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); }));
  EXPECT_NE(replica_->command({"ZSCORE", kLogKey, "user:1"}).substr(0, 3), "$-1");

  ASSERT_TRUE(eventually([&] { return reader->hits(1); }));
  replica_->stop();
  ASSERT_FALSE(writer->invalidate("user:1"));
  EXPECT_NE(writer->last_error.find("0 of 1 replicas"), std::string::npos) << writer->last_error;
  EXPECT_EQ(writer->status().counters.unreplicated, 1U);
  EXPECT_TRUE(eventually([&] { return !reader->hits(1); })) << "it was done all the same";
  EXPECT_FALSE(writer->hits(1));
  EXPECT_TRUE(writer->hits(1)) << "and nothing of it is left to do";

  replica_->go_on();
  EXPECT_TRUE(eventually([&] { return writer->invalidate("user:1"); })) << writer->last_error;
}

// It has all of the log, but what it has may be old.
TEST_F(RedisLogReplicas, AReplicaAnswersNothing) {
  start_with_replica(with_lease(60));
  const auto writer = sharer();
  ASSERT_TRUE(writer->invalidate("user:1")) << writer->last_error;
  ASSERT_TRUE(eventually([&] {
    return replica_->command({"ZSCORE", kLogKey, "user:1"}).substr(0, 3) != "$-1";
  }));
  const auto answer = [](const RedisServer& server, const redis::Script& script,
                         const redis::ScriptCall& call) {
    std::vector<std::string> words{"EVAL", script.source(), "1", call.keys[0]};
    words.insert(words.end(), call.arguments.begin(), call.arguments.end());
    return server.command(words);
  };
  const redis::LogScripts scripts;
  const redis::Place place("zoocache", 0);
  const std::string nonce = std::to_string(writer->status().generation);
  const redis::ScriptCall page = redis::page_call(place, writer->status().generation, 0, 10);
  const redis::ScriptCall check{{place.key}, {nonce, "user:1"}};
  EXPECT_NE(answer(*server_, scripts.page, page).find("user:1"), std::string::npos);
  EXPECT_EQ(answer(*server_, scripts.check, check).substr(0, 2), "*3");
  for (const std::string read_only :
       {"yes", "no"}) {  // or it may be written to, against all advice
    replica_->command({"CONFIG", "SET", "replica-read-only", read_only});
    EXPECT_EQ(answer(*replica_, scripts.page, page)[0], '-');
    EXPECT_EQ(answer(*replica_, scripts.check, check)[0], '-');
    EXPECT_EQ(answer(*replica_, scripts.beat, redis::beat_call(place, 0, 1))[0], '-');
  }
}

// What the log counts on: a server that becomes a primary draws another replication id, whatever it
// has loaded.
TEST(RedisLogLife, HasAReplicationIdOfItsOwn) {
  NEEDS_REDIS_SERVER();
  const auto id_of = [](const RedisServer& server) {
    const std::string told = server.command({"INFO", "replication"});
    EXPECT_NE(told.find("role:master"), std::string::npos);
    return told.substr(told.find("master_replid:") + 14, 40);
  };
  for (const std::string& program : {std::string("redis-server"), valkey_server()}) {
    if (program.empty()) continue;
    for (const std::string has_file : {"no", "yes"}) {
      SCOPED_TRACE(program + ", appendonly " + has_file);
      const ServerOptions options{
          .arguments = {"--appendonly", has_file, "--repl-diskless-sync-delay", "0"},
          .program = program};
      RedisServer server(options);
      server.command({"SET", "key", "value"});
      std::vector<std::string> ids{id_of(server)};
      const auto note_other = [&](const RedisServer& other) {
        ids.push_back(id_of(other));
        EXPECT_EQ(std::count(ids.begin(), ids.end(), ids.back()), 1);
        EXPECT_EQ(other.command({"GET", "key"}), "$5\r\nvalue\r\n") << "it goes on with the data";
      };
      RedisServer replica(options);
      replica.command({"REPLICAOF", "127.0.0.1", std::to_string(server.port())});
      ASSERT_TRUE(eventually([&] {
        return replica.command({"GET", "key"}).find("value") != std::string::npos;
      }));
      ids.push_back(id_of(server));  // that of the history which it shares with its replica
      replica.command({"SAVE"});
      replica.kill_hard();
      replica.start();  // a primary from the start, as nobody says otherwise
      note_other(replica);
      replica.command({"REPLICAOF", "127.0.0.1", "1"});
      replica.command({"REPLICAOF", "NO", "ONE"});
      note_other(replica);
      server.command({"SAVE"});
      server.kill_hard();
      server.start();
      note_other(server);
    }
  }
}

TEST_F(RedisLogReplicas, OrItIsSaidByAZero) {
  RedisOptions options = with_lease(60);
  options.replicas_ack = 1;
  options.on_unreachable = OnUnreachable::kJournal;
  start_with_replica(options);
  const auto writer = sharer();
  EXPECT_GT(writer->cache.invalidate("user:1"), 0U);
  replica_->stop();
  EXPECT_EQ(writer->cache.invalidate("user:1"), 0U);
}

TEST_F(RedisLogReplicas, ManyWaitAtOnce) {
  RedisOptions options = with_lease(60);
  options.replicas_ack = 1;
  start_with_replica(options);
  const auto writer = sharer();
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int index = 0; index < 8; ++index) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        try {
          writer->cache.invalidate("user:1");
        } catch (const HomeUnreachable&) {
          ++failures;
        }
      }
    });
  }
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(failures, 0);
}

TEST_F(RedisLogReplicas, APrimaryThatGoesOnAloneIsWarnedAbout) {
  start_with_replica(with_lease(0.3));
  const auto reader = sharer();
  const auto is_told = [&] {
    return reader->status().trouble.find("min-replicas-to-write 0") != std::string::npos;
  };
  EXPECT_TRUE(eventually(is_told));
  EXPECT_TRUE(reader->status().reachable) << "it is used all the same";
  server_->command({"CONFIG", "SET", "min-replicas-to-write", "1"});
  EXPECT_TRUE(eventually([&] { return !is_told(); })) << "it is looked at now and then";
}

TEST_F(RedisLogReplicas, FewerThanAreWaitedForAreWarnedAbout) {
  server_ = std::make_unique<RedisServer>();
  RedisOptions options = with_lease(60);
  options.replicas_ack = 2;
  home_ = redis_home(server_->url(), options);
  const auto reader = sharer();
  const auto is_told = [&] {
    return reader->status().trouble.find("replicas_ack=2, but the server has 0 replicas") !=
           std::string::npos;
  };
  EXPECT_TRUE(eventually(is_told));
}

redis::Reply settings(const std::vector<std::string>& words) {
  redis::Reply reply{redis::Type::kMap, "", {}};
  for (const std::string& word : words) {
    reply.items.push_back({redis::Type::kString, word, {}});
  }
  return reply;
}

std::string advice(std::size_t replicas, const std::string& least, const std::string& lag_s) {
  redis::Server server;
  server.replicas = replicas;
  return redis::judgement_of(
             server, settings({"min-replicas-to-write", least, "min-replicas-max-lag", lag_s}), 0)
      .warning;
}

TEST(RedisServerCheck, HalfOfTheReplicasMustBeHeard) {
  EXPECT_EQ(advice(0, "0", "10"), "");
  EXPECT_NE(advice(1, "0", "10"), "");
  EXPECT_EQ(advice(1, "1", "10"), "");
  EXPECT_EQ(advice(2, "1", "10"), "");
  EXPECT_NE(advice(3, "1", "10"), "");
  EXPECT_EQ(advice(3, "2", "10"), "");
  EXPECT_NE(advice(1, "1", "0").find("min-replicas-max-lag 0"), std::string::npos);
}

TEST(RedisServerCheck, WhoMayNotAskIsLetPass) {
  redis::Server server;
  server.replicas = 3;
  const redis::Reply refused{redis::Type::kError, "NOPERM no permissions", {}};
  const redis::Judgement told = redis::judgement_of(server, refused, 0);
  EXPECT_EQ(told.refusal + told.warning, "");
  EXPECT_EQ(redis::judgement_of(redis::Server(), settings({}), 0).warning, "");
}

TEST(RedisServerCheck, ReplicasAreCounted) {
  const redis::Reply info{redis::Type::kString, "role:master\r\nconnected_slaves:12\r\n", {}};
  EXPECT_EQ(redis::server_of(info).replicas, 12U);
  const redis::Reply odd{redis::Type::kString, "role:master\r\nconnected_slaves:-1x\r\n", {}};
  EXPECT_EQ(redis::server_of(odd).replicas, 0U);
}

}  // namespace
}  // namespace zoocache::testing
