// One call and the second level, over the home and the storage that live in memory.
#include <gtest/gtest.h>
#include <zoocache/home.h>
#include <zoocache/storage.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "core/home.h"
#include "core/level_call.h"
#include "core/log.h"
#include "zoocache/errors.h"

namespace zoocache::core {
namespace {

using Found = LevelCall::Found;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kFunction = 77;

struct Process {
  explicit Process(const HomePtr& home) : log(64) { log.set_home(home->connect()); }
  void invalidate(const std::string& tag) { log.invalidate(TagPath::parse(tag, 256)); }
  InvalidationLog log;
};

class LevelCalls : public ::testing::Test {
 protected:
  LevelCall call(Process& process, const std::string& key = "f(1)") {
    return LevelCall(process.log, level_, {kFunction, key});
  }
  DepSet deps(Process& process, const std::string& tag) {
    DepSet set(process.log);
    set.add_tag(tag);
    return set;
  }
  // Loads and stores.
  void load(Process& process, const std::string& payload, const std::string& tag = "user:1") {
    LevelCall one = call(process);
    ASSERT_EQ(one.look(true, seconds(1)), Found::kNothing);
    ASSERT_TRUE(one.begin_load());
    one.keep(payload, deps(process, tag), 0);
    std::string trouble;
    ASSERT_TRUE(one.finish(&trouble)) << trouble;
  }
  std::string found(Process& process) {
    LevelCall one = call(process);
    return one.look(false, seconds(0)) == Found::kValue ? one.value().payload : "";
  }

