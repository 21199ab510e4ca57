// TLS to a real server: whom the client believes, and what it says before it knows.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "redis_client.h"

namespace zoocache::testing {
namespace {

using redis::Client;
using redis::ClientOptions;
using redis::Failure;

bool has_tools() { return RedisServer::is_installed() && is_on_path("openssl"); }

#define NEEDS_TLS_TOOLS() \
  if (!has_tools()) GTEST_SKIP() << "redis-server or openssl is not installed on this machine"

std::string url_of(const std::string& host, std::uint16_t port, const std::string& ca_file) {
  return "rediss://" + host + ":" + std::to_string(port) + "?ca=" + ca_file;
}

// Why a client that must not be let in is not let in.
Failure refusal(const std::string& url) {
  Heard heard;
  ClientOptions options = options_for(url);
  options.connect_timeout_s = 0.5;
  const Client client(options, heard);
  EXPECT_TRUE(
      eventually([&] { return client.failure(Link::kData).trouble != Trouble::kNotConnected; }));
  EXPECT_FALSE(client.is_connected(Link::kData));
  EXPECT_TRUE(heard.events().empty());
  return client.failure(Link::kData);
}

TEST(RedisTls, RightNameAndRightAuthority) {
  NEEDS_TLS_TOOLS();
  RedisServer server({.has_tls = true});
  for (const std::string host : {"localhost", "127.0.0.1"}) {
    Heard heard;
    Client client(options_for(url_of(host, server.port(), server.file("ca.crt"))), heard);
    ASSERT_TRUE(connects(client)) << host << ": " << client.failure(Link::kData).detail;
    const std::string value(1 << 20, 'x');
    EXPECT_EQ(text_of(client.execute(Link::kData, {"SET", "k", value}, 5s)), "OK");
    EXPECT_TRUE(text_of(client.execute(Link::kData, {"GET", "k"}, 5s)) == value);
    client.execute(Link::kData, {"PUBLISH", "ch", "over TLS"}, 5s);
    EXPECT_TRUE(eventually([&] { return heard.payloads().size() == 1; }));
  }
}

TEST(RedisTls, WrongName) {
  NEEDS_TLS_TOOLS();
  RedisServer server({.has_tls = true, .certificate_names = "DNS:somebody.else,IP:127.0.0.2"});
  for (const std::string host : {"localhost", "127.0.0.1"}) {
    const Failure why = refusal(url_of(host, server.port(), server.file("ca.crt")));
    EXPECT_EQ(why.trouble, Trouble::kTls) << why.detail;
    EXPECT_NE(why.detail.find(host), std::string::npos) << why.detail;
  }
}

TEST(RedisTls, WrongAuthority) {
  NEEDS_TLS_TOOLS();
  RedisServer server({.has_tls = true});
  const RedisServer other({.has_tls = true});
  const Failure of_another = refusal(url_of("localhost", server.port(), other.file("ca.crt")));
  EXPECT_EQ(of_another.trouble, Trouble::kTls) << of_another.detail;
  // The system's authorities did not sign it either.
  const Failure of_none = refusal("rediss://localhost:" + std::to_string(server.port()));
  EXPECT_EQ(of_none.trouble, Trouble::kTls) << of_none.detail;
}

TEST(RedisTls, NoFileOfAuthorities) {
  const Failure why = refusal(url_of("localhost", free_port(), "/nowhere/ca.crt"));
  EXPECT_EQ(why.trouble, Trouble::kTls) << why.detail;
}

TEST(RedisTls, APlainPort) {
  NEEDS_TLS_TOOLS();
  RedisServer server;
  server.make_certificates();
  const Failure why = refusal(url_of("localhost", server.port(), server.file("ca.crt")));
  EXPECT_TRUE(why.trouble == Trouble::kTls || why.trouble == Trouble::kTlsTimeout ||
              why.trouble == Trouble::kClosed)
      << name_of(why.trouble) << ": " << why.detail;
}

TEST(RedisTls, KilledAndStartedAgain) {
  NEEDS_TLS_TOOLS();
  RedisServer server({.has_tls = true});
  Heard heard;
  Client client(options_for(url_of("localhost", server.port(), server.file("ca.crt"))), heard);
  ASSERT_TRUE(connects(client));
  server.kill_hard();
  ASSERT_TRUE(eventually([&] { return !client.is_connected(Link::kData); }));
  server.start();
  ASSERT_TRUE(connects(client)) << client.failure(Link::kData).detail;
  EXPECT_EQ(text_of(ask_until_answered(client, Link::kData, {"ECHO", "a"})), "a");
  // Somebody else in its place is not let in.
  server.kill_hard();
  server.make_certificates();
  server.start();
  RedisServer other({.has_tls = true});
  const Failure why = refusal(url_of("localhost", server.port(), other.file("ca.crt")));
  EXPECT_EQ(why.trouble, Trouble::kTls) << why.detail;
}

// A server that reads the client's first message sees the name in it (SNI), but no address.
TEST(RedisTls, TheNameIsSentAlong) {
  NEEDS_TLS_TOOLS();
  for (const std::string host : {"localhost", "127.0.0.1"}) {
    const Listening listening;
    ASSERT_EQ(listen(listening.socket_number(), 8), 0);
    const RedisServer authority({.has_tls = true});
    Heard heard;
    const Client client(options_for(url_of(host, listening.port(), authority.file("ca.crt"))),
                        heard);
    const int socket = accept(listening.socket_number(), nullptr, nullptr);
    ASSERT_GE(socket, 0);
    std::string first(4096, '\0');
    const ssize_t got = read(socket, first.data(), first.size());
    ASSERT_GT(got, 0);
    first.resize(static_cast<std::size_t>(got));
    close(socket);
    const bool has_name = first.find(host) != std::string::npos;
    EXPECT_EQ(has_name, host == "localhost");
  }
}

}  // namespace
}  // namespace zoocache::testing
