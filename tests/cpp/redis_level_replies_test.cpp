// What a second level makes of a server's replies: any of them, in any order.
#include <gtest/gtest.h>
#include <zoocache/errors.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec/envelope.h"
#include "core/second_level.h"
#include "redis/redis_level.h"
#include "redis_level_support.h"

namespace zoocache::testing {
namespace {

using core::SecondLevel;
using core::StoredValue;
using redis::Link;
using Kind = SecondLevel::Claim::Kind;
using Waited = SecondLevel::Waited;
using namespace std::chrono_literals;

// What it throws, if it is HomeUnreachable.
std::string trouble_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const HomeUnreachable& error) {
    return error.what();
  }
  return "";
}

// Answers what the test says, to whatever it is asked, in turn.
class Script final : public PresentServer {
 public:
  explicit Script(std::vector<redis::Answer> answers) : answers_(std::move(answers)) {}
  redis::Answer execute(Link, redis::Command, std::chrono::nanoseconds) override {
    if (next_ == answers_.size()) return {{}, {redis::Trouble::kTimeout, ""}};
    return answers_[next_++];
  }

 private:
  const std::vector<redis::Answer> answers_;
  std::size_t next_ = 0;
};

std::unique_ptr<redis::RedisLevel> level_that_hears(std::vector<redis::Reply> replies) {
  std::vector<redis::Answer> answers;
  for (redis::Reply& one : replies) answers.push_back({std::move(one), {}});
  redis::LevelOptions options;
  options.prefix = "p";
  options.claim_ms = 1000;
  options.max_value_bytes = 1000;
  return std::make_unique<redis::RedisLevel>(options,
                                             [answers](const std::string&, redis::Listener&) {
                                               return std::make_unique<Script>(answers);
                                             });
}

redis::Reply text(std::string bytes) { return {redis::Type::kString, std::move(bytes), {}}; }
redis::Reply number(std::int64_t value) {
  return {redis::Type::kInteger, std::to_string(value), {}};
}
redis::Reply list(std::vector<redis::Reply> items) {
  return {redis::Type::kArray, "", std::move(items)};
}

std::string envelope(std::int64_t lives_ns) {
  codec::EntryView entry;
  entry.expiry_ns = lives_ns;
  entry.key = "key";
  entry.payload = "value";
  return codec::EnvelopeCodec().encode(entry);
}

// Another entry takes its place, just before or just after its bytes are read.
TEST(RedisLevelReplies, TheShorterTimeToLiveCounts) {
  const std::string bytes = envelope(3'600'000'000'000);
  for (const auto& [before, after] : {std::pair{2000, 900'000}, std::pair{900'000, 2000}}) {
    const auto level = level_that_hears({number(before), text(bytes), number(after)});
    const std::optional<StoredValue> there = level->get("key");
    ASSERT_TRUE(there);
    EXPECT_EQ(there->lives_ns, 2'000'000'000);
  }
  EXPECT_FALSE(level_that_hears({number(-2), text(bytes), number(5000)})->get("key"));
  EXPECT_FALSE(level_that_hears({number(5000), text(bytes), number(-2)})->get("key"));
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const auto bounded = level_that_hears({number(most), text(bytes), number(most)})->get("key");
  ASSERT_TRUE(bounded);
  EXPECT_EQ(bounded->lives_ns, 3'600'000'000'000) << "no longer than it was given";
  const std::int64_t least = -most;  // its product wraps around
  EXPECT_FALSE(level_that_hears({number(5000), text(bytes), number(least)})->get("key"));
  EXPECT_FALSE(level_that_hears({number(5000), text(envelope(-1)), number(5000)})->get("key"));
}

TEST(RedisLevelReplies, NonsenseIsNoValue) {
  const redis::Reply error{redis::Type::kError, "LOADING the data", {}};
  for (const redis::Reply& odd :
       {redis::Reply(), number(5), number(-5), text("x"), list({}), list({number(1)}),
        list({text("mine"), text("x"), list({})}), list({text("taken")}),
        list({text("taken"), text("0")}), list({text("taken"), text("18446744073709551616")}),
        list({text("found"), text(envelope(0))}), list({text("found"), number(1), number(1)}),
        error, redis::Reply{redis::Type::kMap, "", {text("a"), text("b")}}}) {
    std::optional<StoredValue> there;
    trouble_of([&] { there = level_that_hears({odd, odd, odd})->get("key"); });
    EXPECT_FALSE(there);
    SecondLevel::Claim claim;
    const std::string trouble = trouble_of([&] {
      claim = level_that_hears({odd, odd, odd, odd})->claim("key", std::nullopt);
    });
    EXPECT_TRUE(!trouble.empty() || claim.kind == Kind::kMine) << odd.text;
    trouble_of([&] { EXPECT_EQ(level_that_hears({odd})->wait("key", 1, 0s), Waited::kEnded); });
  }
  EXPECT_NE(trouble_of([&] { level_that_hears({number(1), error, number(1)})->get("key"); }), "");
  EXPECT_NE(trouble_of([&] { level_that_hears({error})->wait("key", 1, 0s); }), "");
  EXPECT_NE(trouble_of([&] { level_that_hears({error})->put("key", 0, StoredValue()); }), "");
  // What is found is damaged, again and again: the caller goes on without a claim.
  const redis::Reply damaged = list({text("found"), text("x"), number(1)});
  EXPECT_NE(trouble_of([&] {
              level_that_hears({damaged, damaged, damaged, list({text("mine")})})
                  ->claim("key", std::nullopt);
            }),
            "");
}

}  // namespace
}  // namespace zoocache::testing
