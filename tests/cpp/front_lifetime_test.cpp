// Who owns what, and when it is destroyed: values, keys, loaders, functions, caches.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace zoocache {
namespace {

// Counts the living, and knows whether it is one of them.
struct Counted {
  explicit Counted(int number) : id(number) { ++alive; }
  Counted(const Counted& other) : id(other.id) { ++alive; }
  Counted(Counted&& other) noexcept : id(other.id) { ++alive; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) = default;
  ~Counted() {
    check = 0;
    --alive;
  }
  bool operator==(const Counted& other) const { return id == other.id; }

  static constexpr int kCheck = 0x5AFE;
  static inline std::atomic<int> alive{0};
  int id;
  int check = kCheck;
};

}  // namespace
}  // namespace zoocache

template <>
struct std::hash<zoocache::Counted> {
  std::size_t operator()(const zoocache::Counted& it) const noexcept {
    return static_cast<std::size_t>(it.id);
  }
};

namespace zoocache {
namespace {

class Lifetime : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(Counted::alive.load(), 0); }
  void TearDown() override { EXPECT_EQ(Counted::alive.load(), 0) << "nothing is left"; }
};

TEST_F(Lifetime, TheCacheTakesEverythingAlong) {
  Cache cache;
  const auto get = cache.cacheable("get", [](const Counted& key) { return Counted(key.id); });
  for (int id = 0; id < 1000; ++id) get(Counted(id));
  EXPECT_EQ(Counted::alive.load(), 2000) << "a key and a value each";
}

TEST_F(Lifetime, ClearFreesAtOnce) {
  Cache cache;
  const auto get = cache.cacheable("get", [](int id) { return Counted(id); });
  for (int id = 0; id < 1000; ++id) get(id);
  const auto kept = get(7);
  cache.clear();
  EXPECT_EQ(Counted::alive.load(), 1);
  EXPECT_EQ(kept->id, 7);
  EXPECT_EQ(kept->check, Counted::kCheck);
  EXPECT_EQ(cache.stats().entries, 0U);
}

TEST_F(Lifetime, AFunctionsDeathFreesItsEntries) {
  Cache cache;
  {
    const auto get = cache.cacheable(
        "get", [](int id) { return Counted(id); }, deps("t:{0}"));
    const auto copy = get;
    for (int id = 0; id < 100; ++id) copy(id);
    EXPECT_EQ(cache.stats().entries, 100U);
  }
  EXPECT_EQ(cache.stats().entries, 0U);
  EXPECT_EQ(Counted::alive.load(), 0);
  EXPECT_EQ(cache.stats().tags, 0U) << "and what they depended on";
  EXPECT_EQ(cache.stats().loads, 100U) << "the counts stay";
}

TEST_F(Lifetime, AFunctionMayOutliveTheCache) {
  std::optional<CachedFunction<Counted, int>> kept;
  std::optional<Invalidating> block;
  {
    Cache cache;
    kept = cache.cacheable(
        "get", [](int id) { return Counted(id); }, deps("t"));
    (*kept)(1);
    block.emplace(cache.invalidating({"t"}));
  }
  EXPECT_EQ((*kept)(1)->id, 1);
  EXPECT_EQ(kept->stats().hits, 1U);
  block.reset();
  EXPECT_EQ(kept->peek(1), nullptr);
}

TEST_F(Lifetime, AValueMayOutliveEverything) {
  std::shared_ptr<const Counted> kept;
  {
    Cache cache;
    kept = cache.cacheable("get", [](int id) { return Counted(id); })(5);
  }
  EXPECT_EQ(kept->check, Counted::kCheck);
}

TEST_F(Lifetime, LoadersDieWithTheirFunction) {
  Cache cache;
  std::weak_ptr<int> watched;
  {
    auto captured = std::make_shared<int>(1);
    watched = captured;
    const auto get = cache.cacheable("get", [captured = std::move(captured)](int) { return 0; });
    get(1);
    EXPECT_FALSE(watched.expired());
  }
  EXPECT_TRUE(watched.expired());
}

TEST_F(Lifetime, LosersOfEveryKindAreFreed) {
  Cache cache({.max_entries = 50});
  int calls = 0;
  CacheableOptions<Counted> options;
  options.store_if = [&](const Counted&) {
    if (++calls % 7 == 0) throw std::string("mine");
    return calls % 3 != 0;
  };
  const auto get = cache.cacheable(
      "get",
      [&](int id) {
        if (id % 11 == 0) throw Counted(id);
        return Counted(id);
      },
      deps("t:{0}"), options);
  for (int id = 0; id < 5000; ++id) {
    try {
      get(id);
    } catch (const Counted&) {
    } catch (const std::string&) {
    }
    if (id % 5 == 0) cache.invalidate("t:" + std::to_string(id - 3));
  }
  EXPECT_LE(cache.stats().entries, 50U);
  EXPECT_LT(Counted::alive.load(), 50 + 300) << "evicted ones wait for a few more calls";
}

// A value's destructor may use the cache.
struct Caller {
  std::function<void()> at_end;
  explicit Caller(std::function<void()> what) : at_end(std::move(what)) {}
  Caller(Caller&& other) noexcept : at_end(std::exchange(other.at_end, nullptr)) {}
  ~Caller() {
    if (at_end) at_end();
  }
};

TEST_F(Lifetime, DestructorsMayCallTheCache) {
  Cache cache({.max_entries = 10});
  int destroyed = 0;
  const auto other = cache.cacheable(
      "other", [](int x) { return x; }, deps("other"));
  const auto get = cache.cacheable("get", [&](int x) {
    return Caller([&, x] {
      ++destroyed;
      other(x);
      cache.invalidate("other");
    });
  });
  for (int x = 0; x < 1000; ++x) get(x);
  EXPECT_GT(destroyed, 500);
  cache.clear();
}

// Readers use values without a count while others replace, evict and clear them.
TEST_F(Lifetime, WhatAVisitSeesIsAlive) {
  Cache cache({.max_entries = 8});
  const auto get = cache.cacheable(
      "get", [](int id) { return Counted(id); }, deps("t:{0}"));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> dead{0};
  std::vector<std::thread> threads;
  for (int reader = 0; reader < 3; ++reader) {
    threads.emplace_back([&, reader] {
      for (int call = reader; !stop; ++call) {
        const int id = call % 16;
        get.visit(id, [&](const Counted& value) {
          if (value.check != Counted::kCheck || value.id != id) ++dead;
        });
        if (get(id)->check != Counted::kCheck) ++dead;
      }
    });
  }
  for (int round = 0; round < 400; ++round) {
    cache.invalidate(tag("t", round % 16));
    if (round % 50 == 0) cache.clear();
    std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(dead.load(), 0U);
  cache.clear();
  EXPECT_EQ(Counted::alive.load(), 0);
}

}  // namespace
}  // namespace zoocache
