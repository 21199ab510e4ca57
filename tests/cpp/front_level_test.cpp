// The second level: what one cache has loaded, another one finds, as long as it holds.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache_access.h"
#include "cache_pair.h"
#include "core/home.h"
#include "core/log.h"

namespace zoocache {

struct Account {
  int id = 0;
  std::string owner;
};

template <>
struct Codec<Account> {
  static constexpr std::string_view name = "test.Account/1";
  static void encode(const Account& account, std::string& to) {
    if (account.owner == "secret") throw SerializationError("not for others");
    if (account.owner == "broken") throw 42;
    zoocache::encode(account.id, to);
    zoocache::encode(account.owner, to);
  }
  static Account decode(ByteReader& from) {
    const auto id = zoocache::decode<int>(from);
    auto owner = zoocache::decode<std::string>(from);
    if (owner == "unread") throw std::runtime_error("of an older layout");
    return {id, std::move(owner)};
  }
};

namespace {

using testing::Levels;
using Options1 = CacheableOptions<int>;

TEST_F(Levels, WhatOneLoadsTheOtherFinds) {
  const auto here = function(first);
  const auto there = function(second);
  EXPECT_EQ(*here(1), 1000);
  EXPECT_EQ(*there(1), 1000);
  EXPECT_EQ(*there(1), 1000);
  EXPECT_EQ(source.loads, 1);
  EXPECT_EQ(*there(2), 2000);
  EXPECT_EQ(*here(2), 2000);
  EXPECT_EQ(source.loads, 2);
  EXPECT_EQ(here.stats().l2_stores, 1U);
  EXPECT_EQ(here.stats().l2_hits, 1U);
  EXPECT_EQ(there.stats().hits, 1U);
  EXPECT_EQ(there.stats().misses, 2U);
  EXPECT_EQ(there.stats().loads, 1U);
  EXPECT_EQ(second.stats().l2_hits, 1U);
  EXPECT_EQ(second.stats().l2_stores, 1U);
  EXPECT_EQ(second.stats().l2_refusals, 0U);
}

TEST_F(Levels, ItOutlivesTheCacheThatLoadedIt) {
  {
    Cache other(processes.options());
    EXPECT_EQ(*function(other)(1), 1000);
  }
  EXPECT_EQ(*function(first)(1), 1000);
  EXPECT_EQ(source.loads, 1);
}

TEST_F(Levels, ItDiesWithWhateverKillsIt) {
  const auto here = function(first);
  const auto there = function(second);
  const std::vector<std::pair<const char*, std::function<void()>>> kills = {
      {"its tag", [&] { first.invalidate("org:acme:user:1"); }},
      {"what is above it", [&] { second.invalidate("org"); }},
      {"its function", [&] { here.clear(); }},
      {"its key, here", [&] { here.invalidate(1); }},
      {"its key, there", [&] { there.invalidate(1); }},
      {"everything", [&] { second.clear(); }},
      {"a write that ended", [&] { const auto write = first.invalidating({"org:acme"}); }}};
  for (const auto& [what, kill] : kills) {
    here(1);
    there(1);
    const int version = ++source.version;
    EXPECT_EQ(*there(1), 1000 + version - 1) << what << ": not yet";
    const int loads = source.loads;
    kill();
    Cache third(processes.options());
    EXPECT_EQ(*function(third)(1), 1000 + version) << what;
    EXPECT_EQ(*here(1), 1000 + version) << what;
    EXPECT_EQ(*there(1), 1000 + version) << what;
    EXPECT_EQ(source.loads, loads + 1) << what << ": one load for all";
  }
}

TEST_F(Levels, OtherTagsAndKeysLeaveItAlone) {
  const auto here = function(first);
  here(1);
  here.invalidate(2);
  first.invalidate("org:acme:user:2", "org:acme2", "org:acme:user:1:name");
  Cache third(processes.options());
  function(third)(1);
  EXPECT_EQ(source.loads, 1);
}

TEST_F(Levels, ItDiesInTheTableOfWhoFoundIt) {
  const auto here = function(first);
  const auto there = function(second);
  here(1);
  there(1);
  EXPECT_EQ(there.explain(1).deps, std::vector<std::string>{"org:acme:user:1"});
  ++source.version;
  first.invalidate("org:acme");
  EXPECT_EQ(there.peek(1), nullptr);
  EXPECT_EQ(*there(1), 1001);
}

// Of inner calls, another process knows the function alone.
TEST_F(Levels, AKeyOfAnInnerFunctionKillsWhatWasMadeOfIt) {
  int outer_loads = 0;
  const auto outer_of = [&outer_loads](Cache& cache, const auto& inner) {
    return cache.cacheable("outer", [&outer_loads, inner](int id) {
      ++outer_loads;
      return *inner(id) + 1;
    });
  };
  const auto inner_here = function(first, "inner");
  const auto inner_there = function(second, "inner");
  const auto here = outer_of(first, inner_here);
  const auto there = outer_of(second, inner_there);
  for (const auto* killer : {&inner_here, &inner_there}) {
    const int version = ++source.version;
    killer->invalidate(1);
    EXPECT_EQ(*here(1), 1001 + version);
    outer_loads = 0;
    EXPECT_EQ(*there(1), 1001 + version);
    EXPECT_EQ(outer_loads, 0) << "found";
  }
  ++source.version;
  first.invalidate("org:acme:user:1");
  EXPECT_EQ(*there(1), 1001 + source.version);
  ++source.version;
  inner_here.clear();
  EXPECT_EQ(*there(1), 1001 + source.version);
  Cache third(processes.options());
  ++source.version;
  inner_here.clear();
  EXPECT_EQ(*outer_of(third, function(third, "inner"))(1), 1001 + source.version);
}

// A home that lets something happen on the way to it.
class Slow final : public Home, public std::enable_shared_from_this<Slow> {
 public:
  explicit Slow(HomePtr home) : home_(std::move(home)) {}
  std::unique_ptr<core::LogHome> connect() const override;

