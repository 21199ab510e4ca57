// Many calls and the second level at once, over a home and a storage that count their round trips.
#include <gtest/gtest.h>
#include <zoocache/home.h>
#include <zoocache/storage.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/home.h"
#include "core/level_batch.h"
#include "core/log.h"
#include "zoocache/errors.h"

namespace zoocache::core {
namespace {

using Found = LevelCall::Found;
using std::chrono::seconds;

constexpr std::uint64_t kFunction = 77;

// The level of memory, which counts batches, and fails when it is told to.
class CountingLevel final : public SecondLevel {
 public:
  explicit CountingLevel(std::shared_ptr<SecondLevel> level) : level_(std::move(level)) {}

  std::optional<StoredValue> get(std::string_view key) override { return level_->get(key); }
  Claim claim(std::string_view key, const std::optional<SeenEntry>& refused) override {
    if (--claims_left == 0) throw HomeUnreachable("as told");
    return level_->claim(key, refused);
  }
  Waited wait(std::string_view key, std::uint64_t token, std::chrono::nanoseconds most) override {
    ++waits;
    return level_->wait(key, token, most);
  }
  void put(std::string_view key, std::uint64_t token, const StoredValue& value) override {
    if (value.payload == "too large") throw StorageIsFull("as told");
    level_->put(key, token, value);
  }
  void release(std::string_view key, std::uint64_t token, bool failed) noexcept override {
    level_->release(key, token, failed);
  }

  const char* kind() const noexcept override { return "counting"; }

  std::vector<std::optional<StoredValue>> get_many(
      std::span<const std::string_view> keys) override {
    ++trips;
    auto values = SecondLevel::get_many(keys);
    if (after_get) after_get();
    return values;
  }
  void claim_many(std::span<Claiming> claims) override {
    ++trips;
    if (before_claims) before_claims();
    SecondLevel::claim_many(claims);
  }
  void put_many(std::span<Putting> puts) noexcept override {
    ++trips;
    SecondLevel::put_many(puts);
  }
  void release_many(std::span<const Releasing> releases) noexcept override {
    ++trips;
    SecondLevel::release_many(releases);
  }

  int trips = 0;
  int waits = 0;
  int claims_left = 0;  // 1: the next claim fails
  std::function<void()> after_get;
  std::function<void()> before_claims;

 private:
  const std::shared_ptr<SecondLevel> level_;
};

class Batches : public ::testing::Test {
 protected:
  struct Process {
    explicit Process(const HomePtr& home) : log(64) { log.set_home(home->connect()); }
    InvalidationLog log;
  };
  // A batch of the keys "f(0)", "f(1)", …
  struct Batch {
    Batch(Process& process, const std::shared_ptr<SecondLevel>& level, int first, int last)
        : batch(process.log, level) {
      for (int number = first; number < last; ++number) {
        const LevelKey key{kFunction, "f(" + std::to_string(number) + ")"};
        batch.add(calls.emplace_back(process.log, level, key));
      }
    }
    std::deque<LevelCall> calls;
    LevelBatch batch;
  };

  static void keep(Process& process, LevelCall& call, const std::string& payload) {
    DepSet deps(process.log);
    deps.add_tag("user:1");
    ASSERT_TRUE(call.begin_load());
    call.keep(payload, deps, 0);
  }
  static void load_all(Process& process, Batch& many) {
    for (LevelCall& call : many.calls) keep(process, call, call.key().bytes);
    many.batch.finish();
  }
  static std::vector<Found> found(const Batch& many) {
    std::vector<Found> all;
    for (std::size_t index = 0; index < many.batch.size(); ++index) {
      all.push_back(many.batch.found(index));
    }
    return all;
  }
  // Whether nobody holds the claim of the key.
  bool is_free(int number) {
    LevelCall call(second_.log, level_, {kFunction, "f(" + std::to_string(number) + ")"});
    return call.look(true, seconds(0)) != Found::kTimedOut;
  }

