// URLs of Redis servers: what is accepted, what is refused, and that no message tells a password.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "redis/url.h"
#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

std::string refusal(const std::string& text) {
  try {
    static_cast<void>(parse_url(text));
  } catch (const InvalidOption& error) {
    return error.what();
  }
  return "";
}

TEST(RedisUrl, PlainServers) {
  const Url url = parse_url("redis://cache.example.org");
  EXPECT_EQ(url.hosts, (std::vector<Endpoint>{{"cache.example.org", 6379}}));
  EXPECT_FALSE(url.is_tls);
  EXPECT_EQ(url.database, 0);
  EXPECT_EQ(url.credentials, Credentials());
  EXPECT_EQ(parse_url("redis://h:7000/3").hosts[0].port, 7000);
  EXPECT_EQ(parse_url("redis://h:7000/3").database, 3);
  EXPECT_EQ(parse_url("redis://h/?db=4").database, 4);
  EXPECT_TRUE(parse_url("rediss://h").is_tls);
  EXPECT_EQ(parse_url("redis://[::1]:6380/0").hosts[0], (Endpoint{"::1", 6380}));
  EXPECT_EQ(parse_url("redis://[2001:db8::7]").hosts[0], (Endpoint{"2001:db8::7", 6379}));
}

TEST(RedisUrl, Credentials) {
  EXPECT_EQ(parse_url("redis://u:p@h").credentials, (Credentials{"u", "p"}));
  EXPECT_EQ(parse_url("redis://:p@h").credentials, (Credentials{"", "p"}));
  EXPECT_EQ(parse_url("redis://u@h").credentials, (Credentials{"u", ""}));
  EXPECT_EQ(parse_url("redis://a%20b:%40%2f%3A%00%ff@h").credentials,
            (Credentials{"a b", std::string("@/:\0\xff", 5)}));
  EXPECT_EQ(parse_url("redis://u:p@ss:word@h").credentials, (Credentials{"u", "p@ss:word"}));
}

TEST(RedisUrl, Sentinels) {
  const Url url = parse_url("redis+sentinel://u:p@a,b:5,[::1]:7/main%20one/2?sentinel_password=s");
  EXPECT_EQ(url.hosts, (std::vector<Endpoint>{{"a", 26379}, {"b", 5}, {"::1", 7}}));
  EXPECT_EQ(url.primary, "main one");
  EXPECT_EQ(url.database, 2);
  EXPECT_EQ(url.credentials, (Credentials{"u", "p"}));
  EXPECT_EQ(url.sentinel_credentials, (Credentials{"", "s"}));
  EXPECT_TRUE(parse_url("rediss+sentinel://a/m").is_tls);
}

TEST(RedisUrl, Sockets) {
  const Url url = parse_url("redis+unix://u:p@/run/redis%20a/r.sock?db=2");
  EXPECT_EQ(url.socket_path, "/run/redis a/r.sock");
  EXPECT_TRUE(url.hosts.empty());
  EXPECT_EQ(url.database, 2);
  EXPECT_EQ(url.credentials, (Credentials{"u", "p"}));
}

TEST(RedisUrl, Options) {
  const Url url =
      parse_url("rediss://h/1?ca=%2Fetc%2Fca.pem&name=me&timeout=0.25&connect_timeout=2");
  EXPECT_EQ(url.ca_file, "/etc/ca.pem");
  EXPECT_EQ(url.client_name, "me");
  EXPECT_EQ(url.timeout_s, 0.25);
  EXPECT_EQ(url.connect_timeout_s, 2);
  EXPECT_EQ(url.database, 1);
}

TEST(RedisUrl, WhatIsRefusedAndWhatTheMessageSays) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "without a scheme"},
      {"localhost:6379", "without a scheme"},
      {"http://h", "'http'"},
      {"redis://", "missing host"},
      {"redis://:6379", "missing host"},
      {"redis://u@h:0", "'0'"},
      {"redis://u@h:65536", "1 to 65535"},
      {"redis://u@h:12x", "'12x'"},
      {"redis://u@h:", "the port"},
      {"redis://a,b", "more than one host"},
      {"redis://u@h_!", "'h_!'"},
      {"redis://[::1", "IPv6"},
      {"redis://[hello]", "IPv6"},
      {"redis://[::1]x", "IPv6"},
      {"redis://h/-1", "'-1'"},
      {"redis://h/x", "'x'"},
      {"redis://h/0/1", "'0/1'"},
      {"redis://h/9999999", "database"},
      {"redis://h?ca=x", "only with TLS"},
      {"rediss://h?ca=", "PEM"},
      {"redis://h?timeout=0", "timeout="},
      {"redis://h?timeout=nan", "timeout="},
      {"redis://h?timeout=1e9", "3600"},
      {"redis://h?what=1", "sentinel_password"},
      {"redis://h?db", "name=value"},
      {"redis://h?sentinel_user=x", "redis+sentinel://"},
      {"redis://h?name=a%20b", "printable"},
      {"redis+sentinel://a", "name of the primary"},
      {"redis+sentinel://a/m/x", "'x'"},
      {"redis+sentinel://a,,b/m", "missing host"},
      {"redis+unix://host/path", "socket"},
      {"redis+unix://", "socket"},
      {"redis+unix:///" + std::string(200, 'p'), "106"},
      {"redis://h /0", "percent-encode"},
      {"redis://h#x", "%23"},
      {"redis://u:%4@h", "%25"},
      {"redis://u:%zz@h", "%25"},
      {"redis://" + std::string(5000, 'h'), "4096"},
  };
  for (const auto& [text, words] : cases) {
    const std::string message = refusal(text);
    EXPECT_NE(message.find("Redis URL: "), std::string::npos) << text;
    EXPECT_NE(message.find(words), std::string::npos) << text << "\n" << message;
  }
}

// Each is wrong in a way in which a password may be taken for something else.
TEST(RedisUrl, NoMessageHoldsAPassword) {
  for (const std::string text : {
           "redis://user:hunter2@host:99999999",
           "redis://user:hunter2",  // the @ and the host are missing
           "redis://:hunter2",
           "redis://hunter2!x",
           "redis://user:hunter2/more@host",
           "redis://user:hunter2%@host",
           "redis://user:hun?hunter2@host",
           "redis://user:hun#hunter2@host",
           "redis://user:hunter2@host/x",
           "redis://user:hunter2@host?db=x",
           "user:hunter2@host",
           "redis+sentinel://h/m?sentinel_password=hunter2%",
           "redis://h?sentinel_password=hunter2",
           "redis://h?hunter2=1",
           "redis+unix://user:hunter2@host/p",
       }) {
    const std::string message = refusal(text);
    EXPECT_NE(message, "") << text;
    EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
  }
  const Url url = parse_url("redis+sentinel://user:hunter2@h/m?sentinel_password=hunter2");
  EXPECT_EQ(describe(url), "redis+sentinel://h:26379/m/0");
}

}  // namespace
}  // namespace zoocache::redis
