// The public API in one thread: calls, keys, values, options, what the cache tells.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoocache {
namespace {

using namespace std::chrono_literals;

struct Point {
  int x = 0;
  int y = 0;
  bool operator==(const Point&) const = default;
};

struct Moody {
  int id = 0;
  static inline bool angry = false;
  bool operator==(const Moody& other) const {
    if (angry) throw std::domain_error("not today");
    return id == other.id;
  }
};

}  // namespace
}  // namespace zoocache

template <>
struct std::hash<zoocache::Point> {
  std::size_t operator()(const zoocache::Point&) const noexcept { return 1; }  // all collide
};
template <>
struct std::hash<zoocache::Moody> {
  std::size_t operator()(const zoocache::Moody&) const noexcept { return 1; }
};

namespace zoocache {
namespace {

TEST(Call, LoadsOnceAndHandsOutTheSameValue) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable("get", [&](int x) { return ++loads, std::to_string(x); });
  static_assert(std::is_same_v<decltype(get(1)), std::shared_ptr<const std::string>>);
  const auto first = get(7);
  EXPECT_EQ(*first, "7");
  EXPECT_EQ(get(7), first) << "the same object";
  EXPECT_EQ(get.get(7), first);
  EXPECT_EQ(*get(8), "8");
  EXPECT_EQ(loads, 2);
}

TEST(Call, FunctionsNeverShareEntries) {
  Cache cache;
  const auto one = cache.cacheable("same name", [](int) { return 1; });
  const auto two = cache.cacheable("same name", [](int) { return 2; });
  EXPECT_EQ(*one(0), 1);
  EXPECT_EQ(*two(0), 2);
}

TEST(Call, KeysAreComparedNotOnlyHashed) {
  Cache cache;
  const auto get =
      cache.cacheable("get", [](Point at, int z) { return at.x * 100 + at.y * 10 + z; });
  for (int x = 0; x < 10; ++x) {
    for (int y = 0; y < 10; ++y) EXPECT_EQ(*get({x, y}, 3), x * 100 + y * 10 + 3);
  }
  EXPECT_EQ(cache.stats().entries, 100U);
  for (int x = 0; x < 10; ++x) EXPECT_EQ(*get({x, 2}, 3), x * 100 + 23);
  EXPECT_EQ(cache.stats().loads, 100U);
}

TEST(Call, TextIsKeptInTheKey) {
  Cache cache;
  int loads = 0;
  const auto get =
      cache.cacheable("get", [&](std::string_view name) { return ++loads, name.size(); });
  std::string text = "abc";
  EXPECT_EQ(*get(text), 3U);
  text = "xyz";  // the key must not have been a view of this
  EXPECT_EQ(*get("abc"), 3U);
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(*get(text), 3U);
  EXPECT_EQ(loads, 2);
  const std::string_view view = text;
  EXPECT_EQ(get(view), get(text));
  EXPECT_EQ(get.visit(view, [](std::size_t size) { return size; }), 3U);
  EXPECT_EQ(loads, 2);
  get.invalidate(view);
  EXPECT_EQ(get.peek(view), nullptr);
}

TEST(Call, NoArgumentsAreAKeyToo) {
  Cache cache;
  int loads = 0;
  const auto all = cache.cacheable("all", [&] { return ++loads; });
  EXPECT_EQ(*all(), 1);
  EXPECT_EQ(*all(), 1);
  all.invalidate();
  EXPECT_EQ(*all(), 2);
}

TEST(Call, ValuesMayBeMovableOnlyAndLoadersToo) {
  Cache cache;
  auto owned = std::make_unique<int>(40);
  const auto get = cache.cacheable(
      "get", [owned = std::move(owned)](int x) { return std::make_unique<int>(*owned + x); });
  EXPECT_EQ(**get(2), 42);
  EXPECT_EQ(get.visit(2, [](const std::unique_ptr<int>& value) { return *value; }), 42);
}

int plain_function(int x) { return x + 1; }

TEST(Call, AFunctionIsALoader) {
  Cache cache;
  EXPECT_EQ(*cache.cacheable("plain", plain_function)(1), 2);
}

TEST(Call, EmptyValuesAreValues) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable("get", [&](int) { return ++loads, std::shared_ptr<int>(); });
  EXPECT_EQ(*get(1), nullptr);
  EXPECT_EQ(*get(1), nullptr);
  EXPECT_EQ(loads, 1);
}

