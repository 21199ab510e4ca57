// What breaks between a client and a real server, and how soon it works again.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "redis_client.h"

namespace zoocache::testing {
namespace {

using Clock = std::chrono::steady_clock;
using redis::Answer;
using redis::Client;
using redis::ClientOptions;
using redis::Command;

class RedisOutage : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_REDIS_SERVER();
    server_ = std::make_unique<RedisServer>();
    client_ = std::make_unique<Client>(options_for(server_->url()), heard_);
    ASSERT_TRUE(connects(*client_)) << client_->failure(Link::kControl).detail;
  }
  // Milliseconds until both connections are up again.
  double until_connected() const {
    const auto start = Clock::now();
    EXPECT_TRUE(connects(*client_)) << client_->failure(Link::kControl).detail;
    return milliseconds_since(start);
  }
  std::size_t heard(Heard::Event::Kind kind, Link link) const { return heard_.count(kind, link); }
  std::string echo(Link link) { return text_of(ask_until_answered(*client_, link, {"ECHO", "a"})); }
  void expect_messages_arrive() {
    const std::size_t before = heard_.payloads().size();
    server_->command({"PUBLISH", "ch", "again"});
    EXPECT_TRUE(eventually([&] { return heard_.payloads().size() > before; }));
    EXPECT_EQ(heard_.payloads().back(), "again");
  }

  std::unique_ptr<RedisServer> server_;
  Heard heard_;
  std::unique_ptr<Client> client_;
};

TEST_F(RedisOutage, ClientKillIsOverAtOnceAndTheChannelIsSubscribedAgain) {
  double worst_ms = 0;
  for (std::size_t round = 1; round <= 3; ++round) {
    const auto start = Clock::now();
    server_->command({"CLIENT", "KILL", "SKIPME", "yes"});
    ASSERT_TRUE(eventually([&] {
      return heard(Heard::Event::Kind::kBack, Link::kControl) == round + 1 &&
             heard(Heard::Event::Kind::kBack, Link::kData) == round + 1;
    }));
    worst_ms = std::max(worst_ms, milliseconds_since(start));
    EXPECT_EQ(heard(Heard::Event::Kind::kLost, Link::kControl), round);
    expect_messages_arrive();
    EXPECT_EQ(echo(Link::kData), "a");
  }
  for (const Heard::Event& event : heard_.events()) {
    if (event.kind == Heard::Event::Kind::kLost) {
      EXPECT_EQ(event.why.trouble, Trouble::kClosed);
    }
  }
  EXPECT_LT(worst_ms, 2000);
  std::printf("back after CLIENT KILL: %.0f ms at worst\n", worst_ms);
}

// Publications and kills at the same moment: what was published before the loss arrives before the
// loss is told.
TEST_F(RedisOutage, NoMessageIsTakenForTheNewConnections) {
  for (int round = 0; round < 20; ++round) {
    const std::size_t back = heard(Heard::Event::Kind::kBack, Link::kControl);
    const Command publish_and_kill{
        "EVAL",
        "redis.call('PUBLISH', 'ch', ARGV[1]) redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub')", "0",
        std::to_string(round)};
    client_->execute(Link::kControl, publish_and_kill, 1s);
    server_->command({"CLIENT", "KILL", "TYPE", "pubsub"});
    ASSERT_TRUE(
        eventually([&] { return heard(Heard::Event::Kind::kBack, Link::kControl) > back; }));
    ASSERT_TRUE(connects(*client_));
  }
  std::size_t lost = 0;
  std::size_t back = 0;
  for (const Heard::Event& event : heard_.events()) {
    if (event.link != Link::kControl) continue;
    back += event.kind == Heard::Event::Kind::kBack ? 1U : 0U;
    EXPECT_EQ(back, lost + 1) << "on no connection";
    lost += event.kind == Heard::Event::Kind::kLost ? 1U : 0U;
  }
}

TEST_F(RedisOutage, KilledServers) {
  for (const auto down : {300ms, 3000ms}) {
    server_->kill_hard();
    const auto killed = Clock::now();
    ASSERT_TRUE(eventually([&] { return !client_->is_connected(Link::kData); }));
    const Answer answer = client_->execute(Link::kData, {"PING"}, 1s);
    EXPECT_EQ(answer.failure.trouble, Trouble::kNotConnected);
    EXPECT_FALSE(answer.may_have_run());
    EXPECT_LT(milliseconds_since(killed), 900)
        << "a command must not wait for a server that is gone";
    std::this_thread::sleep_until(killed + down);
    EXPECT_EQ(client_->failure(Link::kData).trouble, Trouble::kRefused);
    server_->start();
    const double took_ms = until_connected();
    EXPECT_LT(took_ms, 2500);
    std::printf("down %ld ms: connected %.0f ms after it is up\n", static_cast<long>(down.count()),
                took_ms);
    expect_messages_arrive();
    EXPECT_EQ(echo(Link::kData), "a");
  }
}

