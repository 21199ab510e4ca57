// What a process remembers of its declarations, and the parsing of what a log's server sends.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/log.h"
#include "redis/journal.h"
#include "redis/protocol.h"

namespace zoocache::redis {
namespace {

using core::Change;

class RedisJournal : public ::testing::Test {
 protected:
  static constexpr std::int64_t kMemory = 100;

  // As append does it.
  void declare(const std::string& text) {
    const Change change(text);
    core::hold_changes(log_, {&change, 1});
    journal_.keep({&change, 1});
  }
  void acknowledge(const std::string& text, std::uint64_t nonce, std::int64_t at) {
    const Change change(text);
    journal_.acknowledged({&change, 1}, nonce, at);
  }
  bool is_held(const std::string& tag) {
    core::DepSet deps(log_);
    deps.add_tag(tag);
    return log_.standing(deps, nullptr, nullptr, log_.clock()) ==
           core::InvalidationLog::Standing::kHeld;
  }
  std::vector<std::string> sent() {
    std::vector<std::string> texts = journal_.begin_retry();
    journal_.end_retry(!texts.empty(), 9, 1'000'000);
    return texts;
  }
  using Texts = std::vector<std::string>;

  core::InvalidationLog log_{64};
  Journal journal_{log_, kMemory};
};

TEST_F(RedisJournal, KeepsInOrderAndHoldsUntilItIsAcknowledged) {
  declare("b");
  declare("a");
  EXPECT_EQ(journal_.begin_retry(), (Texts{"b", "a"}));
  EXPECT_EQ(journal_.begin_retry(), Texts()) << "on their way";
  declare("c");
  journal_.end_retry(false, 0, 0);
  EXPECT_TRUE(is_held("a") && is_held("b") && is_held("c"));
  EXPECT_EQ(journal_.begin_retry(), (Texts{"b", "a", "c"}));
  declare("d");
  journal_.end_retry(true, 1, 0);
  EXPECT_FALSE(is_held("a") || is_held("b") || is_held("c"));
  EXPECT_TRUE(is_held("d"));
  EXPECT_EQ(sent(), Texts{"d"});
  EXPECT_FALSE(journal_.has_kept());
}

TEST_F(RedisJournal, OneTextOnceUnlessItIsOnItsWay) {
  declare("a");
  declare("a");
  EXPECT_EQ(journal_.begin_retry(), Texts{"a"});
  declare("a");
  journal_.end_retry(true, 1, 0);
  EXPECT_TRUE(is_held("a")) << "the later one may not have been heard";
  EXPECT_EQ(sent(), Texts{"a"});
  EXPECT_FALSE(is_held("a"));
}

TEST_F(RedisJournal, ManyAreSentInTurn) {
  for (std::size_t index = 0; index < Journal::kMostAtOnce + 1; ++index) {
    declare("t:" + std::to_string(index));
  }
  EXPECT_EQ(sent().size(), Journal::kMostAtOnce);
  EXPECT_EQ(sent().size(), 1U);
}

TEST_F(RedisJournal, TooManyAreEverything) {
  declare("first");
  EXPECT_EQ(journal_.begin_retry(), Texts{"first"});
  for (std::size_t index = 0; index < Journal::kMaxKept; ++index) {
    declare("t:" + std::to_string(index));
  }
  EXPECT_TRUE(is_held("whatever"));
  journal_.end_retry(true, 1, 0);
  EXPECT_TRUE(is_held("whatever"));
  EXPECT_EQ(sent(), Texts{""});
  EXPECT_FALSE(is_held("whatever") || is_held("first") || is_held("t:1"));
}

TEST_F(RedisJournal, WhatAnotherGenerationAcknowledgedIsDeclaredAgain) {
  acknowledge("a", 1, 50);
  acknowledge("b", 2, 60);
  journal_.replay(2, 0);
  EXPECT_EQ(sent(), Texts{"a"});
  EXPECT_FALSE(is_held("a"));
  journal_.replay(3, 0);
  EXPECT_EQ(sent(), (Texts{"b", "a"}));
}

TEST_F(RedisJournal, WhatIsForgottenIsEverythingToAGenerationThatIsOlder) {
  acknowledge("a", 1, 50);
  acknowledge("b", 1, 60);
  journal_.forget_before(150 + kMemory);
  journal_.replay(2, 61);
  EXPECT_EQ(sent(), Texts()) << "it began later: what it lacks nobody has cached in it";
  journal_.replay(3, 60);
  EXPECT_EQ(sent(), Texts{""});
  acknowledge("c", 1, 400);
  journal_.forget_before(400 + kMemory);
  journal_.replay(4, INT64_MIN);
  EXPECT_EQ(sent(), (Texts{"", "c"})) << "nothing was forgotten since";
}

TEST_F(RedisJournal, TooManyRecentOnesAreForgotten) {
  for (std::size_t index = 0; index <= Journal::kMaxRecent; ++index) acknowledge("a", 1, 50);
  journal_.replay(2, 50);
  EXPECT_EQ(sent(), Texts{""});
}

Reply numbers(const std::vector<std::string>& words) {
  Reply reply{Type::kArray, "", {}};
  for (const std::string& word : words) reply.items.push_back({Type::kInteger, word, {}});
  return reply;
}

TEST(RedisProtocol, RepliesThatDoNotFitAreNone) {
  EXPECT_TRUE(parse_beat(numbers({"1", "2", "0", "-5", "3", "1"})));
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"1", "2", "0"},
                                             {"1", "2", "0", "5", "0"},
                                             {"0", "2", "0", "5", "0", "1"},
                                             {"1", "-2", "0", "5", "0", "1"},
                                             {"1", "9007199254740992", "0", "5", "0", "1"},
                                             {"1", "x", "0", "5", "0", "1"},
                                             {"1", "2", "0", "5", "-1", "1"},
                                             {"1", "2", "0", "5", "0", "-1"},
                                             {"1", "2", "0", "5", "6", "1", "7"}}) {
    EXPECT_FALSE(parse_beat(numbers(words))) << words.size();
  }
  EXPECT_FALSE(parse_beat(Reply()));
  EXPECT_TRUE(parse_page(numbers({"0"})));
  EXPECT_TRUE(parse_page(numbers({"1", "2", "0", "2", "1"})));
  EXPECT_FALSE(parse_page(numbers({"0", "2", "0", "2", "1"})));
  EXPECT_FALSE(parse_page(numbers({"1", "2", "0", "2", "1", "7"}))) << "a text is a string";
  EXPECT_TRUE(parse_receipt(numbers({"1", "2", "1"})));
  EXPECT_FALSE(parse_receipt(numbers({"1", "0", "1"})));
  EXPECT_TRUE(parse_nodes(numbers({"1", "2", "1", "3", "4", "5"})));
  EXPECT_FALSE(parse_nodes(numbers({"1", "2", "1", "3", "4"})));
  EXPECT_FALSE(parse_nodes(numbers({"1", "2", "1", "3", "-4", "5"})));
}

