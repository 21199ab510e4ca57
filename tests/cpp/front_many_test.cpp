// get_many: as the calls for each item, with one load for all that is missing.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <vector>

#include "cache_pair.h"

namespace zoocache {
namespace {

using Items = std::vector<int>;

// A loader of many, and what it was asked for.
class Many {
 public:
  std::vector<int> operator()(const Items& items) {
    const std::lock_guard lock(mutex_);
    batches.push_back(items);
    std::vector<int> values;
    for (const int item : items) values.push_back(item * 1000);
    return values;
  }
  std::vector<Items> batches;

 private:
  std::mutex mutex_;
};

template <class Pointer>
Items plain(const std::vector<Pointer>& values) {
  Items all;
  for (const auto& value : values) all.push_back(*value);
  return all;
}

class Batches : public testing::Levels {
 protected:
  Many many;
};

TEST_F(Batches, TheValuesComeInTheOrderOfTheItems) {
  Cache cache;
  const auto get = function(cache);
  EXPECT_TRUE(get.get_many({}).empty());
  EXPECT_EQ(*get(3), 3000);
  EXPECT_EQ(plain(get.get_many({5, 3, 1, 5, 3}, many)), (Items{5000, 3000, 1000, 5000, 3000}));
  EXPECT_EQ(many.batches, (std::vector<Items>{{5, 1}}));
  EXPECT_EQ(plain(get.get_many({1, 5}, many)), (Items{1000, 5000}));
  EXPECT_EQ(many.batches.size(), 1U);
  EXPECT_EQ(plain(get.get_many({7, 1, 7})), (Items{7000, 1000, 7000}));
  EXPECT_EQ(source.loads, 2) << "3 and 7";
  EXPECT_EQ(get.stats().misses, 4U + 2U) << "an item that is there twice misses twice";
}

TEST_F(Batches, SeveralArgumentsAreATuple) {
  Cache cache;
  const auto add = cache.cacheable("add", [](int left, int right) { return left + right; });
  const std::vector<std::tuple<int, int>> items{{1, 2}, {3, 4}};
  EXPECT_EQ(plain(add.get_many(items)), (Items{3, 7}));
}

TEST_F(Batches, DependenciesAreEachItemsOwnAndTheLoadersEverybodys) {
  Cache cache;
  const auto get = function(cache);
  const auto inner = cache.cacheable(
      "inner", [](int id) { return id; }, deps("inner:{0}"));
  const auto load = [&](const Items& items) {
    Load::current().add_deps({"table"});
    inner(1);
    return many(items);
  };
  get.get_many({1, 2}, load);
  cache.invalidate("org:acme:user:1");
  get.get_many({1, 2}, load);
  EXPECT_EQ(many.batches.back(), (Items{1}));
  for (const char* tag : {"table", "inner:1"}) {
    cache.invalidate(tag);
    get.get_many({1, 2}, load);
    EXPECT_EQ(many.batches.back(), (Items{1, 2})) << tag;
  }
  EXPECT_EQ(many.batches.size(), 4U);
}

TEST_F(Batches, AnOuterLoadDependsOnAllOfThem) {
  Cache cache;
  const auto get = function(cache);
  int runs = 0;
  const auto outer = cache.cacheable("outer", [&] {
    get.get_many({1, 2}, many);
    get.get_many({3});
    return ++runs;
  });
  EXPECT_EQ(*outer(), 1);
  EXPECT_EQ(*outer(), 1);
  cache.invalidate("org:acme:user:2");
  EXPECT_EQ(*outer(), 2);
  cache.invalidate("org:acme:user:3");
  EXPECT_EQ(*outer(), 3);
  EXPECT_EQ(*outer(), 3);
}

TEST_F(Batches, WhatIsInvalidatedDuringTheLoadIsNotStored) {
  Cache cache;
  const auto get = function(cache);
  const auto load = [&](const Items& items) {
    cache.invalidate("org:acme:user:1");
    return many(items);
  };
  EXPECT_EQ(plain(get.get_many({1, 2}, load)), (Items{1000, 2000}));
  EXPECT_EQ(get.peek(1), nullptr);
  EXPECT_NE(get.peek(2), nullptr);
}

TEST_F(Batches, WhatIsNotStoredIsLoadedOnceAllTheSame) {
  Cache cache;
  const auto get = function(cache);
  const auto load = [&](const Items& items) {
    Load::current().no_store();
    return many(items);
  };
  EXPECT_EQ(plain(get.get_many({1, 2, 1}, load)), (Items{1000, 2000, 1000}));
  EXPECT_EQ(source.loads, 0);
  EXPECT_EQ(get.peek(1), nullptr);
}

TEST_F(Batches, AnOuterLoadIsStoredWhereNothingWasFound) {
  const auto get = function(first);
  int runs = 0;
  const auto outer = first.cacheable("outer", [&] {
    get.get_many({1, 2});
    return ++runs;
  });
  EXPECT_EQ(*outer(), 1);
  EXPECT_EQ(*outer(), 1);
  first.invalidate("org:acme:user:2");
  EXPECT_EQ(*outer(), 2);
}

TEST_F(Batches, ManyThreadsLoadEachItemOnce) {
  Cache cache;
  const auto get = function(cache);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 20; ++round) {
        Items items(20);
        std::iota(items.begin(), items.end(), round * 20 + thread);
        if (thread % 2 != 0) std::reverse(items.begin(), items.end());
        const Items values = plain(get.get_many(items, std::ref(many)));
        for (std::size_t at = 0; at < items.size(); ++at) EXPECT_EQ(values[at], items[at] * 1000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Items loaded;
  for (const Items& batch : many.batches) loaded.insert(loaded.end(), batch.begin(), batch.end());
  std::sort(loaded.begin(), loaded.end());
  EXPECT_EQ(std::adjacent_find(loaded.begin(), loaded.end()), loaded.end());
  EXPECT_EQ(loaded.size(), 20U * 20U + 7U);
  EXPECT_EQ(source.loads, 0);
}

TEST_F(Batches, ALoaderMayAskForItsOwnItems) {
  Cache cache;
  const auto get = function(cache);
  const auto load = [&](const Items& items) {
    Items values;
    for (const int item : items) values.push_back(*get(item));
    return values;
  };
  EXPECT_EQ(plain(get.get_many({1, 2}, load)), (Items{1000, 2000}));
  EXPECT_EQ(source.loads, 2);
}

TEST_F(Batches, AnErrorIsThrownAndNobodyIsLeftBehind) {
  Cache cache;
  const auto get = function(cache);
  std::atomic<bool> is_in{false};
  const auto load = [&](const Items&) -> Items {
    is_in = true;
    testing::wait_until([&] { return get.stats().flights_joined == 1; });
    throw std::runtime_error("broken");
  };
  int single = 0;
  std::thread other([&] {
    testing::wait_until([&] { return is_in.load(); });
    single = *get(2);
  });
  EXPECT_THROW(get.get_many({1, 2}, load), std::runtime_error);
  other.join();
  EXPECT_EQ(single, 2000) << "it asked for nothing that failed";
  EXPECT_EQ(get.peek(1), nullptr);
  EXPECT_THROW(get.get_many({1, 3}, [](const Items&) { return Items{1}; }), std::length_error);
  EXPECT_EQ(*get(3), 3000);
}

TEST_F(Batches, AnOldValueStandsInForAnError) {
  Cache cache;
  CacheableOptions<int> options;
  options.bounds.aging.stale_if_error_s = 60;
  options.bounds.aging.stale_if_error_invalidated = true;
  const auto get = function(cache, "get", options);
  get.get_many({1, 2}, many);
  cache.invalidate("org");
  const auto load = [](const Items&) -> Items { throw std::runtime_error("broken"); };
  EXPECT_EQ(plain(get.get_many({1, 2, 1}, load)), (Items{1000, 2000, 1000}));
  EXPECT_THROW(get.get_many({1, 3}, load), std::runtime_error);
}

TEST_F(Batches, TheOtherProcessFindsTheValues) {
  const auto here = function(first);
  const auto there = function(second);
  here.get_many({1, 2, 3}, many);
  EXPECT_EQ(here.stats().l2_stores, 3U);
  EXPECT_EQ(plain(there.get_many({2, 4, 3}, many)), (Items{2000, 4000, 3000}));
  EXPECT_EQ(many.batches, (std::vector<Items>{{1, 2, 3}, {4}}));
  EXPECT_EQ(plain(here.get_many({4, 5})), (Items{4000, 5000}));
  EXPECT_EQ(source.loads, 1) << "5, by the function";
  EXPECT_EQ(here.stats().l2_hits, 1U);
  EXPECT_EQ(there.stats().l2_hits, 2U);
}

TEST_F(Batches, ClaimsAreFreedWhateverBecomesOfTheLoad) {
  const auto here = function(first);
  const auto there = function(second);
  const auto broken = [](const Items&) -> Items { throw std::runtime_error("broken"); };
  EXPECT_THROW(here.get_many({1, 2}, broken), std::runtime_error);
  there.get_many({1, 2}, many);
  EXPECT_EQ(many.batches, (std::vector<Items>{{1, 2}})) << "nobody else loads them";
}

TEST_F(Batches, TwoProcessesThatOverlapCrosswiseLoadEachItemOnce) {
  const auto here = function(first);
  const auto there = function(second);
  for (int first_item = 0; first_item < 400; first_item += 20) {
    Items items(20);
    std::iota(items.begin(), items.end(), first_item);
    const Items backwards(items.rbegin(), items.rend());
    std::thread other([&] { there.get_many(backwards, std::ref(many)); });
    here.get_many(items, std::ref(many));
    other.join();
  }
  std::size_t loaded = 0;
  for (const Items& batch : many.batches) loaded += batch.size();
  EXPECT_EQ(loaded, 400U);
  EXPECT_EQ(source.loads, 0);
}

}  // namespace
}  // namespace zoocache