TEST_F(RedisOutage, AStoppedServerIsATimeOutThenALossAndThenWorks) {
  server_->stop();
  const auto start = Clock::now();
  const Answer answer = client_->execute(Link::kControl, {"PING"}, 200ms);
  EXPECT_EQ(answer.failure.trouble, Trouble::kTimeout) << text_of(answer);
  EXPECT_TRUE(answer.may_have_run());
  EXPECT_GE(milliseconds_since(start), 199);
  EXPECT_LT(milliseconds_since(start), 1000);
  // Silent for two intervals of the health check, half a second each.
  ASSERT_TRUE(eventually([&] { return !client_->is_connected(Link::kControl); }));
  EXPECT_LT(milliseconds_since(start), 4000);
  std::printf("stopped server found out after %.0f ms\n", milliseconds_since(start));
  EXPECT_EQ(heard_.events().back().why.trouble, Trouble::kSilent);
  server_->go_on();
  const double took_ms = until_connected();
  EXPECT_LT(took_ms, 5000);
  expect_messages_arrive();
}

// A caller that stopped waiting must not find its command done later.
TEST_F(RedisOutage, CommandsThatTimedOutWhileTheServerWasDownNeverRun) {
  server_->kill_hard();
  std::atomic<int> answered{0};
  std::atomic<int> with_reply{0};
  constexpr int kCommands = 200;
  for (int index = 0; index < kCommands; ++index) {
    client_->async_execute(index % 2 == 0 ? Link::kControl : Link::kData, {"INCR", "ghost"}, 20ms,
                           [&](const Answer& answer) {
                             with_reply += answer.has_reply() ? 1 : 0;
                             ++answered;
                           });
  }
  EXPECT_TRUE(eventually([&] { return answered == kCommands; }));
  server_->start();
  ASSERT_TRUE(connects(*client_));
  EXPECT_EQ(echo(Link::kControl), "a");
  EXPECT_EQ(echo(Link::kData), "a");
  EXPECT_EQ(with_reply.load(), 0);
  EXPECT_TRUE(client_->execute(Link::kControl, {"GET", "ghost"}, 5s).reply.is_null());
}

