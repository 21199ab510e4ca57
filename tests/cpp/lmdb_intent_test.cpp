// Writers that die between their COMMIT and the end of their block, on an LMDB home: real
// processes, and a system of record in memory that they share.
#include <gtest/gtest.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache_access.h"
#include "core/home.h"
#include "core/intent.h"
#include "core/log.h"
#include "processes.h"
#include "temporary_folder.h"

namespace zoocache::testing {
namespace {

using namespace std::chrono_literals;

struct Shared {
  std::atomic<int> row;    // the database's
  std::atomic<int> steps;  // how far the writer is
  std::atomic<int> may_go_on;
};

// A cache with one function, which reads the row.
struct Reader {
  Reader(const HomePtr& home, Shared& shared) : cache(Options{.home = home}) {
    get.emplace(cache.cacheable(
        "get",
        [this, &shared](int) {
          ++loads;
          return shared.row.load();
        },
        deps("user:{0}")));
  }
  int operator()() { return *(*get)(1); }
  core::LogHome& home() { return *detail::CacheAccess::engine(cache).log().home(); }
  // As of a call that begins now.
  HomeStatus status() {
    detail::CacheAccess::engine(cache).log().arrive();
    return home().status();
  }

  int loads = 0;
  Cache cache;
  std::optional<CachedFunction<int, int>> get;
};

class LmdbIntent : public ::testing::Test {
 protected:
  HomePtr home(double max_commit_time_s = 60) const {
    LmdbOptions options;
    options.max_commit_time_s = max_commit_time_s;
    return lmdb_home(folder_.path(), options);
  }
  std::unique_ptr<Reader> reader(double max_commit_time_s = 60) {
    return std::make_unique<Reader>(home(max_commit_time_s), *shared_);
  }
  // A process that is within its block after step 1, has committed after step 2, if it may.
  pid_t start_writer(bool commits = true, double max_commit_time_s = 60) {
    const pid_t pid = children_.start([this, commits, max_commit_time_s] {
      Cache cache({.home = home(max_commit_time_s)});
      const auto block = cache.invalidating({"user:1", "other"});
      shared_->steps = 1;
      while (shared_->may_go_on.load() == 0) pause_for(200us);
      if (commits) shared_->row.fetch_add(1);
      shared_->steps = 2;
      for (;;) pause_for(10ms);
      return 0;
    });
    EXPECT_TRUE(comes_true([this] { return shared_->steps.load() >= 1; }));
    return pid;
  }
  void let_it_commit() {
    shared_->may_go_on = 1;
    EXPECT_TRUE(comes_true([this] { return shared_->steps.load() == 2; }));
  }

