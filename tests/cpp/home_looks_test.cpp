// What tools see of homes and storages from outside (core/look.h), for each kind of them.
#include <gtest/gtest.h>
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>
#ifdef ZOOCACHE_HAS_REDIS
#include <zoocache/redis.h>
#endif

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/home.h"
#include "core/inspection.h"
#include "core/log.h"
#include "core/second_level.h"
#include "eventually.h"
#include "temporary_folder.h"
#ifdef ZOOCACHE_HAS_REDIS
#include "redis_server.h"
#endif

namespace zoocache::testing {
namespace {

struct Place {
  TemporaryFolder folder;
  HomePtr home;
  StoragePtr storage;
};
using MakePlace = std::function<std::unique_ptr<Place>()>;

class Looks : public ::testing::TestWithParam<std::pair<std::string, MakePlace>> {
 protected:
  Looks() : log_(1 << 8, 4) {
    log_.set_home(place_->home->connect());
    log_.arrive();
  }
  core::LogHome& home() { return *log_.home(); }
  core::Epoch declare(const std::vector<std::string>& tags) {
    std::vector<core::Change> changes(tags.begin(), tags.end());
    return home().append(log_, changes, 0);
  }
  std::vector<core::HomeRow> all_rows(std::size_t most) {
    std::vector<core::HomeRow> rows;
    std::string from;
    do {
      core::HomeRows page = home().rows(from, most);
      EXPECT_LE(page.rows.size(), most);
      rows.insert(rows.end(), page.rows.begin(), page.rows.end());
      from = page.next;
    } while (!from.empty());
    return rows;
  }