  const HomePtr home_ = memory_home();
  const std::shared_ptr<CountingLevel> level_ =
      std::make_shared<CountingLevel>(memory_storage()->connect());
  Process first_{home_};
  Process second_{home_};
};

TEST_F(Batches, WhatOneStoresTheOtherFindsInOneRoundTripForEachStep) {
  Batch one(first_, level_, 0, 100);
  one.batch.look(true);
  EXPECT_EQ(found(one), std::vector<Found>(100, Found::kNothing));
  load_all(first_, one);
  for (std::size_t index = 0; index < 100; ++index) EXPECT_TRUE(one.batch.is_stored(index));
  EXPECT_EQ(level_->trips, 3) << "get, claim, put";
  level_->trips = 0;
  Batch other(second_, level_, 0, 101);
  other.batch.look(false);
  EXPECT_EQ(level_->trips, 1);
  EXPECT_EQ(other.batch.found(99), Found::kValue);
  EXPECT_EQ(other.calls[7].value().payload, "f(7)");
  EXPECT_EQ(other.batch.found(100), Found::kNothing);
}

TEST_F(Batches, WhatOthersLoadIsNeitherClaimedNorWaitedFor) {
  Batch one(first_, level_, 0, 2);
  one.batch.look(true);
  Batch other(second_, level_, 1, 3);
  other.batch.look(true);
  EXPECT_EQ(found(other), (std::vector{Found::kTimedOut, Found::kNothing}));
  EXPECT_EQ(level_->waits, 0);
  EXPECT_FALSE(is_free(2)) << "it is claimed by the other batch";
}

TEST_F(Batches, AKeyThatIsThereTwiceIsClaimedOnce) {
  Batch many(first_, level_, 0, 1);
  many.batch.add(many.calls.emplace_back(first_.log, level_, LevelKey{kFunction, "f(0)"}));
  many.batch.look(true);
  EXPECT_EQ(found(many), (std::vector{Found::kNothing, Found::kTimedOut}));
}

TEST_F(Batches, WhatWasInvalidatedIsNotFound) {
  Batch one(first_, level_, 0, 2);
  one.batch.look(true);
  load_all(first_, one);
  second_.log.announce(LevelKey{kFunction, "f(0)"}.text(),
                       HiddenTag(kFunction, kAnyKey).path().text());
  Batch other(second_, level_, 0, 2);
  other.batch.look(true);
  EXPECT_EQ(found(other), (std::vector{Found::kNothing, Found::kValue}));
  EXPECT_FALSE(is_free(0)) << "it is to be loaded, and claimed";
  second_.log.invalidate(TagPath::parse("user:1", 256));
  Batch later(first_, level_, 1, 2);
  later.batch.look(false);
  EXPECT_EQ(found(later), (std::vector{Found::kNothing}));
}

TEST_F(Batches, AValueIsBornBeforeItWasLookedFor) {
  Batch one(first_, level_, 0, 1);
  one.batch.look(true);
  load_all(first_, one);
  level_->after_get = [&] { second_.log.invalidate(TagPath::parse("other", 256)); };
  Batch other(second_, level_, 0, 1);
  other.batch.look(false);
  ASSERT_EQ(found(other), (std::vector{Found::kValue}));
  EXPECT_LT(other.calls[0].born_here(), second_.log.clock());
}

TEST_F(Batches, WhatIsFoundInPlaceOfAClaimIsTaken) {
  level_->before_claims = [&] {
    level_->before_claims = nullptr;
    Batch one(first_, level_, 0, 1);
    one.batch.look(true);
    load_all(first_, one);
  };
  Batch other(second_, level_, 0, 2);
  other.batch.look(true);
  EXPECT_EQ(found(other), (std::vector{Found::kValue, Found::kNothing}));
}

TEST_F(Batches, WhatIsInvalidatedWhileItLoadsIsNotStoredAndItsClaimIsFreed) {
  Batch one(first_, level_, 0, 2);
  one.batch.look(true);
  for (LevelCall& call : one.calls) keep(first_, call, "old");
  second_.log.invalidate(TagPath::parse("user", 256));
  one.batch.finish();
  EXPECT_FALSE(one.batch.is_stored(0));
  EXPECT_EQ(one.batch.trouble(0), "invalidated while it was loaded");
  EXPECT_TRUE(is_free(0));
  EXPECT_TRUE(is_free(1));
}

TEST_F(Batches, AValueThatCannotBeStoredIsNoMatterOfTheOthers) {
  Batch one(first_, level_, 0, 3);
  one.batch.look(true);
  keep(first_, one.calls[0], "too large");
  keep(first_, one.calls[1], "good");
  one.batch.finish();
  EXPECT_FALSE(one.batch.is_stored(0));
  EXPECT_EQ(one.batch.trouble(0), "as told");
  EXPECT_TRUE(one.batch.is_stored(1));
  EXPECT_FALSE(one.batch.is_stored(2)) << "nothing was kept";
  for (int number = 0; number < 3; ++number) EXPECT_TRUE(is_free(number)) << number;
}

TEST_F(Batches, ClaimsEndWithTheBatch) {
  {
    Batch one(first_, level_, 0, 2);
    one.batch.look(true);
    ASSERT_FALSE(is_free(0));
    level_->trips = 0;
  }
  EXPECT_EQ(level_->trips, 1) << "all of them in one go";
  EXPECT_TRUE(is_free(0));
  EXPECT_TRUE(is_free(1));
}

TEST_F(Batches, WhatWasClaimedBeforeAFailureIsFreed) {
  level_->claims_left = 2;
  {
    Batch one(first_, level_, 0, 3);
    one.batch.look(true);
    EXPECT_EQ(found(one), std::vector<Found>(3, Found::kNothing));
    EXPECT_FALSE(is_free(0));
    EXPECT_TRUE(is_free(1));
  }
  EXPECT_TRUE(is_free(0));
}

}  // namespace
}  // namespace zoocache::core