  const TemporaryFolder folder_;
  const SharedMemory<Shared> shared_;
  Children children_;
};

TEST_F(LmdbIntent, WhatAKilledWriterCommittedIsSeenAndNeverAnOlderValueAgain) {
  const auto first = reader();
  const auto second = reader();
  for (int round = 1; round <= 5; ++round) {
    shared_->steps = 0;
    shared_->may_go_on = 0;
    const int before = (*first)();
    EXPECT_EQ((*second)(), before);
    const pid_t writer = start_writer();
    const int loads = first->loads;
    EXPECT_EQ((*first)(), before);
    EXPECT_EQ(first->loads, loads) << "an open block costs readers nothing";
    let_it_commit();
    children_.end(writer, SIGKILL);
    ASSERT_TRUE(comes_true([&] { return (*first)() == before + 1; }));
    EXPECT_EQ((*second)(), before + 1) << "carried out by one, it is for all";
    EXPECT_EQ((*first)(), before + 1);
  }
  EXPECT_EQ(first->status().fired_intents + second->status().fired_intents, 5U);
}

TEST_F(LmdbIntent, AProcessThatComesLateFindsIt) {
  {
    const auto early = reader();
    EXPECT_EQ((*early)(), 0);
  }
  const pid_t writer = start_writer();
  let_it_commit();
  children_.end(writer, SIGKILL);
  const auto late = reader();
  (*late)();
  EXPECT_EQ(late->status().fired_intents, 1U);
  EXPECT_GT(late->cache.tag_version("user:1"), 0U);
  EXPECT_GT(late->cache.tag_version("other"), 0U);
}

TEST_F(LmdbIntent, AWriterThatDiesBeforeItsCommitCostsALoad) {
  const auto one = reader();
  (*one)();
  const pid_t writer = start_writer(false);
  children_.end(writer, SIGKILL);
  ASSERT_TRUE(comes_true([&] { return (*one)() == 0 && one->loads == 2; }));
  EXPECT_EQ((*one)(), 0);
  EXPECT_EQ(one->loads, 2) << "it is carried out once for this death";
}

TEST_F(LmdbIntent, ACommitThatWasOnItsWayIsSeenAfterTheLongestTimeOfOne) {
  const auto one = reader(0.4);
  (*one)();
  const pid_t writer = start_writer(false, 0.4);
  children_.end(writer, SIGKILL);
  ASSERT_TRUE(comes_true([&] { return (*one)() == 0 && one->loads == 2; }));
  shared_->row = 1;
  ASSERT_TRUE(comes_true([&] { return (*one)() == 1; }));
  ASSERT_TRUE(comes_true([&] { return one->status().intents == 0; })) << "then it is forgotten";
  const int loads = one->loads;
  EXPECT_EQ((*one)(), 1);
  EXPECT_EQ(one->loads, loads);
}

TEST_F(LmdbIntent, ABlockThatIsOpenForTooLongIsCarriedOutMeanwhileAndAtItsEnd) {
  const auto writer = reader(0.1);
  const auto one = reader(0.1);
  (*one)();
  {
    const auto block = writer->cache.invalidating({"user:1"});
    ASSERT_TRUE(comes_true([&] { return (*one)() == 0 && one->loads == 2; }));
    ASSERT_TRUE(comes_true([&] { return (*one)() == 0 && one->loads == 3; })) << "again and again";
    EXPECT_EQ(one->status().intents, 1U);
    shared_->row = 1;
  }
  EXPECT_EQ((*one)(), 1);
  EXPECT_EQ(one->status().intents, 0U);
}

TEST_F(LmdbIntent, AStoppedWriterThatGoesOnIsNoticedWhenItDies) {
  const auto one = reader(0.1);
  (*one)();
  const pid_t writer = start_writer(true, 0.1);
  kill(writer, SIGSTOP);
  ASSERT_TRUE(comes_true([&] { return (*one)() == 0 && one->loads >= 4; })) << "it is old";
  kill(writer, SIGCONT);
  let_it_commit();
  children_.end(writer, SIGKILL);
  ASSERT_TRUE(comes_true([&] { return (*one)() == 1; }));
}

TEST_F(LmdbIntent, ALoadThatWasUnderWayInTheNoticerIsNotKept) {
  const HomePtr shared_home = home();
  Cache cache({.home = shared_home});
  const pid_t writer = start_writer();
  int loads = 0;
  const auto get = cache.cacheable(
      "slow",
      [&](int) {
        const int row = shared_->row.load();
        if (++loads == 1) {  // it read the row before the commit
          let_it_commit();
          children_.end(writer, SIGKILL);
        }
        return row;
      },
      deps("user:{0}"));
  EXPECT_EQ(*get(1), 0) << "current when the call began";
  ASSERT_TRUE(comes_true([&] { return *get(1) == 1; }));
}

TEST_F(LmdbIntent, AChildOfForkLeavesTheParentsIntentAlone) {
  const auto one = reader();
  (*one)();
  const pid_t writer = children_.start([this] {
    Cache cache({.home = home()});
    std::optional<Invalidating> block(cache.invalidating({"user:1"}));
    const pid_t child = fork();
    if (child == 0) {
      block.reset();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    shared_->steps = 1;
    while (shared_->may_go_on.load() == 0) pause_for(200us);
    shared_->row.fetch_add(1);
    shared_->steps = 2;
    for (;;) pause_for(10ms);
    return 0;
  });
  ASSERT_TRUE(comes_true([this] { return shared_->steps.load() >= 1; }));
  EXPECT_EQ((*one)(), 0);
  EXPECT_EQ(one->status().intents, 1U);
  let_it_commit();
  children_.end(writer, SIGKILL);
  ASSERT_TRUE(comes_true([&] { return (*one)() == 1; }));
}

TEST_F(LmdbIntent, AFolderThatIsAnotherOneHearsOfOpenBlocksAgain) {
  const pid_t writer = children_.start([this] {
    Cache cache({.home = home()});
    const auto idle = cache.cacheable("idle", [](int id) { return id; });
    const auto block = cache.invalidating({"user:1"});
    shared_->steps = 1;
    for (;;) {
      static_cast<void>(*idle(1));
      if (shared_->may_go_on.load() == 1) {
        shared_->row.store(1);
        shared_->steps = 2;
      }
      pause_for(1ms);
    }
    return 0;
  });
  ASSERT_TRUE(comes_true([this] { return shared_->steps.load() >= 1; }));
  for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
    std::filesystem::remove(file.path());
  }
  const auto one = reader();
  (*one)();
  ASSERT_TRUE(comes_true([&] { return one->status().intents == 1; }));
  EXPECT_EQ((*one)(), 0);
  let_it_commit();
  children_.end(writer, SIGKILL);
  ASSERT_TRUE(comes_true([&] { return (*one)() == 1; }));
}

TEST_F(LmdbIntent, WhatCannotBeDeclaredIsNotBegun) {
  const auto one = reader();
  (*one)();
  std::filesystem::remove_all(folder_.path());
  { std::ofstream in_the_way(folder_.path()); }
  EXPECT_THROW(static_cast<void>(one->cache.invalidating({"user:1"})), HomeUnreachable);
  std::filesystem::remove(folder_.path());
  ASSERT_TRUE(comes_true([&] {
    const int loads = one->loads;
    (*one)();
    return one->loads == loads;
  })) << "nothing is held";
}

TEST_F(LmdbIntent, AFullFolderTakesIntents) {
  LmdbOptions options;
  options.map_bytes = std::size_t{1} << 20;
  const HomePtr small = lmdb_home(folder_.path(), options);
  Cache cache({.home = small});
  for (int index = 0; index < 12'000; ++index) cache.invalidate("t:" + std::to_string(index));
  std::vector<Invalidating> blocks;
  for (int index = 0; index < 200; ++index) {
    blocks.push_back(cache.invalidating({"held:" + std::to_string(index)}));
  }
  blocks.clear();
  EXPECT_GT(cache.tag_version("held:199"), cache.tag_version("held:0"));
}

TEST(IntentTexts, TooManyAreEverything) {
  std::vector<std::string> tags;
  for (std::size_t index = 0; index <= core::kMaxIntentTexts; ++index) {
    tags.push_back("t:" + std::to_string(index));
  }
  std::vector<core::Change> changes(tags.begin(), tags.end());
  EXPECT_EQ(core::intent_texts(changes), std::vector<std::string>{""});
  changes.pop_back();
  EXPECT_EQ(core::intent_texts(changes).size(), core::kMaxIntentTexts);
  const std::string large(core::kMaxIntentBytes / 2 + 1, 'x');
  const core::Change two[] = {{large}, {large}};
  EXPECT_EQ(core::intent_texts(two), std::vector<std::string>{""});
}

}  // namespace
}  // namespace zoocache::testing
