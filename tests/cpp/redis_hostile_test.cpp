// A server that sends anything: no crash, no hang, no reply in the wrong place, an error each time.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <vector>

#include "redis_client.h"
#include "redis_fake.h"
#include "seed.h"

namespace zoocache::testing {
namespace {

using redis::Answer;
using redis::Client;
using redis::ClientOptions;

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int index = 0; index < times; ++index) all += text;
  return all;
}

// Each breaks the protocol, whatever comes before it.
std::vector<std::string> hostile_texts() {
  return {
      "$\r\n",
      "!\r\n",
      "=\r\n",
      ";0\r\n",
      ";5\r\nhello\r\n",
      repeated("$?\r\n", 5),
      repeated("$?\r\n", 6) + ";0\r\n",
      "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n$?\r\n;0\r\n",
      repeated("*1\r\n", 7) + "+x\r\n",
      "$18446744073709551615\r\nx\r\n",
      "$18446744073709551614\r\n",
      "%9223372036854775808\r\n+a\r\n+b\r\n",
      "*-1\r\n",
      "$-1\r\n",
      "*x\r\n",
      "#x\r\n",
      "#\r\n",
      ":\r\n",
      "\r\n",
      "\n\n\n\r\n",
      std::string(3, '\0') + "\r\n",
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      "|1\r\n+a\r\n+b\r\n+c\r\n",
      ">1\r\n$\r\n",
      "$?\r\n;4\r\nabcd\r\n;0\r\n",
  };
}

void expect_no_reply_but_an_error(FakeServer& server, std::size_t index) {
  SCOPED_TRACE("text " + std::to_string(index));
  Heard heard;
  ClientOptions options = options_for(server.url());
  options.health_check_s = 0.1;
  options.connect_timeout_s = 0.1;
  Client client(options, heard);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] {
    const Answer answer = client.execute(Link::kData, {"GET", "a"}, 100ms);
    EXPECT_FALSE(answer.has_reply()) << text_of(answer);
    return client.failure(Link::kData).trouble != Trouble::kNotConnected &&
           !client.is_connected(Link::kData);
  }));
  EXPECT_LT(milliseconds_since(start), 5000);
  const Trouble trouble = client.failure(Link::kData).trouble;
  EXPECT_TRUE(trouble == Trouble::kProtocol || trouble == Trouble::kSetupRefused ||
              trouble == Trouble::kSilent)
      << name_of(trouble) << ": " << client.failure(Link::kData).detail;
}

TEST(RedisHostile, InsteadOfTheFirstReply) {
  const auto texts = hostile_texts();
  for (std::size_t index = 0; index < texts.size(); ++index) {
    FakeServer server([&](const std::string&, int) { return texts[index]; });
    expect_no_reply_but_an_error(server, index);
  }
}

TEST(RedisHostile, InsteadOfAReplyToACommand) {
  const auto texts = hostile_texts();
  for (std::size_t index = 0; index < texts.size(); ++index) {
    FakeServer server([&](const std::string& received, int count) {
      return count == 0 ? FakeServer::setup_replies(received) : texts[index];
    });
    expect_no_reply_but_an_error(server, index);
  }
}

// A reply that nobody asked for would be taken for the next command's.
TEST(RedisHostile, AReplyThatNobodyAskedForEndsTheConnection) {
  FakeServer server([&](const std::string& received, int count) -> std::string {
    if (count == 0) return FakeServer::setup_replies(received);
    return "+mine\r\n+unasked\r\n";
  });
  Heard heard;
  Client client(options_for(server.url()), heard);
  ASSERT_TRUE(connects(client));
  EXPECT_EQ(text_of(client.execute(Link::kData, {"GET", "a"}, 2s)), "mine");
  ASSERT_TRUE(eventually([&] { return heard.count(Heard::Event::Kind::kLost, Link::kData) == 1; }));
  EXPECT_EQ(heard.events().back().link, Link::kData);
  for (const Heard::Event& event : heard.events()) {
    if (event.kind == Heard::Event::Kind::kLost && event.link == Link::kData) {
      EXPECT_EQ(event.why.trouble, Trouble::kProtocol);
      EXPECT_NE(event.why.detail.find("unasked"), std::string::npos) << event.why.detail;
    }
  }
}

// Claimed, and never sent, while some bytes come for each health check: nothing is allocated for
// it, and the time-outs end it.
TEST(RedisHostile, AHundredGigabytes) {
  FakeServer server([&](const std::string& received, int count) -> std::string {
    return count == 0 ? FakeServer::setup_replies(received) : "$100000000000\r\nabc";
  });
  expect_no_reply_but_an_error(server, 0);
}

