// The connection to a real server that is well: what goes there and back, and in which order.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "redis/script.h"
#include "redis_client.h"
#include "zoocache/errors.h"

namespace zoocache::testing {
namespace {

using redis::Answer;
using redis::Client;
using redis::Command;
using redis::Type;

class RedisConnection : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_REDIS_SERVER();
    server_ = std::make_unique<RedisServer>(ServerOptions{.has_socket = true});
    client_ = std::make_unique<Client>(options_for(server_->url()), heard_);
    ASSERT_TRUE(connects(*client_)) << client_->failure(Link::kControl).detail;
  }
  Answer ask(const Command& command, Link link = Link::kData) const {
    return client_->execute(link, command, 5s);
  }

  std::unique_ptr<RedisServer> server_;
  Heard heard_;
  std::unique_ptr<Client> client_;
};

std::string every_byte() {
  std::string all(256, '\0');
  std::iota(all.begin(), all.end(), static_cast<char>(0));
  return all + "\r\n$-1\r\n";
}

TEST_F(RedisConnection, EveryByteInKeyAndValue) {
  EXPECT_EQ(text_of(ask({"SET", every_byte(), every_byte()})), "OK");
  EXPECT_EQ(text_of(ask({"GET", every_byte()})), every_byte());
  const Answer keys = ask({"KEYS", "*"});
  ASSERT_EQ(keys.reply.items.size(), 1U);
  EXPECT_EQ(keys.reply.items[0].text, every_byte());
}

TEST_F(RedisConnection, SixteenMebibytes) {
  // Under a sanitizer the value takes its time, and nothing else comes meanwhile.
  redis::ClientOptions options = options_for(server_->url());
  options.health_check_s = 10;
  client_ = std::make_unique<Client>(options, heard_);
  ASSERT_TRUE(connects(*client_)) << client_->failure(Link::kControl).detail;
  std::string value(std::size_t{16} << 20, '\0');
  std::mt19937 random(7);
  for (char& one : value) one = static_cast<char>(random());
  EXPECT_EQ(text_of(ask({"SET", "big", value})), "OK");
  double best_ms = 1e9;
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const Answer answer = ask({"GET", "big"});
    best_ms = std::min(best_ms, milliseconds_since(start));
    EXPECT_TRUE(answer.reply.text == value) << text_of(answer).substr(0, 100);
  }
  RecordProperty("get_16_mib_best_us", static_cast<int>(best_ms * 1000));
  std::printf("GET of 16 MiB: %.1f ms at best\n", best_ms);
}

TEST_F(RedisConnection, EachTypeOfReply) {
  const Answer none = ask({"GET", "nothing"});
  EXPECT_TRUE(none.has_reply());
  EXPECT_TRUE(none.reply.is_null());
  EXPECT_EQ(ask({"INCR", "n"}).reply.integer(), 1);
  EXPECT_EQ(ask({"GET", "n"}).reply.integer(), 1);
  EXPECT_EQ(ask({"PING"}).reply.integer(), std::nullopt);
  ask({"HSET", "h", "a", "1", "b", "2"});
  const Answer map = ask({"HGETALL", "h"});
  EXPECT_EQ(map.reply.type, Type::kMap);
  ASSERT_EQ(map.reply.items.size(), 4U);
  EXPECT_EQ(map.reply.items[3].text, "2");
  EXPECT_EQ(ask({"ZADD", "z", "1.5", "m"}).reply.integer(), 1);
  EXPECT_EQ(ask({"ZSCORE", "z", "m"}).reply.type, Type::kDouble);
  const Answer nested = ask({"EVAL", "return {1, {2, {3}}, 'x'}", "0"});
  ASSERT_EQ(nested.reply.items.size(), 3U);
  EXPECT_EQ(nested.reply.items[1].items[1].items[0].integer(), 3);
  EXPECT_EQ(nested.reply.items[2].text, "x");
  EXPECT_EQ(ask({"LRANGE", "nothing", "0", "-1"}).reply.items.size(), 0U);
}