// The same, with commands that were accepted before the server went: each may have run before its
// end, none after it.
TEST_F(RedisOutage, NoCommandIsSentTwiceNorAfterItsFailure) {
  std::atomic<bool> is_over{false};
  std::mutex mutex;
  std::set<std::string> refused;
  std::vector<std::thread> threads;
  for (int index = 0; index < 3; ++index) {
    threads.emplace_back([&, index] {
      for (int round = 0; !is_over; ++round) {
        const std::string mine = std::to_string(index) + ":" + std::to_string(round);
        const Answer answer =
            client_->execute(Link::kControl, {"HINCRBY", "runs", mine, "1"}, 50ms);
        if (answer.has_reply()) {
          EXPECT_EQ(answer.reply.integer(), 1) << mine;
        } else if (!answer.may_have_run()) {
          const std::lock_guard lock(mutex);
          refused.insert(mine);
          std::this_thread::sleep_for(1ms);
        }
      }
    });
  }
  for (int round = 0; round < 6; ++round) {
    std::this_thread::sleep_for(150ms);
    if (round % 2 == 0) {
      server_->command({"CLIENT", "KILL", "SKIPME", "yes"});
    } else {
      server_->stop();
      std::this_thread::sleep_for(120ms);
      server_->go_on();
    }
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  const Answer runs = ask_until_answered(*client_, Link::kControl, {"HGETALL", "runs"});
  ASSERT_TRUE(runs.has_reply());
  EXPECT_GT(runs.reply.items.size(), 100U);
  EXPECT_FALSE(refused.empty());
  for (std::size_t index = 0; index + 1 < runs.reply.items.size(); index += 2) {
    EXPECT_EQ(runs.reply.items[index + 1].text, "1") << runs.reply.items[index].text;
    EXPECT_FALSE(refused.contains(runs.reply.items[index].text));
  }
}

// Callers pay one time-out, then none until somebody got through.
TEST_F(RedisOutage, TheBreakerSparesTheOthersTheWait) {
  ClientOptions options = options_for(server_->url());
  options.health_check_s = 30;
  options.breaker.first_pause_ns = 2'000'000'000;
  Client client(options, heard_);
  ASSERT_TRUE(connects(client));
  server_->stop();
  EXPECT_EQ(client.execute(Link::kData, {"GET", "a"}, 100ms).failure.trouble, Trouble::kTimeout);
  const auto start = Clock::now();
  for (int round = 0; round < 50; ++round) {
    const Answer answer = client.execute(Link::kData, {"GET", "a"}, 100ms);
    EXPECT_EQ(answer.failure.trouble, Trouble::kBreakerOpen);
    EXPECT_FALSE(answer.may_have_run());
  }
  EXPECT_LT(milliseconds_since(start), 1000);
  EXPECT_EQ(client.execute(Link::kControl, {"PING"}, 50ms).failure.trouble, Trouble::kTimeout)
      << "it is not for the control connection";
  server_->go_on();
  EXPECT_TRUE(ask_until_answered(client, Link::kData, {"GET", "a"}).has_reply());
  EXPECT_TRUE(client.execute(Link::kData, {"GET", "a"}, 5s).has_reply());
  EXPECT_GE(client.stats().breaker_openings, 1U);
  EXPECT_EQ(client.stats().losses, 0U);
}

// Also where answers are under way: all of them come, as failures.
TEST_F(RedisOutage, TakenDownInMillisecondsWithTheServerGoneStoppedOrWell) {
  for (const int how : {0, 1, 2}) {
    if (how == 1) server_->stop();
    if (how == 2) server_->kill_hard();
    auto client = std::make_unique<Client>(options_for(server_->url()), heard_);
    if (how == 0) {
      ASSERT_TRUE(connects(*client));
    }
    std::this_thread::sleep_for(50ms);
    std::atomic<int> answers{0};
    for (int index = 0; index < 10; ++index) {
      client->async_execute(Link::kControl, {"PING"}, 5s, [&](const Answer&) { ++answers; });
    }
    const auto start = Clock::now();
    client.reset();
    const double took_ms = milliseconds_since(start);
    EXPECT_EQ(answers.load(), 10);
    std::printf("taken down in %.2f ms (%s)\n", took_ms,
                how == 0   ? "well"
                : how == 1 ? "stopped"
                           : "gone");
    EXPECT_LT(took_ms, 500);  // 10 ms on a machine that is not busy
    if (how == 1) server_->go_on();
  }
}

TEST(RedisRefused, ASubscriptionThatTheServerRefusesEndsInAnErrorAndMixesUpNothing) {
  NEEDS_REDIS_SERVER();
  RedisServer server;
  server.command({"ACL", "SETUSER", "deaf", "on", ">secret", "~*", "resetchannels", "+@all"});
  Heard heard;
  Client client(options_for("redis://deaf:secret@127.0.0.1:" + std::to_string(server.port())),
                heard);
  ASSERT_TRUE(eventually([&] { return client.is_connected(Link::kData); }));
  ASSERT_TRUE(
      eventually([&] { return client.failure(Link::kControl).trouble == Trouble::kSetupRefused; }));
  EXPECT_NE(client.failure(Link::kControl).detail.find("NOPERM"), std::string::npos)
      << client.failure(Link::kControl).detail;
  for (int index = 0; index < 50; ++index) {
    const std::string mine = std::to_string(index);
    EXPECT_EQ(text_of(client.execute(Link::kData, {"ECHO", mine}, 5s)), mine);
    const Answer refused = client.execute(Link::kControl, {"ECHO", mine}, 5s);
    EXPECT_EQ(refused.failure.trouble, Trouble::kNotConnected) << text_of(refused);
  }
  server.command({"ACL", "SETUSER", "deaf", "allchannels"});
  EXPECT_TRUE(connects(client)) << "it goes on trying";
}

TEST(RedisRefused, WrongPassword) {
  NEEDS_REDIS_SERVER();
  RedisServer server;
  Heard heard;
  const Client client(options_for("redis://me:hunter2@127.0.0.1:" + std::to_string(server.port())),
                      heard);
  ASSERT_TRUE(
      eventually([&] { return client.failure(Link::kData).trouble == Trouble::kSetupRefused; }));
  const std::string detail = client.failure(Link::kData).detail;
  EXPECT_NE(detail.find("WRONGPASS"), std::string::npos) << detail;
  EXPECT_EQ(detail.find("hunter2"), std::string::npos) << detail;
  EXPECT_EQ(heard.events().size(), 0U) << "what never was cannot be lost";
}

TEST(RedisRefused, NoSuchDatabase) {
  NEEDS_REDIS_SERVER();
  RedisServer server;
  Heard heard;
  const Client client(options_for(server.url() + "/99"), heard);
  EXPECT_TRUE(
      eventually([&] { return client.failure(Link::kData).trouble == Trouble::kSetupRefused; }));
  EXPECT_NE(client.failure(Link::kData).detail.find("DB index"), std::string::npos);
}

TEST(RedisRefused, NoRouteNobodyAndNoName) {
  const auto trouble = [](const std::string& url) {
    ClientOptions options = options_for(url);
    options.connect_timeout_s = 0.2;
    Heard heard;
    const Client client(options, heard);
    EXPECT_TRUE(eventually([&] {
      return client.failure(Link::kData).trouble != Trouble::kNotConnected;
    })) << url;
    return client.failure(Link::kData).trouble;
  };
  EXPECT_EQ(trouble("redis://127.0.0.1:" + std::to_string(free_port())), Trouble::kRefused);
  EXPECT_EQ(trouble("redis+unix:///nowhere/at.all"), Trouble::kRefused);
  // An address for documentation, which no machine has: a router or firewall may say so, or nobody.
  const Trouble away = trouble("redis://192.0.2.1");
  EXPECT_TRUE(away == Trouble::kNoRoute || away == Trouble::kConnectTimeout ||
              away == Trouble::kRefused)
      << name_of(away);
  const Trouble name = trouble("redis://no-such-host.invalid");
  EXPECT_TRUE(name == Trouble::kHostNotFound || name == Trouble::kConnectTimeout) << name_of(name);
}

}  // namespace
}  // namespace zoocache::testing