TEST(RedisHostile, ALineWithoutAnEndIsBounded) {
  FakeServer server([&](const std::string& received, int count) -> std::string {
    return count == 0 ? FakeServer::setup_replies(received) : "+" + std::string(1 << 19, 'x');
  });
  Heard heard;
  ClientOptions options = options_for(server.url());
  options.max_reply_bytes = 1 << 18;
  Client client(options, heard);
  ASSERT_TRUE(connects(client));
  const Answer answer = client.execute(Link::kData, {"GET", "a"}, 5s);
  EXPECT_EQ(answer.failure.trouble, Trouble::kProtocol) << text_of(answer);
}

// Many small values take more room than their bytes.
TEST(RedisHostile, MoreValuesThanAnyReplyHas) {
  const std::string flood = "*3000000\r\n" + repeated(":1\r\n", 1 << 14);
  FakeServer server([&](const std::string& received, int count) -> std::string {
    return count == 0 ? FakeServer::setup_replies(received) : flood;
  });
  Heard heard;
  Client client(options_for(server.url()), heard);
  ASSERT_TRUE(connects(client));
  const Answer answer = client.execute(Link::kData, {"GET", "a"}, 300ms);
  EXPECT_FALSE(answer.has_reply());
}

TEST(RedisHostile, SilenceAfterTheConnectionWasMade) {
  FakeServer server([](const std::string&, int) { return std::string(); });
  Heard heard;
  ClientOptions options = options_for(server.url());
  options.health_check_s = 0.1;
  const Client client(options, heard);
  EXPECT_TRUE(eventually([&] { return client.failure(Link::kData).trouble == Trouble::kSilent; }));
}

TEST(RedisHostile, AServerThatIsFullSaysSo) {
  FakeServer server([](const std::string&, int) {
    return std::string("-ERR max number of clients reached\r\n");
  });
  Heard heard;
  const Client client(options_for(server.url()), heard);
  EXPECT_TRUE(
      eventually([&] { return client.failure(Link::kData).trouble == Trouble::kSetupRefused; }));
  EXPECT_NE(client.failure(Link::kData).detail.find("max number"), std::string::npos)
      << client.failure(Link::kData).detail;
}

// A server that repeats what it was told.
TEST(RedisHostile, APasswordThatTheServerEchoesIsNotTold) {
  FakeServer server(
      [](const std::string&, int) { return std::string("-WRONGPASS hunter2 is wrong\r\n"); });
  Heard heard;
  const Client client(options_for("redis://:hunter2@127.0.0.1:" + std::to_string(server.port())),
                      heard);
  EXPECT_TRUE(
      eventually([&] { return client.failure(Link::kData).trouble == Trouble::kSetupRefused; }));
  EXPECT_EQ(client.failure(Link::kData).detail, "WRONGPASS *** is wrong");
}

// Bytes out of the protocol's alphabet, at random, before and after the connection is up.
TEST(RedisHostile, AnyBytes) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  std::atomic<int> sent{0};
  const auto noise = [&] {
    static const std::vector<std::string> kPieces = {
        "$",   "*", "+", "-",    ":",    ";",    "%", "~", ">",
        "|",   "=", "!", "#",    "_",    ",",    "(", "?", "0",
        "1",   "2", "5", "\r\n", "\r\n", "\r\n", "a", "t", std::string(1, '\0'),
        "\xff"};
    std::string text;
    for (std::uint64_t left = 1 + random() % 40; left > 0; --left) {
      text += kPieces[random() % kPieces.size()];
    }
    ++sent;
    return text;
  };
  FakeServer server([&](const std::string& received, int count) {
    return count == 0 && random() % 4 != 0 ? FakeServer::setup_replies(received) : noise();
  });
  Heard heard;
  ClientOptions options = options_for(server.url());
  options.health_check_s = 0.02;
  options.connect_timeout_s = 0.02;
  options.first_wait_s = options.most_wait_s = 0.001;
  Client client(options, heard);
  const auto until = std::chrono::steady_clock::now() + 3s;
  while (std::chrono::steady_clock::now() < until) {
    client.execute(Link::kControl, {"GET", "a"}, 5ms);
    client.execute(Link::kData, {"GET", "a"}, 5ms);
  }
  EXPECT_GT(sent.load(), 50);
  EXPECT_EQ(client.stats().exceptions, 0U);
  std::printf("%d answers of noise, %d losses\n", sent.load(),
              static_cast<int>(client.stats().losses));
}

}  // namespace
}  // namespace zoocache::testing
