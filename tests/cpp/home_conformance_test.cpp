// What every home has to hold, for each of them: caches that share it act as one. A home of another
// kind joins by one line at the end; one that tells others a network delay later settles first
// (settled_home.h).
#include <gtest/gtest.h>
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>
#ifdef ZOOCACHE_HAS_REDIS
#include <zoocache/redis.h>
#endif

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/home.h"
#include "core/intent.h"
#include "core/log.h"
#include "history.h"
#include "seed.h"
#include "temporary_folder.h"
#ifdef ZOOCACHE_HAS_REDIS
#include "redis_server.h"
#include "settled_home.h"
#endif

namespace zoocache::testing {
namespace {

struct Place {
  TemporaryFolder folder;
  HomePtr home;
  bool is_pushed = false;  // what is new is applied without a call
};
using MakePlace = std::function<std::unique_ptr<Place>()>;

class Homes : public ::testing::TestWithParam<std::pair<std::string, MakePlace>> {
 protected:
  Options options() const { return {.home = place_->home}; }

  const std::unique_ptr<Place> place_ = GetParam().second();
};

// A function that counts its loads, and the cache it belongs to.
struct Counted {
  explicit Counted(const Options& options, const std::string& name = "get") : cache(options) {
    get.emplace(cache.cacheable(
        name, [this](int id) { return id * 1000 + ++loads; }, deps("org:acme:user:{0}")));
  }
  int operator()(int id) { return *(*get)(id); }

