// The C++ API without memory: calls end with bad_alloc and leave no flight, no hold and no stale
// entry behind; what must not fail does not.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "failing_memory.h"
#include "task.h"

namespace zoocache::testing {
namespace {

using Get = CachedFunction<std::string, std::string>;
using GetAsync = CachedAsyncFunction<std::string, std::string>;

const std::string kLong = "a:tag:that:does:not:fit:into:a:small:string";

// Three functions on top of each other, over one source of values.
struct Case {
  std::string source = "the first value, which is long as well";
  Cache cache;
  std::optional<Get> inner = cache.cacheable(
      "inner", [this](const std::string&) { return source; }, deps(kLong, "key:{0}"));
  std::optional<Get> outer = cache.cacheable(
      "outer", [this](const std::string& key) { return *(*inner)(key); },
      deps([](const std::string& key) { return std::vector<std::string>{kLong + key}; }));
  std::optional<GetAsync> top =
      cache.cacheable("top", [this](Load load, std::string key) -> Task<std::string> {
        load.add_deps({kLong});
        co_return *(*outer)(key);
      });

  // nullptr: it ended with an error.
  std::shared_ptr<const std::string> ask() {
    std::shared_ptr<const std::string> told;
    top->async_get(kLong, [&](std::shared_ptr<const std::string> value, std::exception_ptr) {
      told = std::move(value);
    });
    return told;
  }
  void expect_sound() {
    EXPECT_EQ(cache.stats().flights, 0U);
    EXPECT_EQ(*ask(), source);
    EXPECT_NE(top->peek(kLong), nullptr) << "nothing keeps it from being stored";
    source += "!";
    cache.invalidate(kLong);
    EXPECT_EQ(*ask(), source);
  }
};

std::unique_ptr<Case> prepare() {
  auto made = std::make_unique<Case>();
  made->ask();
  made->cache.invalidate(kLong);
  return made;
}

TEST(FrontMemory, Calls) {
  const int failures = fail_every_allocation(
      &prepare,
      [](Case& c) {
        c.ask();
        (*c.outer)("other");
        c.inner->invalidate("other");
        c.outer->visit("other", [](const std::string&) {});
      },
      [](Case& c, bool) { c.expect_sound(); });
  EXPECT_GT(failures, 20);
}

TEST(FrontMemory, Clearing) {
  fail_every_allocation(
      &prepare,
      [](Case& c) {
        c.cache.clear();
        c.outer->clear();
      },
      [](Case& c, bool) { c.expect_sound(); });
}

TEST(FrontMemory, HoldingTags) {
  const int failures = fail_every_allocation(
      &prepare,
      [](Case& c) {
        const auto hold = c.cache.invalidating({"first", kLong, "last"});
      },
      [](Case& c, bool) { c.expect_sound(); });
  EXPECT_GT(failures, 3);
}

TEST(FrontMemory, WhatEndsNeedsNone) {
  auto c = prepare();
  c->ask();
  {
    const auto hold = c->cache.invalidating({kLong});
    c->source = "changed";
    allocations_left = 0;
  }
  allocations_left = -1;
  EXPECT_EQ(*c->ask(), "changed") << "the end of the hold has invalidated";
  allocations_left = 0;
  c->top.reset();
  c->outer.reset();
  c->inner.reset();
  c.reset();
  allocations_left = -1;
}

TEST(FrontMemory, ALoadThatIsDestroyed) {
  std::shared_ptr<detail::AsyncLead> lead;
  fail_every_allocation([] { return std::make_unique<Cache>(); },
                        [&](Cache& cache) {
                          const auto get = cache.async_function<GetAsync>(
                              "get",
                              [&](std::shared_ptr<detail::AsyncLead> begun, const GetAsync::Key&) {
                                lead = std::move(begun);
                              },
                              NoDeps{}, CacheableOptions<std::string>{});
                          int ends = 0;
                          get.async_get(kLong, [&](auto, std::exception_ptr error) {
                            ++ends;
                            EXPECT_NE(error, nullptr);
                          });
                          lead.reset();
                          EXPECT_EQ(ends, 1);
                        },
                        [](Cache& cache, bool) { EXPECT_EQ(cache.stats().flights, 0U); });
}

}  // namespace
}  // namespace zoocache::testing