  mutable std::function<void()> before;  // it is told, once
  mutable std::function<void()> after;   // it was asked, once

 private:
  const HomePtr home_;
};

class SlowLog final : public core::LogHome {
 public:
  SlowLog(std::unique_ptr<core::LogHome> log, std::shared_ptr<const Slow> home)
      : log_(std::move(log)), home_(std::move(home)) {}
  bool is_fresh() const noexcept override { return log_->is_fresh(); }
  void refresh(core::InvalidationLog& log) noexcept override { log_->refresh(log); }
  core::Epoch append(core::InvalidationLog& log, std::span<const core::Change> changes,
                     std::uint32_t origin) override {
    if (const auto before = std::exchange(home_->before, nullptr)) before();
    return log_->append(log, changes, origin);
  }
  core::Epoch version(const core::TagPath& path) override { return log_->version(path); }
  HomeStatus status() override { return log_->status(); }
  core::Epoch newest() override { return log_->newest(); }
  core::HomePosition position() noexcept override { return log_->position(); }
  bool holds(std::uint64_t generation, core::Epoch born,
             std::span<const std::string> texts) override {
    const bool answer = log_->holds(generation, born, texts);
    if (const auto after = std::exchange(home_->after, nullptr)) after();
    return answer;
  }

 private:
  const std::unique_ptr<core::LogHome> log_;
  const std::shared_ptr<const Slow> home_;
};

std::unique_ptr<core::LogHome> Slow::connect() const {
  return std::make_unique<SlowLog>(home_->connect(), shared_from_this());
}

// The key is killed here before the home knows: what is found until then is as old.
TEST_F(Levels, WhatIsFoundWhileAKeyIsAnnouncedIsNotKept) {
  const auto home = std::make_shared<Slow>(processes.home);
  Cache cache({.home = home, .storage = processes.storage});
  const auto inner = function(cache, "inner");
  const auto outer = cache.cacheable("outer", [&](int id) { return *inner(id) + 1; });
  inner(1);
  home->before = [&] {
    EXPECT_EQ(*inner(1), 1001) << "found, held, and so loaded";
    EXPECT_EQ(inner.peek(1), nullptr);
  };
  ++source.version;
  inner.invalidate(1);
  EXPECT_EQ(inner.peek(1), nullptr);
  EXPECT_EQ(*inner(1), 1001);
  outer(1);
  home->before = [&] {
    outer(1);
    EXPECT_EQ(outer.peek(1), nullptr) << "what is made of it neither";
  };
  ++source.version;
  inner.invalidate(1);
  EXPECT_EQ(*outer(1), 1003);
  EXPECT_EQ(*inner(1), 1002);
}

// And what was found until then, and comes to the table when all is over.
TEST_F(Levels, WhatWasFoundBeforeAKeyWasAnnouncedComesTooLate) {
  const auto home = std::make_shared<Slow>(processes.home);
  Cache cache({.home = home, .storage = processes.storage});
  const auto get = function(cache);
  get(1);
  std::atomic<bool> found{false};
  std::atomic<bool> over{false};
  std::thread reader;
  home->before = [&] {
    home->after = [&] {
      found = true;
      testing::wait_until([&] { return over.load(); });
    };
    reader = std::thread([&] { get(1); });
    testing::wait_until([&] { return found.load(); });
  };
  ++source.version;
  get.invalidate(1);
  over = true;
  reader.join();
  EXPECT_EQ(*get(1), 1001);
}

TEST_F(Levels, AnOuterLoadDependsOnWhatAnInnerOneFound) {
  const auto inner_there = function(second, "inner");
  function(first, "inner")(1);
  const auto outer = second.cacheable("outer", [&](int id) { return *inner_there(id) + 1; });
  EXPECT_EQ(*outer(1), 1001);
  EXPECT_EQ(source.loads, 1);
  ++source.version;
  first.invalidate("org");
  EXPECT_EQ(*outer(1), 1002);
  ++source.version;
  inner_there.invalidate(1);
  EXPECT_EQ(*outer(1), 1003);
}

TEST_F(Levels, AValueThatCannotBeReadIsLoaded) {
  const auto account = [this](Cache& cache, const std::string& owner) {
    return cache.cacheable("account", [this, owner](int id) {
      ++source.loads;
      return Account{id, owner};
    });
  };
  account(first, "unread")(1);
  EXPECT_EQ(account(second, "Ada")(1)->owner, "Ada");
  EXPECT_EQ(source.loads, 2);
  EXPECT_EQ(second.stats().l2_hits, 0U);
  EXPECT_EQ(second.stats().l2_stores, 1U);
  Cache third(processes.options());
  EXPECT_EQ(account(third, "Eve")(1)->owner, "Ada") << "what was read instead was stored";
}

TEST_F(Levels, AValueThatCannotBeStoredStaysHere) {
  const auto account = [this](Cache& cache, const std::string& owner) {
    return cache.cacheable("account", [this, owner](int id) {
      ++source.loads;
      return Account{id, owner};
    });
  };
  const auto here = account(first, "secret");
  EXPECT_EQ(here(1)->owner, "secret");
  EXPECT_NE(here.peek(1), nullptr);
  EXPECT_EQ(here.stats().l2_refusals, 1U);
  EXPECT_EQ(here.stats().l2_stores, 0U);
  EXPECT_EQ(account(second, "Ada")(1)->owner, "Ada") << "and the claim is free";
  const auto broken = account(first, "broken");
  EXPECT_THROW(broken(2), int) << "what is no exception of a codec is the caller's";
  EXPECT_EQ(account(second, "Ada")(2)->owner, "Ada");
}

struct Clock final : core::TimeSource {
  std::int64_t now_ns() noexcept override { return now.load(); }
  std::atomic<std::int64_t> now{core::boot_time_ns()};
};

// The storage's own clock goes on meanwhile.
TEST_F(Levels, TheTimeToLiveIsCarriedOver) {
  Clock clock;
  Cache late(processes.options());
  detail::CacheAccess::engine(late).set_time_source(&clock);
  Options1 options;
  options.bounds.ttl_s = 1000;
  function(first, "get", options)(1);
  const auto there = function(late);
  there(1);
  EXPECT_EQ(source.loads, 1);
  clock.now += 900'000'000'000;
  EXPECT_NE(there.peek(1), nullptr);
  clock.now += 200'000'000'000;
  EXPECT_EQ(there.peek(1), nullptr);
}

TEST_F(Levels, WhatWasMadeOfItExpiresWithIt) {
  Clock clock;
  Cache late(processes.options());
  detail::CacheAccess::engine(late).set_time_source(&clock);
  Options1 options;
  options.bounds.ttl_s = 1000;
  function(first, "inner", options)(1);
  const auto inner = function(late, "inner");
  const auto outer = late.cacheable("outer", [&](int id) { return *inner(id); });
  outer(1);
  clock.now += 1'100'000'000'000;
  EXPECT_EQ(outer.peek(1), nullptr);
}

TEST_F(Levels, WhatIsNotWantedIsNotStoredThere) {
  Options1 unwanted;
  unwanted.store_if = [](const int&) { return false; };
  Options1 timeless;
  timeless.ttl_s = [](const int&) { return 0.0; };
  Options1 local;
  local.storage = StorageUse::kNever;
  for (const Options1& options : {unwanted, timeless, local}) {
    const auto here = function(first, "get", options);
    here(1);
    EXPECT_EQ(here.stats().l2_stores + here.stats().l2_refusals, 0U);
  }
  const auto forbidding = first.cacheable("get", [](int id) {
    no_store();
    return id;
  });
  forbidding(1);
  EXPECT_EQ(first.stats().l2_stores, 0U);
  EXPECT_EQ(*function(second)(1), 1000);
}

TEST_F(Levels, WhatAWriterHoldsIsNotStored) {
  const auto here = function(first);
  function(second)(2);
  {
    const auto write = first.invalidating({"org:acme"});
    here(1);
    EXPECT_EQ(here.stats().l2_stores, 0U);
    here(2);
    EXPECT_EQ(here.peek(2), nullptr) << "nor is what was found";
  }
  EXPECT_EQ(source.loads, 3);
}

TEST_F(Levels, ALoadThatIsOvertakenIsNotStored) {
  const auto here = first.cacheable(
      "get",
      [&](int id) {
        const int value = source.load(id);
        ++source.version;
        second.invalidate("t");
        return value;
      },
      deps("t"));
  EXPECT_EQ(*here(1), 1000);
  EXPECT_EQ(here.stats().l2_stores, 0U);
  EXPECT_EQ(*function(second)(1), 1001);
}

TEST_F(Levels, OtherFunctionsDoNotShare) {
  function(first)(1);
  Options1 newer;
  newer.version = "2";
  function(second, "got")(1);
  function(second, "get", newer)(1);
  EXPECT_EQ(source.loads, 3);
  const auto load = [this](auto id) { return source.load(static_cast<int>(id)); };
  second.cacheable("get", [&](int id) { return static_cast<double>(load(id)); })(1);
  second.cacheable("get", [&](long id) { return load(id); })(1);
  second.cacheable("get", [&](int id, int) { return load(id); })(1, 2);
  EXPECT_EQ(source.loads, 6);
  function(second)(1);
  function(second, "get", newer)(1);
  EXPECT_EQ(source.loads, 6);
}

TEST_F(Levels, FunctionsWithoutANameOrCodecsStayHere) {
  struct Opaque {
    int value;
  };
  const auto opaque = [this](int id) { return Opaque{source.load(id)}; };
  for (Cache* cache : {&first, &second}) {
    function(*cache, "")(1);
    cache->cacheable("opaque", opaque)(1);
  }
  EXPECT_EQ(source.loads, 4);
  Options1 required;
  required.storage = StorageUse::kRequired;
  EXPECT_NO_THROW(function(first, "get", required));
  EXPECT_THROW(function(first, "", required), InvalidOption);
  CacheableOptions<Opaque> demanded;
  demanded.storage = StorageUse::kRequired;
  EXPECT_THROW(first.cacheable("opaque", opaque, NoDeps{}, demanded), InvalidOption);
}

TEST_F(Levels, ArgumentsThatAreEqualAreOneKey) {
  const auto half = [this](Cache& cache) {
    return cache.cacheable("half", [this](double x, const std::string&) {
      ++source.loads;
      return x / 2;
    });
  };
  half(first)(0.0, "a");
  half(second)(-0.0, "a");
  EXPECT_EQ(source.loads, 1);
  const auto here = half(first);
  here.invalidate(-0.0, "a");
  half(second)(0.0, "a");
  EXPECT_EQ(source.loads, 2);
}

TEST_F(Levels, ALoadInTheBackgroundLoadsAndStores) {
  Clock clock;
  std::vector<std::function<void()>> jobs;
  Options queued = processes.options();
  queued.background = [&](std::function<void()> job) { jobs.push_back(std::move(job)); };
  Cache ageing(queued);
  detail::CacheAccess::engine(ageing).set_time_source(&clock);
  Options1 options;
  options.bounds.ttl_s = 1000;
  options.bounds.aging.refresh_ahead_s = 500;
  const auto here = function(ageing, "get", options);
  here(1);
  ++source.version;
  clock.now += 600'000'000'000;
  EXPECT_EQ(*here(1), 1000);
  ASSERT_EQ(jobs.size(), 1U);
  std::exchange(jobs, {}).front()();
  EXPECT_EQ(source.loads, 2) << "whatever is stored";
  EXPECT_EQ(*function(second)(1), 1001);
  EXPECT_EQ(source.loads, 2);
}

}  // namespace
}  // namespace zoocache