  int loads = 0;
  Cache cache;
  std::optional<CachedFunction<int, int>> get;
};

// One connection as the engine has it.
struct Connection {
  explicit Connection(const HomePtr& home) : log(1 << 8) { log.set_home(home->connect()); }
  core::LogHome& home() { return *log.home(); }
  core::InvalidationLog log;
};

TEST_P(Homes, AnInvalidationReachesEveryCache) {
  Counted first(options());
  Counted second(options());
  EXPECT_EQ(first(1), second(1));
  EXPECT_EQ(first(1), second(1));
  first.cache.invalidate("org:acme:user:1");
  EXPECT_EQ(second(1), 1002);
  EXPECT_EQ(first(1), 1002);
  EXPECT_EQ(second(2), 2003) << "another tag";
  EXPECT_EQ(second(1), 1002);
}

TEST_P(Homes, ParentsKillChildrenAndNobodyElse) {
  Counted first(options());
  Counted second(options());
  second(1);
  first.cache.invalidate("org:acme2");
  first.cache.invalidate("org:acme:user:1:orders");
  EXPECT_EQ(second(1), 1001);
  first.cache.invalidate("org");
  EXPECT_EQ(second(1), 1002);
}

TEST_P(Homes, SeveralTagsAreOneEpoch) {
  Counted first(options());
  Counted second(options());
  second(1);
  second(2);
  const std::uint64_t before = first.cache.invalidate("x");
  const std::uint64_t epoch = first.cache.invalidate("org:acme:user:1", "org:acme:user:2");
  EXPECT_GT(epoch, before);
  EXPECT_EQ(second(1), 1003);
  EXPECT_EQ(second(2), 2004);
  EXPECT_EQ(second.cache.tag_version("org:acme:user:1"), epoch);
  EXPECT_EQ(second.cache.tag_version("org:acme:user:2:deeper"), epoch);
  EXPECT_EQ(first.cache.tag_version("x"), before);
  EXPECT_EQ(first.cache.tag_version("never"), 0U);
}

TEST_P(Homes, ClearReachesEveryCache) {
  Counted first(options());
  Counted second(options());
  second(1);
  first.cache.clear();
  EXPECT_EQ(second(1), 1002);
}

TEST_P(Homes, KeysOfAFunctionOfTheSameNameDieEverywhere) {
  Counted first(options());
  Counted second(options());
  Counted other(options(), "other");
  first(1);
  first(2);
  second(1);
  other(1);
  first.get->invalidate(1);
  EXPECT_EQ(second(1), 1002) << "as old as what was invalidated";
  EXPECT_EQ(first(2), 2002) << "here the key alone died";
  EXPECT_EQ(first(1), 1003);
  EXPECT_EQ(other(1), 1001);
}

TEST_P(Homes, AFunctionIsClearedEverywhere) {
  Counted first(options());
  Counted second(options());
  Counted other(options(), "other");
  second(1);
  other(1);
  first.get->clear();
  EXPECT_EQ(second(1), 1002);
  EXPECT_EQ(other(1), 1001);
}

TEST_P(Homes, ALoadThatAnotherCacheInvalidatedIsNotStored) {
  Counted writer(options());
  Cache cache(options());
  int loads = 0;
  const auto get = cache.cacheable(
      "load",
      [&](int id) {
        if (++loads == 1) writer.cache.invalidate("user:" + std::to_string(id));
        return loads;
      },
      deps("user:{0}"));
  EXPECT_EQ(*get(7), 1) << "current when the call began";
  EXPECT_EQ(*get(7), 2);
  EXPECT_EQ(*get(7), 2);
}

TEST_P(Homes, OuterEntriesDieWithInnerOnes) {
  Counted writer(options());
  Counted reader(options());
  int loads = 0;
  const auto outer = reader.cache.cacheable("outer", [&](int id) { return reader(id) + ++loads; });
  EXPECT_EQ(*outer(1), 1002);
  writer.cache.invalidate("org:acme");
  EXPECT_EQ(*outer(1), 1004);
}

TEST_P(Homes, ACacheThatComesLateIsUpToDate) {
  Counted first(options());
  const std::uint64_t epoch = first.cache.invalidate("org:acme:user:1");
  Counted late(options());
  EXPECT_EQ(late(1), 1001);
  EXPECT_EQ(late.cache.tag_version("org:acme:user:1"), epoch);
  first.cache.invalidate("org:acme:user:1");
  EXPECT_EQ(late(1), 1002);
}

TEST_P(Homes, ACacheThatGoesLeavesTheOthers) {
  Counted first(options());
  {
    Counted short_lived(options());
    short_lived(1);
    short_lived.cache.invalidate("org");
  }
  Counted second(options());
  first(1);
  second.cache.invalidate("org");
  EXPECT_EQ(first(1), 1002);
}

TEST_P(Homes, HeldTagsAreInvalidatedEverywhere) {
  Counted first(options());
  Counted second(options());
  second(1);
  {
    const auto held = first.cache.invalidating({"org:acme"});
    EXPECT_EQ(second(1), 1001);
  }
  EXPECT_EQ(second(1), 1002);
}

TEST_P(Homes, ACancelledWriteInvalidatesNothingElsewhere) {
  Counted first(options());
  Counted second(options());
  second(1);
  second(2);
  auto held = first.cache.invalidating({"org:acme:user:1"});
  EXPECT_EQ(first(1), 1001);
  EXPECT_EQ(first(1), 1002) << "held";
  held.cancel();
  held.cancel();
  EXPECT_EQ(first(1), 1003) << "what was loaded meanwhile may have seen what was rolled back";
  EXPECT_EQ(first(1), 1003);
  EXPECT_EQ(second(1), 1001);
  EXPECT_EQ(second.cache.tag_version("org:acme:user:1"), 0U);
}

// The end of a connection is that of a process, as far as its home can tell.
TEST_P(Homes, WhatALostConnectionWasAboutToWriteDiesInTheEnd) {
  if (GetParam().first == "memory") GTEST_SKIP() << "it ends with its only process";
  Counted reader(options());
  Counted idle(options());
  reader(1);
  {
    Connection writer(place_->home);
    const core::TagPath path = core::TagPath::trusted("org:acme");
    EXPECT_NE(core::begin_write(writer.log, {&path, 1}), 0U);
    EXPECT_EQ(reader(1), 1001);
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (reader(1) == 1001 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(reader(1), 1002);
  EXPECT_GT(idle.cache.tag_version("org:acme"), 0U);
}

TEST_P(Homes, CachesWithoutItHearNothing) {
  Counted first(options());
  Counted alone((Options()));
  alone(1);
  first.cache.invalidate("org");
  EXPECT_EQ(alone(1), 1001);
}

TEST_P(Homes, LongTagsOfAnyScript) {
  Options wide = options();
  wide.max_tag_length = 4096;
  Cache writer(wide);
  Cache reader(wide);
  std::string tag = "t";
  for (int index = 0; index < 4095; ++index) tag += "\xE7\x8A\xAC";  // three bytes each
  int loads = 0;
  const auto get = reader.cacheable(
      "get", [&loads](int) { return ++loads; }, deps(tag));
  const auto same = reader.cacheable(
      "same", [&loads](int) { return ++loads; }, deps(tag.substr(0, tag.size() - 3)));
  EXPECT_EQ(*get(1), 1);
  EXPECT_EQ(*same(1), 2);
  const std::uint64_t epoch = writer.invalidate(tag);
  EXPECT_EQ(reader.tag_version(tag), epoch);
  EXPECT_EQ(*get(1), 3);
  EXPECT_EQ(*same(1), 2);
}

// What was done by a writer itself need not be told to it, unless it takes away what was not.
TEST_P(Homes, WhatAWriterDidHidesNothingThatItHasNotHeard) {
  Connection first(place_->home);
  Connection second(place_->home);
  first.log.arrive();
  second.log.arrive();
  const core::HiddenTag function(7);
  const core::Epoch quiet = second.log.clock();
  second.log.announce(function.path().text(), {});
  EXPECT_EQ(second.log.clock(), quiet) << "it has done that itself";
  first.log.announce(function.path().text(), {});   // hears of the second's on the way
  second.log.announce(function.path().text(), {});  // takes the row away that it has not heard
  EXPECT_GT(second.log.clock(), quiet);
}

TEST_P(Homes, WhatALaterVersionSaysInvalidatesEverything) {
  Counted reader(options());
  reader(1);
  Connection writer(place_->home);
  for (const std::string text : {"\x01", "\x01news of the future", "a::b", "no\ttag", " "}) {
    const int before = reader(1);
    const core::Change change(text);
    writer.home().append(writer.log, {&change, 1}, 0);
    EXPECT_NE(reader(1), before) << ::testing::PrintToString(text);
  }
}

constexpr std::size_t kTags = 12;

std::string tag_number(std::size_t index) { return "t:" + std::to_string(index); }

// A connection whose log has a node for each tag, as if entries depended on them.
struct Watching : Connection {
  explicit Watching(const HomePtr& home) : Connection(home) {
    log.arrive();
    for (std::size_t index = 0; index < kTags; ++index) {
      nodes[index] = log.acquire(core::TagPath::trusted(tag_number(index)));
    }
  }
  ~Watching() { log.release(nodes); }
  void look() {
    for (std::size_t index = 0; index < kTags; ++index) versions[index] = nodes[index]->version;
  }
  std::array<core::TagNode*, kTags> nodes{};
  std::array<core::Epoch, kTags> heard{};     // the home's epochs
  std::array<core::Epoch, kTags> versions{};  // as they were when it looked last
};

// Random declarations from several connections that come late and go: a log that looks hears
// exactly of the tags that were declared since it looked last, whatever was compacted meanwhile.
TEST_P(Homes, EveryLogHearsOfEachTagThatChangedAndOfNoOther) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  std::vector<std::unique_ptr<Watching>> connections;
  std::array<core::Epoch, kTags> newest{};
  for (int step = 0; step < 2000; ++step) {
    if (connections.size() < 2 || random() % 100 == 0) {
      connections.push_back(std::make_unique<Watching>(place_->home));
      connections.back()->heard = newest;
      connections.back()->look();
      if (connections.size() > 5) connections.erase(connections.begin());
    }
    Watching& one = *connections[random() % connections.size()];
    const std::array<core::Epoch, kTags> before = one.versions;
    if (random() % 2 == 0) {
      const std::size_t first = random() % kTags;
      const std::size_t second = random() % kTags;
      const std::string texts[] = {tag_number(first), tag_number(second)};
      const core::TagPath paths[] = {core::TagPath::trusted(texts[0]),
                                     core::TagPath::trusted(texts[1])};
      newest[first] = newest[second] = one.log.invalidate(paths);
    } else {
      one.log.arrive();
    }
    EXPECT_TRUE(one.home().is_fresh());
    for (std::size_t index = 0; index < kTags; ++index) {
      EXPECT_EQ(one.nodes[index]->version > before[index], newest[index] > one.heard[index])
          << tag_number(index) << " in step " << step;
      EXPECT_EQ(one.home().version(core::TagPath::trusted(tag_number(index))), newest[index]);
    }
    one.heard = newest;
    one.look();
    if (::testing::Test::HasFailure()) return;
  }
}

// The call rule across caches, as linearizability_test.cpp has it within one.
TEST_P(Homes, TheCallRuleAcrossCaches) {
  constexpr std::uint32_t kSources = 16;
  constexpr int kThreads = 4;
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::array<std::atomic<std::uint64_t>, kSources> versions{};
  std::vector<std::unique_ptr<Cache>> caches;
  std::vector<CachedFunction<std::uint64_t, std::uint32_t>> functions;
  for (int index = 0; index < 2; ++index) {
    caches.push_back(std::make_unique<Cache>(options()));
    functions.push_back(caches.back()->cacheable(
        "get", [&versions](std::uint32_t source) { return versions[source].load(); },
        deps("s:{0}")));
  }
  std::atomic<bool> stop{false};
  std::vector<Recorder> recorders(kThreads);
  std::vector<std::thread> threads;
  for (int index = 0; index < kThreads; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937_64 random(seed + static_cast<std::uint64_t>(index));
      Recorder& recorder = recorders[static_cast<std::size_t>(index)];
      const auto at = static_cast<std::size_t>(index % 2);
      while (!stop.load() && recorder.reads.size() < 300'000) {
        const auto source = static_cast<std::uint32_t>(random() % kSources);
        if (random() % 50 == 0) {
          const std::string tag = "s:" + std::to_string(source);
          const std::uint64_t way = random() % 4;
          std::optional<Invalidating> block;
          if (way == 1) block.emplace(caches[at]->invalidating({tag}));
          const std::uint64_t version = versions[source].fetch_add(1) + 1;
          if (way == 0) functions[at].invalidate(source);
          if (way == 2) caches[at]->invalidating({"other"}).cancel();
          if (way > 1) caches[at]->invalidate(tag);
          block.reset();
          recorder.acknowledged.push_back({tick(), source, version});
        } else {
          const std::uint64_t began = tick();
          recorder.reads.push_back({began, source, *functions[at](source)});
        }
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const Verdict verdict = check(recorders);
  EXPECT_EQ(verdict.stale, 0U) << verdict.first;
  EXPECT_GT(verdict.reads, 1000U);
  EXPECT_GT(verdict.invalidations, 20U);
}

// What the second level asks: whether what was loaded at a position of the home still holds.
TEST_P(Homes, PositionsHoldUntilSomethingIsInvalidated) {
  Connection reader(place_->home);
  core::LogHome* const home = &reader.home();
  Counted writer(options());
  writer.cache.invalidate("before:all");
  reader.log.arrive();
  const core::HomePosition born = home->position();
  ASSERT_TRUE(born.trusted);
  const auto holds = [&](const std::vector<std::string>& texts) {
    return home->holds(born.generation, born.epoch, texts);
  };
  const std::vector<std::string> user = {"org:acme:user:1"};
  const std::string function(core::HiddenTag(core::shared_function_id("get")).path().text());
  const std::string any_key(
      core::HiddenTag(core::shared_function_id("get"), core::kAnyKey).path().text());
  EXPECT_TRUE(holds({}));
  EXPECT_TRUE(holds({any_key}));
  EXPECT_TRUE(holds({"before:all:below"}));
  EXPECT_TRUE(holds({"x:y", "org:acme:user:1", function}));
  EXPECT_FALSE(home->holds(born.generation + 1, born.epoch, user));
  EXPECT_FALSE(holds({"not a tag"}));
  EXPECT_FALSE(holds({std::string("\x01short")}));
  writer.cache.invalidate("org:acme:user:1:orders");
  writer.cache.invalidate("org:acme:user:2");
  EXPECT_TRUE(holds(user)) << "below it, and beside it";
  writer.cache.invalidate("org:acme");
  EXPECT_FALSE(holds(user)) << "whatever this connection has heard";
  EXPECT_FALSE(holds({"x", "org:acme:user:1"}));
  EXPECT_TRUE(holds({"org"}));
  EXPECT_TRUE(holds({function}));
  writer.get->clear();
  EXPECT_FALSE(holds({function}));
  EXPECT_FALSE(holds({any_key})) << "what is below it";
  EXPECT_TRUE(holds({"org"}));
  writer.cache.clear();
  EXPECT_FALSE(holds({"org"}));
  EXPECT_FALSE(holds({}));
  EXPECT_TRUE(place_->is_pushed || home->position().epoch == born.epoch) << "nothing was applied";
  reader.log.arrive();
  EXPECT_GT(home->position().epoch, born.epoch);
  EXPECT_TRUE(home->holds(born.generation, home->position().epoch, user));
}

std::unique_ptr<Place> in_memory() {
  auto place = std::make_unique<Place>();
  place->home = memory_home();
  return place;
}

std::unique_ptr<Place> in_lmdb() {
  auto place = std::make_unique<Place>();
  place->home = lmdb_home(place->folder.path());
  return place;
}

#ifdef ZOOCACHE_HAS_REDIS
// One server for all tests of this program; each has a namespace of its own.
std::unique_ptr<Place> on_server(const RedisServer& server) {
  static int count = 0;
  auto place = std::make_unique<Place>();
  const RedisOptions options{.prefix = "conformance-" + std::to_string(++count)};
  place->home = std::make_shared<SettledHome>(redis_home(server.url(), options));
  place->is_pushed = true;
  return place;
}

std::unique_ptr<Place> on_redis() {
  static const RedisServer server;
  return on_server(server);
}

std::unique_ptr<Place> on_valkey() {
  static const RedisServer server({.program = valkey_server()});
  return on_server(server);
}

TEST(HomesOnValkey, AreTestedToo) { NEEDS_VALKEY_SERVER(); }
#endif

std::vector<std::pair<std::string, MakePlace>> every_place() {
  std::vector<std::pair<std::string, MakePlace>> places{{"memory", in_memory}, {"lmdb", in_lmdb}};
#ifdef ZOOCACHE_HAS_REDIS
  places.emplace_back("redis", on_redis);
  if (!valkey_server().empty()) places.emplace_back("valkey", on_valkey);
#endif
  return places;
}

INSTANTIATE_TEST_SUITE_P(Every, Homes, ::testing::ValuesIn(every_place()),
                         [](const auto& one) { return one.param.first; });

}  // namespace
}  // namespace zoocache::testing