TEST(Call, VisitSeesTheStoredObjectAndReturnsWhatItsCallableDoes) {
  Cache cache;
  const auto get = cache.cacheable("get", [](int x) { return std::string(200, char('a' + x)); });
  const auto value = get(0);
  const long before = value.use_count();
  const void* seen = nullptr;
  get.visit(0, [&](const std::string& text) {
    seen = &text;
    EXPECT_EQ(value.use_count(), before) << "a visit counts no reference";
  });
  EXPECT_EQ(seen, value.get());
  EXPECT_EQ(get.visit(1, [](const std::string& text) { return text.front(); }), 'b') << "a miss";
  auto moved = get.visit(1, [](const std::string&) { return std::make_unique<int>(5); });
  EXPECT_EQ(*moved, 5);
  EXPECT_THROW(get.visit(0, [](const std::string&) { throw std::domain_error("mine"); }),
               std::domain_error);
  EXPECT_EQ(*get(0), *value) << "nothing is broken by it";
}

TEST(Call, PeekLoadsAndCountsNothing) {
  Cache cache;
  const auto get = cache.cacheable(
      "get", [](int x) { return x; }, deps("t"));
  EXPECT_EQ(get.peek(1), nullptr);
  EXPECT_EQ(*get(1), 1);
  EXPECT_EQ(*get.peek(1), 1);
  cache.invalidate("t");
  EXPECT_EQ(get.peek(1), nullptr);
  const FunctionStats stats = get.stats();
  EXPECT_EQ(stats.hits, 0U);
  EXPECT_EQ(stats.misses, 1U);
  EXPECT_EQ(stats.loads, 1U);
}

TEST(Call, InvalidatingOneKeyLeavesTheOthers) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable("get", [&](int) { return ++loads; });
  get(1), get(2);
  get.invalidate(1);
  EXPECT_EQ(*get(2), 2);
  EXPECT_EQ(*get(1), 3);
  EXPECT_EQ(*get.refresh(2), 4);
  EXPECT_EQ(*get(2), 4);
  get.clear();
  EXPECT_EQ(*get(1), 5);
}

TEST(Call, EveryWayToNameTags) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable(
      "get", [&](int) { return ++loads; }, deps("a:{0}", "b"));
  const auto reloaded = [&] {
    const int before = loads;
    get(1);
    return loads == before + 1;
  };
  get(1);
  const std::string text = "a:1";
  EXPECT_EQ(cache.invalidate(text), 1U);
  EXPECT_TRUE(reloaded());
  EXPECT_EQ(cache.invalidate("x", "y", text), 2U) << "one epoch";
  EXPECT_TRUE(reloaded());
  EXPECT_EQ(cache.invalidate({"z", "b"}), 3U);
  EXPECT_TRUE(reloaded());
  EXPECT_EQ(cache.invalidate(std::vector<std::string>{"a", "q"}), 4U) << "a parent";
  EXPECT_TRUE(reloaded());
  cache.invalidate("a:2", "a:10");
  EXPECT_FALSE(reloaded());
  cache.clear();
  EXPECT_TRUE(reloaded());
}