TEST_F(RedisConnection, ErrorRepliesAreValuesAndKeepTheConnection) {
  ask({"SET", "s", "x"});
  const auto by_script = [](const std::string& error) {
    return Command{"EVAL", "return redis.error_reply(ARGV[1])", "0", error};
  };
  const std::vector<std::pair<Command, std::string>> cases = {
      {{"LPUSH", "s", "x"}, "WRONGTYPE"},
      {{"EVALSHA", std::string(40, '0'), "0"}, "NOSCRIPT"},
      {{"NOTHING"}, "ERR"},
      {by_script("READONLY You can't write against a read only replica."), "READONLY"},
      {by_script("OOM command not allowed"), "OOM"},
      {by_script("NOREPLICAS Not enough good replicas to write."), "NOREPLICAS"},
      {by_script("MASTERDOWN Link with MASTER is down"), "MASTERDOWN"},
      {by_script("BUSY Redis is busy running a script."), "BUSY"},
      {by_script("MOVED 1 127.0.0.1:7"), "MOVED"},
      {{"EVAL", "error('no')", "0"}, "ERR"},
  };
  for (const auto& [command, kind] : cases) {
    for (const Link link : kLinks) {
      const Answer answer = ask(command, link);
      EXPECT_TRUE(answer.has_reply()) << text_of(answer);
      EXPECT_TRUE(answer.reply.is_error(kind)) << kind << ": " << text_of(answer);
      EXPECT_EQ(text_of(ask({"ECHO", kind}, link)), kind);
    }
  }
  server_->command({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_TRUE(ask({"SET", "s", "y"}).reply.is_error("OOM"));
  EXPECT_EQ(text_of(ask({"GET", "s"})), "x");
  EXPECT_EQ(client_->stats().losses, 0U);
  EXPECT_EQ(client_->stats().breaker_openings, 0U);
}

TEST_F(RedisConnection, ErrorsInsideAReplyStayInTheirPlace) {
  ask({"SET", "s", "x"});
  const Answer answer = ask({"EVAL", "return {1, redis.pcall('LPUSH', 's', 'x'), 3}", "0"});
  ASSERT_EQ(answer.reply.items.size(), 3U) << text_of(answer);
  EXPECT_TRUE(answer.reply.items[1].is_error("WRONGTYPE"));
  EXPECT_EQ(answer.reply.items[2].integer(), 3);
}

TEST_F(RedisConnection, CommandsThatChangeTheConnectionAreRefused) {
  for (const Command& command : {
           Command{"subscribe", "x"},
           Command{"MONITOR"},
           Command{"Hello", "2"},
           Command{"RESET"},
           Command{"CLIENT", "reply", "OFF"},
           Command{},
       }) {
    EXPECT_THROW(client_->execute(Link::kData, command, 1s), InvalidOption);
    EXPECT_THROW(client_->async_execute(Link::kData, command, 1s, [](const Answer&) {}),
                 InvalidOption);
  }
  EXPECT_EQ(text_of(ask({"CLIENT", "GETNAME"})), "zoocache");
}

TEST_F(RedisConnection, ASocketOfThisMachine) {
  Heard heard;
  const Client client(options_for("redis+unix://" + server_->file("redis.sock") + "?db=2"), heard);
  ASSERT_TRUE(connects(client)) << client.failure(Link::kControl).detail;
  server_->command({"PUBLISH", "ch", "hello"});
  EXPECT_TRUE(eventually([&] { return heard.payloads().size() == 1; }));
}

// Each publication is followed by a command on the subscribed connection: its reply is handed out
// behind the message, and the messages come in order.
TEST_F(RedisConnection, MessagesAndRepliesComeInTheOrderOfTheServer) {
  constexpr int kRounds = 2000;
  std::atomic<int> wrong{0};
  std::promise<void> all;
  int replies = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string number = std::to_string(round);
    // The script publishes in the middle: the reply was made after its message.
    client_->async_execute(
        Link::kControl,
        Command{"EVAL", "redis.call('PUBLISH', 'ch', ARGV[1]) return ARGV[1]", "0", number}, 10s,
        [&, number](const Answer& answer) {
          if (text_of(answer) != number || heard_.pushes != static_cast<std::size_t>(replies) + 1) {
            ++wrong;
          }
          if (++replies == kRounds) all.set_value();
        });
  }
  ASSERT_EQ(all.get_future().wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(wrong.load(), 0);
  const auto payloads = heard_.payloads();
  ASSERT_EQ(payloads.size(), static_cast<std::size_t>(kRounds));
  for (int round = 0; round < kRounds; ++round) {
    EXPECT_EQ(payloads[static_cast<std::size_t>(round)], std::to_string(round));
  }
}

TEST_F(RedisConnection, ManyMessagesAtOnce) {
  constexpr std::size_t kMessages = 20'000;
  ask({"EVAL", "for i = 1, 20000 do redis.call('PUBLISH', 'ch', i) end return 1", "0"});
  EXPECT_TRUE(eventually([&] { return heard_.pushes == kMessages; })) << heard_.pushes;
  EXPECT_EQ(heard_.payloads().back(), std::to_string(kMessages));
  EXPECT_EQ(text_of(ask({"ECHO", "still here"}, Link::kControl)), "still here");
}

TEST_F(RedisConnection, ScriptsAreBroughtAgainWhenTheServerForgotThem) {
  const redis::Script script("return ARGV[1] .. KEYS[1]");
  EXPECT_EQ(redis::Script("return 1").hash(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(text_of(run(*client_, Link::kData, script, {{"key"}, {"one"}}, 5s)), "onekey");
    server_->command({"SCRIPT", "FLUSH"});
    std::promise<std::string> told;
    run(*client_, Link::kControl, script, {{"key"}, {"two"}}, 5s,
        [&told](const Answer& answer) { told.set_value(text_of(answer)); });
    EXPECT_EQ(told.get_future().get(), "twokey");
    EXPECT_EQ(text_of(run(*client_, Link::kData, script, {{"k"}, {"3"}}, 5s)), "3k");
    server_->command({"SCRIPT", "FLUSH"});
  }
}

TEST_F(RedisConnection, AScriptThatTheServerDoesNotTakeIsAnError) {
  const redis::Script wrong("this is no Lua");
  EXPECT_TRUE(run(*client_, Link::kData, wrong, {}, 5s).reply.is_error("NOSCRIPT"));
}

// Threads ask for echoes with time-outs of all sorts: who gets a reply gets its own.
TEST_F(RedisConnection, TimeOutsMixUpNothing) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 1500;
  std::atomic<int> wrong{0};
  std::atomic<int> timeouts{0};
  std::vector<std::thread> threads;
  for (int index = 0; index < kThreads; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937 random(static_cast<unsigned>(index));
      for (int round = 0; round < kRounds; ++round) {
        const std::string mine = std::to_string(index) + ":" + std::to_string(round);
        const auto timeout = random() % 4 == 0 ? std::chrono::microseconds(random() % 150)
                                               : std::chrono::microseconds(5'000'000);
        // The control connection: the breaker would keep the others out after each time-out.
        const Answer answer = client_->execute(Link::kControl, {"ECHO", mine}, timeout);
        if (answer.has_reply() && answer.reply.text != mine) ++wrong;
        if (answer.failure.trouble == Trouble::kTimeout) ++timeouts;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(timeouts.load(), 50) << "the test does not test what it is for";
  EXPECT_EQ(client_->stats().losses, 0U) << "a time-out must not end the connection";
  std::printf("%d commands, %d time-outs, %d mixed up\n", kThreads * kRounds, timeouts.load(),
              wrong.load());
}

TEST_F(RedisConnection, WaitingInACallbackIsRefused) {
  std::promise<bool> told;
  client_->call_after(1ms, [&] {
    try {
      client_->execute(Link::kData, {"PING"}, 1s);
      told.set_value(false);
    } catch (const std::logic_error&) {
      told.set_value(true);
    }
  });
  EXPECT_TRUE(told.get_future().get());
}

TEST_F(RedisConnection, TimersKeepTheirTime) {
  const auto start = std::chrono::steady_clock::now();
  std::promise<void> late;
  std::atomic<bool> is_early_done{false};
  client_->call_after(60ms, [&] { late.set_value(); });
  client_->call_after(20ms, [&] { is_early_done = true; });
  late.get_future().get();
  EXPECT_GE(milliseconds_since(start), 60);
  EXPECT_TRUE(is_early_done.load());
}

// A hook that throws costs the connections, nothing more.
TEST_F(RedisConnection, WhatACallbackThrowsEndsBothConnectionsAndBothComeBack) {
  client_->async_execute(Link::kData, {"PING"}, 5s,
                         [](const Answer&) { throw std::runtime_error("a callback threw"); });
  EXPECT_TRUE(eventually([&] { return client_->stats().exceptions == 1; }));
  EXPECT_TRUE(
      eventually([&] { return heard_.count(Heard::Event::Kind::kBack, Link::kData) == 2; }));
  EXPECT_TRUE(connects(*client_));
  EXPECT_EQ(text_of(ask_until_answered(*client_, Link::kData, {"ECHO", "a"})), "a");
  for (const Heard::Event& event : heard_.events()) {
    if (event.kind != Heard::Event::Kind::kLost) continue;
    EXPECT_EQ(event.why.trouble, Trouble::kInternal);
    EXPECT_EQ(event.why.detail, "a callback threw");
  }
}

TEST_F(RedisConnection, WaitingForAConnection) {
  EXPECT_TRUE(client_->await_connected(Link::kControl, 0s));
  server_->kill_hard();
  EXPECT_TRUE(eventually([&] { return !client_->is_connected(Link::kControl); }));
  EXPECT_FALSE(client_->await_connected(Link::kControl, 60s)) << "refused: known at once";
  server_->start();
  EXPECT_TRUE(eventually([&] { return client_->await_connected(Link::kControl, 60s); }));
  Heard heard;
  Client fresh(options_for(server_->url()), heard);
  EXPECT_TRUE(fresh.await_connected(Link::kData, 60s)) << "it is being made";
}

TEST_F(RedisConnection, WhomItReached) {
  const std::string info = server_->command({"INFO", "server"});
  for (const Heard::Event& event : heard_.events()) {
    EXPECT_EQ(event.server.role, "master");
    EXPECT_EQ(event.server.run_id.size(), 40U);
    EXPECT_NE(info.find("run_id:" + event.server.run_id), std::string::npos);
    EXPECT_EQ(event.server.replication_id.size(), 40U);
    EXPECT_NE(event.server.version, "");
  }
}

TEST(RedisSetup, UserNameAndDatabase) {
  NEEDS_REDIS_SERVER();
  RedisServer server;
  EXPECT_EQ(server.command({"ACL", "SETUSER", "me.too", "on", ">p\"a ss", "~*", "&*", "+@all"}),
            "+OK\r\n");
  Heard heard;
  Client client(options_for("redis://me.too:p%22a%20ss@127.0.0.1:" + std::to_string(server.port()) +
                            "/3?name=tester"),
                heard);
  ASSERT_TRUE(connects(client)) << client.failure(Link::kControl).detail;
  for (const Link link : kLinks) {
    const std::string info = text_of(client.execute(link, {"CLIENT", "INFO"}, 5s));
    EXPECT_NE(info.find("user=me.too"), std::string::npos) << info;
    EXPECT_NE(info.find("name=tester"), std::string::npos) << info;
    EXPECT_NE(info.find("db=3"), std::string::npos) << info;
    EXPECT_NE(info.find("resp=3"), std::string::npos) << info;
  }
}

TEST(RedisSetup, OptionsAreChecked) {
  Heard heard;
  redis::ClientOptions options = options_for("redis://127.0.0.1:1");
  options.health_check_s = 0;
  EXPECT_THROW(Client(options, heard), InvalidOption);
  options = options_for("redis://127.0.0.1:1");
  options.first_wait_s = 2;
  EXPECT_THROW(Client(options, heard), InvalidOption);
  options = options_for("redis://127.0.0.1:1");
  options.max_reply_bytes = 5;
  EXPECT_THROW(Client(options, heard), InvalidOption);
  options = {};
  EXPECT_THROW(Client(options, heard), InvalidOption);
}

}  // namespace
}  // namespace zoocache::testing
