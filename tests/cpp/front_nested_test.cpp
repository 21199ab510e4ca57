// Nested loads whose inner call ends in an unusual way: what the outer one may keep then.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace zoocache {
namespace {

using namespace std::chrono_literals;
using Tags = std::vector<std::string>;

// A fallback for a call that gave up is nobody's answer for longer than this call: no tag says when
// it ends.
TEST(Nested, AnOuterLoadKeepsNoFallbackForAWaitThatTimedOut) {
  Cache cache;
  std::atomic<bool> inside{false};
  std::atomic<bool> release{false};
  CacheableOptions<int> options;
  options.flight_timeout_s = 0.05;
  options.throw_on_timeout = true;
  const auto inner = cache.cacheable(
      "inner",
      [&](int x) {
        inside = true;
        while (!release) std::this_thread::sleep_for(1ms);
        return x;
      },
      deps("inner"), options);
  const auto outer = cache.cacheable("outer", [&](int x) {
    try {
      return *inner(x);
    } catch (const FlightTimeout&) {
      return -1;
    }
  });
  std::thread leader([&] { inner(1); });
  while (!inside) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(*outer(1), -1);
  release = true;
  leader.join();
  EXPECT_EQ(*outer(1), 1);
}

TEST(Nested, AnOuterLoadKeepsNoFallbackForALoadThatWasDestroyed) {
  Cache cache;
  using Function = CachedAsyncFunction<int, int>;
  std::shared_ptr<detail::AsyncLead> lead;
  const auto inner = cache.async_function<Function>(
      "inner",
      [&](std::shared_ptr<detail::AsyncLead> begun, const Function::Key&) {
        lead = std::move(begun);
      },
      NoDeps{}, CacheableOptions<int>{});
  const auto outer = cache.cacheable("outer", [&](int x) {
    int answer = 0;
    inner.async_get(x, [&](std::shared_ptr<const int> value, std::exception_ptr error) {
      answer = error != nullptr ? -1 : *value;
    });
    lead.reset();
    return answer;
  });
  EXPECT_EQ(*outer(1), -1);
  EXPECT_EQ(outer.peek(1), nullptr);
}

TEST(Nested, AValueWithoutTimeToLiveLeavesNoneToTheOuterLoad) {
  Cache cache;
  double ttl_s = 0;
  CacheableOptions<int> options;
  options.ttl_s = [&](const int&) { return ttl_s; };
  const auto inner = cache.cacheable(
      "inner", [](int x) { return x; }, NoDeps{}, options);
  const auto outer = cache.cacheable("outer", [&](int x) { return *inner(x); });
  outer(1);
  EXPECT_EQ(outer.peek(1), nullptr);
  ttl_s = 60;
  outer(2);
  EXPECT_NE(outer.peek(2), nullptr);
}

TEST(Nested, WhatComputesDependenciesBelongsToTheLoad) {
  Cache cache;
  std::string org = "acme";
  const auto org_of = cache.cacheable(
      "org_of", [&](int) { return org; }, deps("user:{0}"));
  const auto get = cache.cacheable(
      "get", [](int x) { return x; }, deps([&](int x) { return tag("org", *org_of(x)); }));
  const auto outer = cache.cacheable("outer", [&](int x) { return *get(x); });
  outer(1);
  EXPECT_EQ(get.explain(1).deps, (Tags{"org:acme", "user:1"}));
  EXPECT_EQ(outer.explain(1).deps, (Tags{"org:acme", "user:1"}));
  org = "other";
  cache.invalidate("user:1");
  get(1);
  EXPECT_EQ(get.explain(1).deps, (Tags{"org:other", "user:1"}));
}

TEST(Nested, DependenciesAreComputedOnceAlsoWhenThatFails) {
  Cache cache;
  int asked = 0;
  const auto get = cache.cacheable(
      "get", [](int x) { return x; }, deps([&](int) -> Tags {
        ++asked;
        throw std::domain_error("deps");
      }));
  EXPECT_THROW(get(1), std::domain_error);
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace zoocache
