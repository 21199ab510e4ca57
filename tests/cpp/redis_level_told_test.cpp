// What whoever waits for the end of a claim does with what a server tells and says: any of it, in
// any order. With a real server: redis_level_wait_test.cpp.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "core/second_level.h"
#include "eventually.h"
#include "redis/redis_level.h"
#include "redis_level_support.h"

namespace zoocache::testing {

// A loaded machine takes its time.
bool eventually(const std::function<bool()>& is_so,
                std::chrono::milliseconds patience = std::chrono::seconds(10));

namespace {

using namespace std::chrono_literals;
using redis::Link;
using Waited = core::SecondLevel::Waited;

constexpr std::uint64_t kToken = 17;

// Answers every look as the test says, and lets it say what is pushed.
class Looks final : public PresentServer {
 public:
  Looks(std::string channel, redis::Listener& listener)
      : channel_(std::move(channel)), listener_(listener) {}

  redis::Answer execute(Link, redis::Command, std::chrono::nanoseconds) override {
    if (count++ == 0 && is_subscribed_meanwhile) subscribe();
    const std::string said = has_ended ? "ended" : is_noted ? "noted" : "runs";
    return {{redis::Type::kString, said, {}}, {}};
  }
  void open(Link link) override { is_open = is_open || link == Link::kControl; }

  void subscribe() { listener_.on_back(Link::kControl, {}); }
  void lose() { listener_.on_lost(Link::kControl, {}); }
  void push(const std::string& payload) { push(channel_, payload); }
  void push(const std::string& channel, const std::string& payload) {
    redis::Reply message{redis::Type::kPush, "", {}};
    for (const std::string& word : {std::string("message"), channel, payload}) {
      message.items.push_back({redis::Type::kString, word, {}});
    }
    listener_.on_push(message);
  }
  void push_short() { listener_.on_push({redis::Type::kPush, "", {}}); }

  std::atomic<std::size_t> count{0};
  std::atomic<bool> has_ended{false};
  std::atomic<bool> is_noted{true};
  std::atomic<bool> is_subscribed_meanwhile{false};
  std::atomic<bool> is_open{false};

 private:
  const std::string channel_;
  redis::Listener& listener_;
};

class RedisLevelTold : public ::testing::Test {
 protected:
  // Makes the connection: anything asks the server.
  RedisLevelTold() { level_.get("key"); }
  std::future<Waited> wait() {
    looks_->count = 0;
    return std::async(std::launch::async, [this] { return level_.wait("key", kToken, 20s); });
  }
  bool looks_more_than(std::size_t times) {
    return eventually([&] { return looks_->count > times; });
  }

  Looks* looks_ = nullptr;
  redis::RedisLevel level_{options_with(kNeverMs),
                           [this](const std::string& channel, redis::Listener& listener) {
                             auto made = std::make_unique<Looks>(channel, listener);
                             looks_ = made.get();
                             return made;
                           }};
};

TEST_F(RedisLevelTold, TheMessageEndsTheWait) {
  looks_->subscribe();
  for (const auto& [text, outcome] : {std::pair{"17", Waited::kEnded}, {"!17", Waited::kFailed}}) {
    std::future<Waited> waited = wait();
    ASSERT_TRUE(looks_more_than(0));
    looks_->push(text);
    EXPECT_EQ(waited.get(), outcome);
    EXPECT_EQ(looks_->count, 1U);
  }
}

TEST_F(RedisLevelTold, AllWhoWaitAreTold) {
  looks_->subscribe();
  std::future<Waited> one = wait();
  std::future<Waited> other = wait();
  ASSERT_TRUE(looks_more_than(0));
  EXPECT_TRUE(eventually([&] {
    looks_->push("17");
    return one.wait_for(0s) == std::future_status::ready &&
           other.wait_for(0s) == std::future_status::ready;
  }));
  EXPECT_EQ(one.get(), Waited::kEnded);
  EXPECT_EQ(other.get(), Waited::kEnded);
}

TEST_F(RedisLevelTold, OtherMessagesMeanNothing) {
  looks_->subscribe();
  std::future<Waited> waited = wait();
  ASSERT_TRUE(looks_more_than(0));
  for (const std::string& text :
       {std::string(), std::string("!"), std::string("0"), std::string("16"), std::string("17 "),
        std::string(" 17"), std::string("17x"), std::string("-17"), std::string("+17"),
        std::string("!!17"), std::string("18446744073709551633"), std::string("17\0", 3),
        std::string("\0\xff", 2), std::string(1 << 20, '1')}) {
    looks_->push(text);
  }
  looks_->push("{p}:n:another", "17");
  looks_->push_short();
  looks_->push("!17");
  looks_->push("17");
  EXPECT_EQ(waited.get(), Waited::kFailed);
}

TEST_F(RedisLevelTold, LooksUntilItIsSubscribed) {
  EXPECT_FALSE(looks_->is_open);
  std::future<Waited> waited = wait();
  EXPECT_TRUE(looks_more_than(5));
  EXPECT_TRUE(looks_->is_open) << "by the first who waits";
  looks_->has_ended = true;
  EXPECT_EQ(waited.get(), Waited::kEnded);
}

// What was published between the look and the subscription was told to nobody.
TEST_F(RedisLevelTold, LooksAgainIfItIsSubscribedAfterTheLook) {
  looks_->is_subscribed_meanwhile = true;
  std::future<Waited> waited = wait();
  EXPECT_TRUE(looks_more_than(1));
  looks_->has_ended = true;
  looks_->push("17");
  EXPECT_EQ(waited.get(), Waited::kEnded);
}

TEST_F(RedisLevelTold, LooksWhenTheSubscriptionIsLost) {
  looks_->subscribe();
  std::future<Waited> waited = wait();
  ASSERT_TRUE(looks_more_than(0));
  looks_->lose();
  EXPECT_TRUE(looks_more_than(1));
  looks_->has_ended = true;
  EXPECT_EQ(waited.get(), Waited::kEnded);
}

TEST_F(RedisLevelTold, LooksWhereItIsNotNoted) {
  looks_->subscribe();
  looks_->is_noted = false;
  std::future<Waited> waited = wait();
  EXPECT_TRUE(looks_more_than(5));
  looks_->has_ended = true;
  EXPECT_EQ(waited.get(), Waited::kEnded);
}

}  // namespace
}  // namespace zoocache::testing