  const std::unique_ptr<Place> place_ = GetParam().second();
  core::InvalidationLog log_;
};

TEST_P(Looks, TheNewestRowsComeFirstWhateverAPageHas) {
  EXPECT_TRUE(all_rows(3).empty());
  std::vector<std::string> several;
  for (int number = 0; number < 7; ++number) several.push_back("b:" + std::to_string(number));
  const core::Epoch first = declare({"a"});
  const core::Epoch second = declare(several);
  const core::Epoch third = declare({"c", ""});
  const core::Epoch again = declare({"a"});
  EXPECT_LT(first, second);
  for (const std::size_t most : {1U, 2U, 3U, 100U}) {
    const std::vector<core::HomeRow> rows = all_rows(most);
    ASSERT_EQ(rows.size(), 10U) << most;
    EXPECT_EQ(rows.front().text, "a");
    EXPECT_EQ(rows.front().epoch, again);
    EXPECT_EQ(rows[1].epoch, third);
    EXPECT_EQ(rows.back().epoch, second);
    std::set<std::string> texts;
    for (const core::HomeRow& row : rows) texts.insert(row.text);
    EXPECT_EQ(texts.size(), rows.size());
  }
}

// However often it takes effect here: perhaps before the home is told, and again after.
TEST_P(Looks, AnInvalidationIsOneWithAllItsTags) {
  const std::uint64_t count = log_.invalidations();
  declare({"a", "b"});
  EXPECT_EQ(log_.invalidations(), count + 1);
  ASSERT_FALSE(log_.recent().empty());
  EXPECT_EQ(log_.recent()[0].tags, (std::vector<std::string>{"a", "b"}));
}

TEST_P(Looks, EpochsAreThoseOfExactlyTheText) {
  const core::Epoch one = declare({"org:acme"});
  const core::Epoch two = declare({"org:acme:user"});
  const std::vector<std::string> texts{"org", "org:acme", "org:acme:user", "org:acme:user:1", ""};
  const core::HomeLook look = home().look(texts);
  EXPECT_EQ(look.epochs, (std::vector<core::Epoch>{0, one, two, 0, 0}));
  EXPECT_EQ(look.clock, two);
  EXPECT_EQ(look.floor, 0U);
  EXPECT_EQ(look.tags, 2U);
  EXPECT_EQ(look.generation, home().status().generation);
  EXPECT_NE(look.generation, 0U);
}

TEST_P(Looks, NodesAreThoseThatUseIt) {
  declare({"a"});
  ASSERT_EQ(home().nodes().size(), 1U);
  EXPECT_TRUE(home().nodes().front().uses_log);
  EXPECT_FALSE(home().facts().empty());
}

TEST_P(Looks, StoredValuesAreAllSeenOnce) {
  const std::shared_ptr<core::SecondLevel> level = place_->storage->connect();
  EXPECT_TRUE(level->page("", 10).entries.empty());
  std::set<std::string> keys;
  for (int number = 0; number < 100; ++number) {
    core::StoredValue value;
    value.generation = 7;
    value.born = static_cast<core::Epoch>(number);
    value.dependencies = {"user:" + std::to_string(number), std::string("\0\xFF", 2)};
    value.payload = std::string(static_cast<std::size_t>(number) * 100, 'x');
    value.lives_ns = number % 2 == 0 ? 0 : 60'000'000'000;
    // Some keys do not fit into what is read of an entry at first.
    std::string key = std::to_string(number) + std::string(number % 10 == 0 ? 9000 : 0, 'k');
    level->put(key, 0, value);
    keys.insert(std::move(key));
  }
  std::set<std::string> names;
  std::set<std::string> found;
  std::string from;
  do {
    const core::LevelPage page = level->page(from, 7);
    EXPECT_EQ(page.unreadable, 0U);
    for (const core::LevelEntry& entry : page.entries) {
      if (!names.insert(entry.name).second) continue;  // a server may tell it twice
      found.insert(entry.key);
      EXPECT_EQ(entry.generation, 7U);
      const std::string number = std::to_string(entry.born);
      EXPECT_EQ(entry.key.substr(0, number.size()), number);
      EXPECT_EQ(entry.dependencies,
                (std::vector<std::string>{"user:" + number, std::string("\0\xFF", 2)}));
      EXPECT_GT(entry.size_bytes, entry.key.size());
      EXPECT_EQ(entry.born % 2 == 1, entry.lives_ns > 0 && entry.lives_ns <= 60'000'000'000)
          << entry.lives_ns;
    }
    from = page.next;
  } while (!from.empty());
  EXPECT_EQ(found, keys);
}

TEST_P(Looks, EntriesTooLargeToBeLookedAtAreCounted) {
  const std::shared_ptr<core::SecondLevel> level = place_->storage->connect();
  core::StoredValue value;
  level->put(std::string(core::kMostLookedAtBytes + 1, 'k'), 0, value);
  level->put("key", 0, value);
  std::size_t entries = 0;
  std::size_t unreadable = 0;
  std::string from;
  do {
    const core::LevelPage page = level->page(from, 100);
    entries += page.entries.size();
    unreadable += page.unreadable;
    from = page.next;
  } while (!from.empty());
  EXPECT_EQ(entries, 1U);
  EXPECT_EQ(unreadable, 1U);
}

std::unique_ptr<Place> in_lmdb() {
  auto place = std::make_unique<Place>();
  place->home = lmdb_home(place->folder.path());
  place->storage = lmdb_storage(place->folder.path());
  return place;
}

#ifdef ZOOCACHE_HAS_REDIS
std::unique_ptr<Place> on_redis() {
  static const RedisServer server;
  static int count = 0;
  auto place = std::make_unique<Place>();
  const std::string prefix = "looks-" + std::to_string(++count);
  place->home = redis_home(server.url(), {.prefix = prefix, .command_timeout_s = 10});
  place->storage = redis_storage(server.url(), {.prefix = prefix, .command_timeout_s = 10});
  return place;
}
#endif

std::vector<std::pair<std::string, MakePlace>> every_place() {
  std::vector<std::pair<std::string, MakePlace>> places{{"lmdb", in_lmdb}};
#ifdef ZOOCACHE_HAS_REDIS
  if (RedisServer::is_installed()) places.emplace_back("redis", on_redis);
#endif
  return places;
}

INSTANTIATE_TEST_SUITE_P(Every, Looks, ::testing::ValuesIn(every_place()),
                         [](const auto& one) { return one.param.first; });

TEST(Inspection, ALineOfJsonWithinItsBounds) {
  core::MemoryTold told;
  told.language = "C++";
  told.entries = 3;
  told.totals.hits = 7;
  told.functions.push_back({.name = "rarely", .entries = 1, .totals = {.hits = 1}});
  told.functions.push_back(
      {.name = "a\"b\\c\n\x01", .entries = 2, .totals = {.hits = 5}, .load_ns = 1'500'000'000});
  told.tags = {{"few", 1}, {"many", 9}};
  const std::string all = to_json(told, 4096);
  EXPECT_NE(all.find(R"("functions":[["a\"b\\c\u000a\u0001",2,5,0,0,0,1.5],["rarely",1,1,)"),
            std::string::npos)
      << all;
  EXPECT_NE(all.find(R"("tags_total":0,)"), std::string::npos);
  EXPECT_NE(all.find(R"("tags":[["many",9],["few",1]]})"), std::string::npos);
  EXPECT_NE(all.find(R"("dying":null)"), std::string::npos);
  EXPECT_NE(all.find(R"("counts":{"hits":7,)"), std::string::npos);
  told.dying = {{"rarely", 1}};
  EXPECT_NE(to_json(told, 4096).find(R"("dying":[["rarely",1]])"), std::string::npos);
  for (int number = 0; number < 1000; ++number) {
    told.functions.push_back({.name = "function " + std::to_string(number)});
    told.tags.emplace_back("tag:" + std::to_string(number), 1);
    told.dying->emplace_back("function " + std::to_string(number), 1);
  }
  for (const std::size_t most : {std::size_t{4096}, std::size_t{65'536}}) {
    const std::string some = to_json(told, most);
    EXPECT_LE(some.size(), most + 32);
    EXPECT_GT(some.size(), most / 2);
    EXPECT_EQ(some.substr(some.size() - 3), "]]}");
  }
}

#ifdef ZOOCACHE_HAS_REDIS
class Inspecting : public ::testing::Test {
 protected:
  void SetUp() override { NEEDS_REDIS_SERVER(); }

  HomePtr home(double inspect_interval_s, RedisMode mode = RedisMode::kFull) {
    if (server_ == nullptr) server_ = std::make_unique<RedisServer>();
    return redis_home(
        server_->url(),
        {.command_timeout_s = 10, .mode = mode, .inspect_interval_s = inspect_interval_s});
  }
  core::Inspected ask(core::InvalidationLog& log, const std::string& tag = "") {
    return log.home()->inspect(
        {.tag = tag, .most_bytes = 1 << 20, .wait = std::chrono::seconds(1)});
  }

  std::unique_ptr<RedisServer> server_;
};

TEST_F(Inspecting, CachesTellWhatIsInTheirMemory) {
  core::InvalidationLog tool(16);
  tool.set_home(home(0.01, RedisMode::kWriter)->connect());
  EXPECT_EQ(ask(tool).asked, 0U);
  std::vector<std::unique_ptr<Cache>> caches;
  std::vector<CachedFunction<int, int>> functions;
  for (int number = 0; number < 3; ++number) {
    caches.push_back(std::make_unique<Cache>(Options{.home = home(0.01)}));
    functions.push_back(caches.back()->cacheable(
        "twice", [](int id) { return 2 * id; }, deps("user:{0}")));
    EXPECT_EQ(*functions.back()(21), 42);
  }
  core::Inspected found;
  ASSERT_TRUE(eventually(
      [&] {
        found = ask(tool, "user");
        return found.asked == 3 && found.answers.size() == 3;
      },
      std::chrono::seconds(30)));
  std::set<std::string> nodes;
  for (const core::ProcessTold& one : found.answers) {
    nodes.insert(one.node);
    EXPECT_NE(one.told.find(R"("language":"C++")"), std::string::npos) << one.told;
    EXPECT_NE(one.told.find(R"("dying":[["twice",1]])"), std::string::npos) << one.told;
    EXPECT_NE(one.told.find(R"(["twice",1,0,1,1,0,)"), std::string::npos) << one.told;
    EXPECT_NE(one.told.find(R"("tags":[["user:21",1]])"), std::string::npos) << one.told;
  }
  EXPECT_EQ(nodes.size(), 3U);
  // A tag that is none here is no answer, and no harm.
  EXPECT_TRUE(ask(tool, std::string(5000, 'x')).answers.empty());
  functions.clear();
  caches.clear();
  EXPECT_TRUE(eventually([&] { return ask(tool).asked == 0; }, std::chrono::seconds(30)));
}

TEST_F(Inspecting, CachesEndWhileTheyAreAsked) {
  core::InvalidationLog tool(16);
  tool.set_home(home(0.01, RedisMode::kWriter)->connect());
  ask(tool);  // it is connected now
  std::atomic<bool> ends{false};
  std::thread asking([&] {
    while (!ends) {
      try {
        tool.home()->inspect({.most_bytes = 1 << 20, .wait = std::chrono::milliseconds(10)});
      } catch (const HomeUnreachable&) {
        continue;  // not in time
      }
    }
  });
  const HomePtr shared = home(0.001);
  for (int number = 0; number < 40; ++number) {
    Cache cache({.home = shared});
    auto twice = cache.cacheable(
        "twice", [](int id) { return 2 * id; }, deps("user:{0}"));
    EXPECT_EQ(*twice(number), 2 * number);
    std::this_thread::sleep_for(std::chrono::milliseconds(number % 4));
  }
  ends = true;
  asking.join();
}

TEST_F(Inspecting, NotMoreOftenThanItIsToldTo) {
  core::InvalidationLog tool(16);
  tool.set_home(home(0.01, RedisMode::kWriter)->connect());
  const Cache seldom({.home = home(3600)});
  const Cache never({.home = home(0)});
  ASSERT_TRUE(eventually([&] { return ask(tool).answers.size() == 1; }, std::chrono::seconds(30)));
  const core::Inspected again =
      tool.home()->inspect({.most_bytes = 4096, .wait = std::chrono::milliseconds(100)});
  EXPECT_EQ(again.asked, 1U);
  EXPECT_TRUE(again.answers.empty());
}
#endif

TEST(LooksAtMemory, AHomeOfOneProcessHasNothingToShow) {
  core::InvalidationLog log(1 << 8);
  log.set_home(memory_home()->connect());
  EXPECT_TRUE(log.home()->rows("", 10).rows.empty());
  EXPECT_EQ(log.home()->inspect({}).asked, 0U);
  log.home()->tell({}, "{}");
  EXPECT_EQ(log.home()->look(std::vector<std::string>{"a", "b"}).epochs.size(), 2U);
  EXPECT_TRUE(memory_storage()->connect()->page("", 10).entries.empty());
}

}  // namespace
}  // namespace zoocache::testing