TEST(Call, BadTagsChangeNothing) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable(
      "get", [&](int) { return ++loads; }, deps("good"));
  get(1);
  const std::string bad[] = {"",        ":",
                             "a:",      ":a",
                             "a::b",    "a b",
                             "a|b",     std::string("a\0b", 3),
                             "a\n",     std::string(10'000, 'x'),
                             "\xff\xfe"};
  for (const std::string& tag : bad) {
    EXPECT_THROW(cache.invalidate(tag), InvalidTag) << tag.substr(0, 20);
    EXPECT_THROW(cache.invalidate("good", tag), InvalidTag) << "all or nothing";
    EXPECT_THROW(static_cast<void>(cache.invalidating({"good", tag})), InvalidTag);
    EXPECT_THROW(cache.tag_version(tag), InvalidTag);
    EXPECT_THROW(cache.cacheable(
                     "bad", [](int x) { return x; }, deps(tag)),
                 InvalidTag);
  }
  EXPECT_THROW(cache.invalidate(std::vector<std::string>{}), InvalidTag);
  EXPECT_EQ(cache.stats().clock, 0U);
  EXPECT_EQ(*get(1), 1) << "a failed hold holds nothing";
  get.invalidate(1);
  get(1);
  EXPECT_EQ(*get(1), 2);
}

TEST(Call, BadOptionsAreRefused) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(Cache({.max_entries = 0}), InvalidOption);
  EXPECT_THROW(Cache({.default_ttl_s = -1}), InvalidOption);
  EXPECT_THROW(Cache({.flight_timeout_s = kNan}), InvalidOption);
  EXPECT_THROW(Cache({.ring_records = 100}), InvalidOption);
  Cache cache;
  const auto define = [&](const CacheableOptions<int>& options) {
    cache.cacheable(
        "f", [](int x) { return x; }, NoDeps{}, options);
  };
  CacheableOptions<int> options;
  options.flight_timeout_s = kNan;
  EXPECT_THROW(define(options), InvalidOption);
  options = {};
  options.bounds.ttl_s = kNan;
  EXPECT_THROW(define(options), InvalidOption);
  EXPECT_EQ(cache.stats().entries, 0U);
}

TEST(Call, TimeToLive) {
  Cache cache;
  int loads = 0;
  const auto load = [&](int) { return ++loads; };
  CacheableOptions<int> options;
  options.bounds.ttl_s = 0.15;
  const auto fixed = cache.cacheable("fixed", load, NoDeps{}, options);
  EXPECT_EQ(*fixed(1), 1);
  EXPECT_EQ(*fixed(1), 1);
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(*fixed(1), 2);

  options = {};
  options.ttl_s = [](const int& value) { return value % 2 == 1 ? 0.0 : 100.0; };
  const auto by_value = cache.cacheable("by value", load, NoDeps{}, options);
  EXPECT_EQ(*by_value(1), 3) << "0 seconds: not stored";
  EXPECT_EQ(*by_value(1), 4);
  EXPECT_EQ(*by_value(1), 4);
  options.ttl_s = [](const int&) { return std::nan(""); };
  const auto strange = cache.cacheable("strange", load, NoDeps{}, options);
  EXPECT_EQ(*strange(1), 5);
  EXPECT_EQ(*strange(1), 6) << "no number is no time";
}

TEST(Call, SlidingTimeToLive) {
  Cache cache;
  int loads = 0;
  CacheableOptions<int> options;
  options.bounds = {.ttl_s = 0.4, .sliding = true};
  const auto get = cache.cacheable(
      "get", [&](int) { return ++loads; }, NoDeps{}, options);
  get(1);
  for (int step = 0; step < 6; ++step) {
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(*get(1), 1) << "each hit starts the time anew";
  }
}

TEST(Call, WhatIsNotStored) {
  Cache cache;
  int loads = 0;
  CacheableOptions<int> options;
  options.store_if = [](const int& value) { return value > 2; };
  const auto chosen = cache.cacheable(
      "chosen", [&](int) { return ++loads; }, NoDeps{}, options);
  EXPECT_EQ(*chosen(1), 1);
  EXPECT_EQ(*chosen(1), 2);
  EXPECT_EQ(*chosen(1), 3);
  EXPECT_EQ(*chosen(1), 3);
  EXPECT_EQ(chosen.stats().not_stored, 2U);

  const auto refusing = cache.cacheable("refusing", [&](int) { return no_store(), ++loads; });
  EXPECT_EQ(*refusing(1), 4);
  EXPECT_EQ(*refusing(1), 5);

  options.store_if = [](const int&) -> bool { throw std::domain_error("mine"); };
  const auto failing = cache.cacheable(
      "failing", [&](int) { return ++loads; }, NoDeps{}, options);
  EXPECT_THROW(failing(1), std::domain_error);
  EXPECT_EQ(failing.peek(1), nullptr);
  EXPECT_EQ(cache.stats().flights, 0U) << "the flight has ended";
}