  const HomePtr home_ = memory_home();
  const std::shared_ptr<SecondLevel> level_ = memory_storage()->connect();
  Process first_{home_};
  Process second_{home_};
};

TEST_F(LevelCalls, WhatOneStoresTheOtherFinds) {
  load(first_, "value");
  EXPECT_EQ(found(second_), "value");
  LevelCall other = call(second_, "f(2)");
  EXPECT_EQ(other.look(false, seconds(0)), Found::kNothing);
}

TEST_F(LevelCalls, ItDiesWithItsDependenciesAndWhatIsAboveThem) {
  for (const char* tag : {"user:1", "user"}) {
    load(first_, "value");
    first_.invalidate("user:1:name");
    first_.invalidate("user:2");
    EXPECT_EQ(found(second_), "value");
    first_.invalidate(tag);
    EXPECT_EQ(found(second_), "") << tag;
  }
  load(first_, "value");
  second_.log.invalidate_root();
  EXPECT_EQ(found(first_), "");
}

TEST_F(LevelCalls, ItDiesWithItsFunctionAndItsKey) {
  load(first_, "value");
  const LevelKey other{kFunction, "f(2)"};
  second_.log.announce(other.text(), HiddenTag(kFunction, kAnyKey).path().text());
  EXPECT_EQ(found(first_), "value");
  const LevelKey own{kFunction, "f(1)"};
  second_.log.announce(own.text(), HiddenTag(kFunction, kAnyKey).path().text());
  EXPECT_EQ(found(first_), "");
  load(first_, "value");
  second_.log.invalidate(HiddenTag(kFunction).path());
  EXPECT_EQ(found(first_), "");
}

TEST_F(LevelCalls, AnyKeyOfAnInnerFunctionKillsIt) {
  constexpr std::uint64_t kInner = 5;
  LevelCall one = call(first_);
  ASSERT_EQ(one.look(true, seconds(1)), Found::kNothing);
  ASSERT_TRUE(one.begin_load());
  DepSet set(first_.log);
  set.add_key({kInner, 123});
  one.keep("value", set, 0);
  std::string trouble;
  ASSERT_TRUE(one.finish(&trouble)) << trouble;
  EXPECT_EQ(found(second_), "value");
  const LevelKey inner{kInner, "g(9)"};
  const std::string any(HiddenTag(kInner, kAnyKey).path().text());
  first_.log.announce(inner.text(), any);
  EXPECT_EQ(found(second_), "");
  ASSERT_TRUE(one.begin_load());
  one.keep("value", set, 0);
  ASSERT_TRUE(one.finish(&trouble)) << trouble;
  EXPECT_EQ(found(second_), "value");
  first_.log.invalidate(HiddenTag(kInner).path());
  EXPECT_EQ(found(second_), "") << "the whole function";
}

TEST_F(LevelCalls, NodesOfInnerEntriesAreNamed) {
  TagNode* const tag = first_.log.acquire(TagPath::parse("org:acme", 256));
  TagNode* const key = first_.log.acquire(HiddenTag(5, 123).path());
  {
    LevelCall one = call(first_);
    ASSERT_EQ(one.look(true, seconds(1)), Found::kNothing);
    ASSERT_TRUE(one.begin_load());
    DepSet set(first_.log);
    TagNode* const nodes[] = {tag, key};
    set.add_nodes(nodes);
    one.keep("value", set, 0);
    std::string trouble;
    ASSERT_TRUE(one.finish(&trouble)) << trouble;
  }
  LevelCall reader = call(second_);
  ASSERT_EQ(reader.look(false, seconds(0)), Found::kValue);
  const std::string any(HiddenTag(5, kAnyKey).path().text());
  EXPECT_EQ(reader.value().dependencies, (std::vector<std::string>{any, "org:acme"}));
  first_.log.release(tag);
  first_.log.release(key);
}

TEST_F(LevelCalls, ALoadThatIsOvertakenIsNotStored) {
  LevelCall one = call(first_);
  ASSERT_EQ(one.look(true, seconds(1)), Found::kNothing);
  ASSERT_TRUE(one.begin_load());
  second_.invalidate("user:1");
  one.keep("old", deps(first_, "user:1"), 0);
  std::string trouble;
  EXPECT_FALSE(one.finish(&trouble));
  EXPECT_EQ(trouble, "invalidated while it was loaded");
  EXPECT_EQ(found(second_), "");
  load(second_, "new");
}

TEST_F(LevelCalls, BornIsReadBeforeTheLoadEvenIfItWasNotHeardOf) {
  LevelCall one = call(first_);
  ASSERT_EQ(one.look(true, seconds(1)), Found::kNothing);
  second_.invalidate("user:1");  // before the load begins: it sees the new data
  ASSERT_TRUE(one.begin_load());
  one.keep("new", deps(first_, "user:1"), 0);
  std::string trouble;
  EXPECT_TRUE(one.finish(&trouble)) << trouble;
  EXPECT_EQ(found(second_), "new");
}

TEST_F(LevelCalls, WhatIsFoundWasValidAfterItsLocalBirth) {
  load(first_, "value");
  LevelCall reader = call(second_);
  const Epoch before = second_.log.clock();
  ASSERT_EQ(reader.look(false, seconds(0)), Found::kValue);
  EXPECT_GE(reader.born_here(), before);
  second_.invalidate("user:1");
  EXPECT_GT(second_.log.clock(), reader.born_here());
}

TEST_F(LevelCalls, OneLoadsAndTheOtherGetsItsValue) {
  LevelCall leader = call(first_);
  ASSERT_EQ(leader.look(true, seconds(1)), Found::kNothing);
  std::string got;
  std::thread follower([&] {
    LevelCall one = call(second_);
    if (one.look(true, seconds(30)) == Found::kValue) got = one.value().payload;
  });
  ASSERT_TRUE(leader.begin_load());
  leader.keep("value", deps(first_, "user:1"), 0);
  std::string trouble;
  EXPECT_TRUE(leader.finish(&trouble)) << trouble;
  follower.join();
  EXPECT_EQ(got, "value");
}

TEST_F(LevelCalls, WhoWaitsForALoadThatFailedLoadsForItself) {
  LevelCall leader = call(first_);
  ASSERT_EQ(leader.look(true, seconds(1)), Found::kNothing);
  Found outcome = Found::kValue;
  std::thread follower([&] {
    LevelCall one = call(second_);
    outcome = one.look(true, seconds(30));
    EXPECT_FALSE(one.has_work()) << "it has no claim";
  });
  std::this_thread::sleep_for(milliseconds(20));
  leader.fail();
  std::string trouble;
  EXPECT_FALSE(leader.finish(&trouble));
  follower.join();
  EXPECT_EQ(outcome, Found::kNothing);
}

TEST_F(LevelCalls, AClaimThatIsDroppedIsTakenOver) {
  {
    LevelCall leader = call(first_);
    ASSERT_EQ(leader.look(true, seconds(1)), Found::kNothing);
  }
  LevelCall next = call(second_);
  EXPECT_EQ(next.look(true, seconds(30)), Found::kNothing);
  EXPECT_TRUE(next.has_work());
}

TEST_F(LevelCalls, AWaitEnds) {
  LevelCall leader = call(first_);
  ASSERT_EQ(leader.look(true, seconds(1)), Found::kNothing);
  LevelCall one = call(second_);
  EXPECT_EQ(one.look(true, milliseconds(5)), Found::kTimedOut);
  LevelCall unshared = call(second_);
  EXPECT_EQ(unshared.look(false, seconds(30)), Found::kNothing);
}

TEST_F(LevelCalls, AStaleEntryDoesNotKeepOthersFromLoading) {
  load(first_, "old");
  first_.invalidate("user:1");
  load(second_, "new");
  EXPECT_EQ(found(first_), "new");
}

// A home or a storage that cannot be asked.
class Broken final : public SecondLevel {
 public:
  std::optional<StoredValue> get(std::string_view) override { throw HomeUnreachable("no get"); }
  Claim claim(std::string_view, const std::optional<SeenEntry>&) override {
    throw HomeUnreachable("no claim");
  }
  Waited wait(std::string_view, std::uint64_t, std::chrono::nanoseconds) override {
    throw HomeUnreachable("no wait");
  }
  void put(std::string_view, std::uint64_t, const StoredValue&) override {
    throw StorageIsFull("no put");
  }
  void release(std::string_view, std::uint64_t, bool) noexcept override {}
  const char* kind() const noexcept override { return "broken"; }
  void ask_whether_there() override { throw HomeUnreachable("not there"); }
};

TEST_F(LevelCalls, AStorageThatCannotBeAskedHasNothing) {
  LevelCall one(first_.log, std::make_shared<Broken>(), {kFunction, "f(1)"});
  EXPECT_EQ(one.look(true, seconds(1)), Found::kNothing);
  EXPECT_TRUE(one.begin_load());
  one.keep("value", deps(first_, "user:1"), 0);
  std::string trouble;
  EXPECT_FALSE(one.finish(&trouble));
  EXPECT_EQ(trouble, "no put");
}

TEST(SecondLevelStatus, SaysWhyTheStorageIsNotThere) {
  const StorageStatus status = Broken().status();
  EXPECT_EQ(status.kind, "broken");
  EXPECT_FALSE(status.reachable);
  EXPECT_EQ(status.trouble, "not there");
}

TEST(SecondLevelStatus, SaysThatItIsThere) {
  const StorageStatus status = memory_storage()->connect()->status();
  EXPECT_EQ(status.kind, "memory");
  EXPECT_TRUE(status.reachable);
  EXPECT_EQ(status.trouble, "");
}

}  // namespace
}  // namespace zoocache::core