TEST(RedisProtocol, Scores) {
  EXPECT_EQ(parse_score(Reply()), 0);
  EXPECT_EQ(parse_score({Type::kDouble, "-17", {}}), -17);
  for (const std::string text : {"inf", "-inf", "nan", "1e300", "", "7x"}) {
    EXPECT_FALSE(parse_score({Type::kDouble, text, {}})) << text;
  }
  EXPECT_FALSE(parse_score({Type::kArray, "", {}}));
}

TEST(RedisProtocol, MessagesThatDoNotFitAreNone) {
  const auto news = parse_news(std::string("12 7 me\n0:3:a\0b", 15));
  ASSERT_TRUE(news);
  EXPECT_EQ(news->nonce, 12U);
  EXPECT_EQ(news->epoch, 7U);
  EXPECT_EQ(news->origin, "me");
  EXPECT_EQ(news->texts, (std::vector<std::string>{"", std::string("a\0b", 3)}));
  EXPECT_TRUE(parse_news("12 7 me\n"));
  for (const std::string text :
       {"", "12", "12 ", "12 7", "12 7 me", "0 7 me\n", "-1 7 me\n", "12 7 me\n3", "12 7 me\n3:ab",
        "12 7 me\n:a", "12 7 me\n99999999999999999999:a", "12  7 me\n"}) {
    EXPECT_FALSE(parse_news(text)) << text;
  }
}

}  // namespace
}  // namespace zoocache::redis