TEST(Call, BoundsOfAFunctionAndOfTheCache) {
  Cache cache({.max_entries = 100});
  CacheableOptions<int> options;
  options.bounds.max_entries = 10;
  const auto small = cache.cacheable(
      "small", [](int x) { return x; }, NoDeps{}, options);
  const auto large = cache.cacheable("large", [](int x) { return x; });
  for (int x = 0; x < 50; ++x) small(x);
  EXPECT_LE(cache.stats().entries, 10U);
  for (int x = 0; x < 1000; ++x) large(x);
  EXPECT_LE(cache.stats().entries, 100U);
  EXPECT_GT(cache.stats().evictions, 900U);
}

TEST(Call, DeclaredSizesAreBounded) {
  Cache cache({.max_bytes = 100'000});
  CacheableOptions<std::string> options;
  options.size_bytes = [](const std::string& text) { return text.capacity(); };
  const auto get = cache.cacheable(
      "get", [](int size) { return std::string(static_cast<std::size_t>(size), 'x'); }, NoDeps{},
      options);
  for (int size = 5000; size < 5100; ++size) get(size);
  EXPECT_LE(cache.stats().bytes, 100'000U);
  EXPECT_GT(cache.stats().entries, 5U);
  get(200'000);
  EXPECT_EQ(get.peek(200'000), nullptr) << "more than the whole bound";
}

TEST(Call, DeclaredSizesBeyondFourGibibytesAreBounded) {
  constexpr std::size_t kGibibyte = std::size_t{1} << 30;
  Cache cache({.max_bytes = 13 * kGibibyte});
  CacheableOptions<int> options;
  options.size_bytes = [](const int&) { return 6 * kGibibyte; };
  const auto get = cache.cacheable(
      "get", [](int x) { return x; }, NoDeps{}, options);
  for (int x = 0; x < 10; ++x) get(x);
  EXPECT_EQ(cache.stats().entries, 2U);
  EXPECT_GE(cache.stats().bytes, 12 * kGibibyte);
}

TEST(Call, AComparisonThatThrowsBreaksNothing) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable("get", [&](Moody) {
    Moody::angry = loads == 1;
    return ++loads;
  });
  EXPECT_EQ(*get({1}), 1);
  EXPECT_THROW(get({2}), std::domain_error) << "at the store";
  EXPECT_THROW(get({1}), std::domain_error) << "at the look-up";
  EXPECT_THROW(get.peek({1}), std::domain_error);
  Moody::angry = false;
  EXPECT_EQ(*get({1}), 1);
  EXPECT_EQ(*get({2}), 3);
  EXPECT_EQ(cache.stats().flights, 0U);
}

TEST(Explain, EveryReason) {
  Cache cache({.max_entries = 4});
  bool keep = true;
  CacheableOptions<int> options;
  options.store_if = [&](const int&) { return keep; };
  const auto get = cache.cacheable(
      "get", [](int x) { return x; }, deps("org:t{0}"), options);
  using Reason = Explanation::Reason;
  EXPECT_EQ(get.explain(1).reason, Reason::kNeverLoaded);
  get(1);
  Explanation told = cache.explain(get, 1);
  EXPECT_EQ(told.reason, Reason::kHit);
  EXPECT_EQ(told.deps, std::vector<std::string>{"org:t1"});
  EXPECT_EQ(told.text(), "hit: born at epoch 0, depends on 'org:t1'");
  const auto epoch = cache.invalidate("org");
  told = get.explain(1);
  EXPECT_EQ(told.reason, Reason::kInvalidated);
  EXPECT_EQ(told.tag, "org");
  EXPECT_EQ(told.epoch, epoch);
  EXPECT_EQ(told.text().find("miss: invalidated by 'org', 0.0"), 0U) << told.text();
  EXPECT_EQ(get.stats().misses, 1U) << "explaining counts nothing";
  keep = false;
  get(1);
  told = get.explain(1);
  EXPECT_EQ(told.reason, Reason::kNotStored);
  EXPECT_NE(told.text().find("its options said so"), std::string::npos);
  keep = true;
  get(1);
  get.invalidate(1);
  told = get.explain(1);
  EXPECT_EQ(told.reason, Reason::kInvalidated);
  EXPECT_EQ(told.tag, "");
  EXPECT_EQ(told.detail, "the invalidation of this call");
  get(1);
  cache.clear();
  EXPECT_EQ(get.explain(1).detail, "clear()");
  for (int x = 2; x < 100; ++x) get(x);
  bool evicted = false;
  for (int x = 2; x < 100; ++x) evicted = evicted || get.explain(x).reason == Reason::kEvicted;
  EXPECT_TRUE(evicted);
}

TEST(Told, StatsAndTags) {
  Cache cache;
  const auto get = cache.cacheable(
      "get",
      [](int x) {
        if (x < 0) throw std::domain_error("negative");
        return x;
      },
      deps("org:a:{0}", "plain"));
  get(1), get(1), get(2);
  EXPECT_THROW(get(-1), std::domain_error);
  const Stats stats = cache.stats();
  EXPECT_EQ(stats.hits, 1U);
  EXPECT_EQ(stats.misses, 3U);
  EXPECT_EQ(stats.loads, 3U);
  EXPECT_EQ(stats.load_errors, 1U);
  EXPECT_EQ(stats.stores, 2U);
  EXPECT_EQ(stats.entries, 2U);
  EXPECT_EQ(stats.tags, 5U) << "org, org:a, org:a:1, org:a:2, plain";
  EXPECT_GT(stats.bytes, 0U);
  cache.invalidate("org:a:1");
  const auto tags = cache.tags("org");
  ASSERT_EQ(tags.size(), 4U);
  EXPECT_EQ(tags[2].tag, "org:a:1");
  EXPECT_EQ(tags[2].version, 1U);
  EXPECT_EQ(cache.tag_version("org:a:1"), 1U);
  EXPECT_EQ(cache.tag_version("org:a:2"), 0U);
  EXPECT_EQ(get.stats().load_errors, 1U);
}

TEST(Told, FunctionsAndInvalidations) {
  Cache cache({.invalidation_records = 3});
  const auto get = cache.cacheable(
      "get",
      [](int x) {
        std::this_thread::sleep_for(1ms);
        return x;
      },
      deps("org:{0}"));
  get(1), get(2);
  cache.invalidate("dropped");
  cache.invalidate("org:1");
  get.invalidate(2);
  get(1), get(2);
  cache.clear();
  get(1);

  const auto functions = cache.functions();
  ASSERT_EQ(functions.size(), 1U);
  const FunctionInfo& told = functions[0];
  EXPECT_EQ(told.name, "get");
  EXPECT_EQ(told.stats.misses, 5U);
  EXPECT_EQ(told.stats.misses_invalidated, 3U);
  const LoadTimes& times = told.load_times;
  ASSERT_EQ(times.counts.size(), times.bounds_s.size() + 1);
  EXPECT_EQ(std::accumulate(times.counts.begin(), times.counts.end(), std::uint64_t{0}), 5U);
  EXPECT_EQ(times.counts[0], 0U) << "none was as quick as " << times.bounds_s[0] << " s";
  EXPECT_GE(times.sum_s, 0.005);

  const auto invalidations = cache.invalidations();
  ASSERT_EQ(invalidations.size(), 4U) << "as many as the next power of two";
  EXPECT_TRUE(invalidations[0].everything);
  EXPECT_GE(invalidations[0].died, 1U);
  EXPECT_EQ(invalidations[1].functions, std::vector<std::string>{"get"});
  EXPECT_EQ(invalidations[1].died, 1U);
  EXPECT_EQ(invalidations[2].tags, std::vector<std::string>{"org:1"});
  EXPECT_EQ(invalidations[2].died, 1U);
}

}  // namespace
}  // namespace zoocache
