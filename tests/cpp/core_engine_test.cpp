// The engine's table: what it keeps, what it gives back, what it refuses. Both policies.
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <set>

#include "engine_harness.h"
#include "seed.h"

namespace zoocache::testing {
namespace {

using core::Removal;
using core::StoreOutcome;

template <class Policy>
class Engine : public ::testing::Test {
 protected:
  void SetUp() override { Owned::forget(); }
  void TearDown() override {
    EXPECT_EQ(Owned::size(), 0U) << "values were not given back";
    EXPECT_EQ(Owned::dropped_twice(), 0U);
  }
  using HarnessType = EngineHarness<Policy>;
};
using Policies = ::testing::Types<core::ExclusivePolicy, core::ConcurrentPolicy>;
TYPED_TEST_SUITE(Engine, Policies);

TYPED_TEST(Engine, AKeyIsFoundAmongOthersOfTheSameHash) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  for (core::Word high = 0; high < 50; ++high) {
    cache.store(function, {.key = 7 + (high << 20), .value = 100 + high});
  }
  for (core::Word high = 0; high < 50; ++high) {
    EXPECT_EQ(cache.read(function, 7 + (high << 20)), 100 + high);
  }
  EXPECT_EQ(cache.read(function, 7 + (std::uint64_t{50} << 20)), std::nullopt);
  EXPECT_EQ(cache.engine.entries(), 50U);
}

TYPED_TEST(Engine, AStoreReplacesTheKeyButNeverAYoungerEntry) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  const core::Epoch old_born = cache.engine.log().clock();
  cache.store(function, {.key = 1, .value = 10, .tags = {"a"}});
  cache.invalidate("other");
  const core::Epoch born = cache.engine.log().clock();
  EXPECT_EQ(cache.store(function, {.key = 1, .value = 11, .tags = {"a"}, .born = born}).outcome,
            StoreOutcome::kStored);
  EXPECT_EQ(cache.read(function, 1), 11U);
  EXPECT_EQ(cache.store(function, {.key = 1, .value = 12, .tags = {"a"}, .born = old_born}).outcome,
            StoreOutcome::kSuperseded);
  EXPECT_EQ(cache.read(function, 1), 11U);
  EXPECT_EQ(cache.engine.entries(), 1U);
}

// The key's own tag is no dependency of its entry: the table has to notice by itself.
TYPED_TEST(Engine, AKeyInvalidatedBetweenBindAndStoreIsNotStored) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  const StoreRequest request{.key = 1, .value = 10, .tags = {"a"}, .born = 0};
  core::NewEntry entry;
  ASSERT_EQ(cache.bind(function, request, &entry.deps), core::InvalidationLog::Standing::kCurrent);
  cache.invalidate_key(function, 1);
  EXPECT_EQ(cache.store_bound(function, request, entry), StoreOutcome::kSuperseded);
  EXPECT_EQ(cache.read(function, 1), std::nullopt);
  EXPECT_EQ(cache.engine.log().visible_tag_count(), 0U) << "the refused entry keeps its nodes";
}

TYPED_TEST(Engine, AKeyInvalidatedLongBeforeTheStoreIsNotForgotten) {
  typename TestFixture::HarnessType cache({.ring_records = 16});
  auto& function = cache.add();
  const StoreRequest request{.key = 1, .value = 10, .tags = {"a"}, .born = 0};
  core::NewEntry entry;
  ASSERT_EQ(cache.bind(function, request, &entry.deps), core::InvalidationLog::Standing::kCurrent);
  cache.invalidate_key(function, 1);
  for (int noise = 0; noise < 40; ++noise) cache.invalidate("noise");
  EXPECT_EQ(cache.store_bound(function, request, entry), StoreOutcome::kSuperseded);
}

TYPED_TEST(Engine, InvalidatingAKeyTakesItOutAndLeavesTheOthers) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  auto& other = cache.add();
  for (core::Word key = 0; key < 10; ++key) {
    cache.store(function, {.key = key, .value = key});
    cache.store(other, {.key = key, .value = 100 + key});
  }
  const core::Epoch epoch = cache.invalidate_key(function, 3);
  EXPECT_EQ(epoch, cache.engine.log().clock());
  EXPECT_FALSE(cache.contains(function, 3));
  EXPECT_EQ(cache.read(function, 4), 4U);
  EXPECT_EQ(cache.read(other, 3), 103U);
  bool found = false;
  const core::Obituary obituary =
      cache.engine.obituary(function, TestFixture::HarnessType::hash_of(3), &found);
  ASSERT_TRUE(found);
  EXPECT_EQ(obituary.reason, Removal::kInvalidated);
  EXPECT_EQ(obituary.epoch, epoch);
}

TYPED_TEST(Engine, TheBoundOfOneHoldsOne) {
  typename TestFixture::HarnessType cache({.max_entries = 1});
  auto& function = cache.add();
  for (core::Word key = 0; key < 100; ++key) {
    EXPECT_EQ(cache.store(function, {.key = key, .value = key}).outcome, StoreOutcome::kStored);
    EXPECT_EQ(cache.engine.entries(), 1U);
    EXPECT_EQ(cache.read(function, key), key);
  }
}

TYPED_TEST(Engine, AFunctionMayKeepNothing) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add({.max_entries = 0});
  EXPECT_EQ(cache.store(function, {.key = 1, .value = 1, .tags = {"a"}}).outcome,
            StoreOutcome::kNoRoom);
  EXPECT_EQ(cache.engine.entries(), 0U);
  EXPECT_EQ(cache.engine.log().visible_tag_count(), 0U);
}

TYPED_TEST(Engine, AnEntryLargerThanAllIsNotStoredAndEvictsNobody) {
  constexpr std::size_t kOne = TestFixture::HarnessType::EngineType::kEntryBytes;
  typename TestFixture::HarnessType cache({.max_bytes = 4 * kOne});
  auto& function = cache.add();
  auto& narrow = cache.add({.max_bytes = kOne / 2});
  cache.store(function, {.key = 1, .value = 1});
  EXPECT_EQ(cache.store(function, {.key = 2, .value = 2, .value_bytes = 3 * kOne + 1}).outcome,
            StoreOutcome::kNoRoom);
  EXPECT_EQ(cache.store(narrow, {.key = 2, .value = 3}).outcome, StoreOutcome::kNoRoom);
  constexpr std::size_t kHuge = std::numeric_limits<std::size_t>::max();
  for (const std::size_t huge : {kHuge, kHuge - kOne / 2, kHuge - kOne}) {
    EXPECT_EQ(cache.store(function, {.key = 3, .value = 4, .value_bytes = huge}).outcome,
              StoreOutcome::kNoRoom);
  }
  EXPECT_EQ(cache.read(function, 1), 1U);
  EXPECT_EQ(cache.engine.bytes(), kOne);
  EXPECT_EQ(cache.store(function, {.key = 2, .value = 5, .value_bytes = 3 * kOne}).outcome,
            StoreOutcome::kStored);
  EXPECT_EQ(cache.engine.bytes(), 4 * kOne);
  EXPECT_EQ(cache.engine.entries(), 1U);
}

// Random stores under all four bounds; the sums are kept beside.
TYPED_TEST(Engine, BoundsHoldAtEveryStep) {
  constexpr std::size_t kOne = TestFixture::HarnessType::EngineType::kEntryBytes;
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const Options options{.max_entries = 40, .max_bytes = 45 * kOne};
  typename TestFixture::HarnessType cache(options);
  struct Side {
    core::Function<TypeParam>* function;
    FunctionOptions bounds;
    std::map<core::Word, std::size_t> stored;  // key -> bytes, of what may still be there
  };
  std::vector<Side> sides;
  for (const FunctionOptions& bounds :
       {FunctionOptions{}, FunctionOptions{}, FunctionOptions{.max_entries = 7},
        FunctionOptions{.max_bytes = 9 * kOne}}) {
    sides.push_back({&cache.add(bounds), bounds, {}});
  }
  for (int step = 0; step < 6'000; ++step) {
    Side& side = sides[random() % sides.size()];
    const core::Word key = random() % 30;
    const std::uint64_t what = random() % 20;
    if (what == 0) {
      cache.invalidate_key(*side.function, key);
      side.stored.erase(key);
    } else if (what == 1) {
      cache.read(*side.function, key);
    } else {
      const std::size_t extra = random() % (2 * kOne);
      const auto done = cache.store(*side.function, {.key = key,
                                                     .value = static_cast<core::Word>(step) + 1,
                                                     .born = cache.engine.log().clock(),
                                                     .value_bytes = extra});
      ASSERT_EQ(done.outcome, StoreOutcome::kStored);
      ASSERT_EQ(cache.read(*side.function, key), static_cast<core::Word>(step) + 1);
      side.stored[key] = kOne + extra;
    }
    std::size_t entries = 0;
    std::size_t bytes = 0;
    for (Side& one : sides) {
      std::size_t own_entries = 0;
      std::size_t own_bytes = 0;
      std::erase_if(one.stored,
                    [&](const auto& item) { return !cache.contains(*one.function, item.first); });
      for (const auto& [stored_key, size_bytes] : one.stored) {
        ++own_entries;
        own_bytes += size_bytes;
      }
      ASSERT_EQ(own_entries, one.function->index.live());
      ASSERT_LE(own_entries, one.bounds.max_entries);
      ASSERT_LE(own_bytes, one.bounds.max_bytes);
      entries += own_entries;
      bytes += own_bytes;
    }
    ASSERT_EQ(cache.engine.entries(), entries);
    ASSERT_EQ(cache.engine.bytes(), bytes);
    ASSERT_LE(entries, options.max_entries);
    ASSERT_LE(bytes, options.max_bytes);
  }
}

TYPED_TEST(Engine, TheLargestFunctionGivesWayFirst) {
  typename TestFixture::HarnessType cache({.max_entries = 20});
  auto& large = cache.add({.max_entries = 18});
  auto& small = cache.add({.max_entries = 18});
  for (core::Word key = 0; key < 18; ++key) cache.store(large, {.key = key, .value = key});
  for (core::Word key = 0; key < 10; ++key) cache.store(small, {.key = key, .value = 100 + key});
  EXPECT_EQ(large.index.live(), 10U);
  EXPECT_EQ(small.index.live(), 10U);
}

TYPED_TEST(Engine, DeadEntriesGoBeforeLivingOnes) {
  typename TestFixture::HarnessType cache({.max_entries = 10});
  auto& function = cache.add();
  for (core::Word key = 0; key < 10; ++key) {
    cache.store(function, {.key = key, .value = key, .tags = {key == 0 ? "dead" : "alive"}});
    for (int hit = 0; hit < 3; ++hit) cache.read(function, key);
  }
  cache.invalidate("dead");
  cache.store(function, {.key = 10, .value = 10, .born = cache.engine.log().clock()});
  EXPECT_FALSE(cache.contains(function, 0)) << "used three times, but dead and the oldest";
  for (core::Word key = 1; key <= 10; ++key) EXPECT_TRUE(cache.contains(function, key)) << key;
}

TYPED_TEST(Engine, TimeToLiveEndsOnTheDot) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  cache.store(function, {.key = 1, .value = 1, .ttl_s = 10});
  cache.store(function, {.key = 2, .value = 2});
  cache.clock.advance_s(9.999);
  EXPECT_EQ(cache.read(function, 1), 1U);
  cache.clock.advance_s(0.001);
  EXPECT_EQ(cache.read(function, 1), std::nullopt);
  EXPECT_FALSE(cache.contains(function, 1));
  EXPECT_EQ(cache.read(function, 2), 2U);
  EXPECT_EQ(function.counters.expirations.load(), 1U);
}

// Rule 40: who has no time to live asks nobody for the time.
TYPED_TEST(Engine, OnlyEntriesWithATimeToLiveReadTheClock) {
  struct Counting final : core::TimeSource {
    std::int64_t now_ns() noexcept override { return ++reads; }
    int reads = 0;
  };
  Counting clock;
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  cache.store(function, {.key = 1, .value = 1, .tags = {"a"}});
  cache.store(function, {.key = 2, .value = 2, .ttl_s = 10});
  cache.engine.set_time_source(&clock);
  EXPECT_EQ(cache.read(function, 1), 1U);
  EXPECT_EQ(clock.reads, 0);
  cache.invalidate("elsewhere");  // it notes when it was
  clock.reads = 0;
  EXPECT_EQ(cache.read(function, 1), 1U);
  EXPECT_EQ(clock.reads, 0);
  EXPECT_EQ(cache.read(function, 2), 2U);
  EXPECT_EQ(clock.reads, 1);
  cache.engine.set_time_source(&cache.clock);
}

// The cheap clock may lag by a tick of the kernel, and never runs ahead.
TEST(Clock, BootTimeIsWhatTheSystemSays) {
  const std::int64_t told = core::boot_time_ns();
  const std::int64_t now = core::read_clock_ns(CLOCK_BOOTTIME);
  EXPECT_LE(told, now);
  EXPECT_GT(told, now - 1'000'000'000);
}

TYPED_TEST(Engine, SlidingTimeStartsAnewAtEveryHit) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  cache.store(function, {.key = 1, .value = 1, .tags = {"a"}, .ttl_s = 10, .sliding = true});
  for (int hit = 0; hit < 50; ++hit) {
    cache.clock.advance_s(9.5);
    ASSERT_EQ(cache.read(function, 1), 1U);
  }
  cache.invalidate("a");
  EXPECT_EQ(cache.read(function, 1), std::nullopt) << "sliding outlived an invalidation";
  cache.store(function, {.key = 2, .value = 2, .born = 1, .ttl_s = 10, .sliding = true});
  cache.clock.advance_s(10);
  EXPECT_EQ(cache.read(function, 2), std::nullopt);
}

TYPED_TEST(Engine, InspectingLeavesNoTrace) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  cache.store(function, {.key = 1, .value = 1, .tags = {"a"}, .ttl_s = 10, .sliding = true});
  const core::EntryId id = cache.engine.find(function, TestFixture::HarnessType::hash_of(1),
                                             TestFixture::HarnessType::matching(1));
  ASSERT_NE(id, core::kNoEntry);
  cache.clock.advance_s(6);
  EXPECT_EQ(cache.engine.inspect(id, function), core::Validity::kValid);
  cache.clock.advance_s(6);
  EXPECT_EQ(cache.engine.inspect(id, function), core::Validity::kExpired) << "it was prolonged";
}

TYPED_TEST(Engine, ClearGivesEverythingBackAtOnce) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  for (core::Word key = 0; key < 20'000; ++key) {
    cache.store(function, {.key = key, .value = key, .tags = {"t:" + std::to_string(key)}});
  }
  cache.clear();
  EXPECT_EQ(Owned::size(), 0U);
  EXPECT_EQ(cache.engine.entries(), 0U);
  EXPECT_EQ(cache.engine.bytes(), 0U);
  EXPECT_EQ(cache.engine.log().visible_tag_count(), 0U);
  EXPECT_EQ(cache.engine.slab().live(), 0U);
  EXPECT_LE(function.index.size_bytes(), 256U);
}

TYPED_TEST(Engine, AFunctionTakesItsEntriesAlong) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add({.max_entries = 50});
  auto& other = cache.add();
  for (core::Word key = 0; key < 60; ++key) {
    cache.store(function, {.key = key, .value = key, .tags = {"a"}});
    cache.store(other, {.key = key, .value = 1000 + key, .tags = {"a"}});
  }
  const auto before = cache.engine.totals();
  cache.remove_function(function);
  EXPECT_EQ(cache.engine.entries(), 60U);
  EXPECT_EQ(Owned::size(), 60U);
  EXPECT_EQ(cache.engine.totals().stores, before.stores) << "counts go with the function";
  for (core::Word key = 0; key < 60; ++key) EXPECT_EQ(cache.read(other, key), 1000 + key);
  auto& again = cache.add();
  EXPECT_FALSE(cache.contains(again, 1)) << "the slot's old entries";
}

// The sweep: entries that die are given back by the stores that follow, tags with them.
TYPED_TEST(Engine, ChurnLeavesNothingBehind) {
  typename TestFixture::HarnessType cache({});
  auto& function = cache.add();
  constexpr core::Word kAlive = 1000;
  for (core::Word key = 0; key < 60'000; ++key) {
    const std::string tag = "user:" + std::to_string(key);
    cache.store(function,
                {.key = key, .value = key, .tags = {tag}, .born = cache.engine.log().clock()});
    if (key >= kAlive) cache.invalidate("user:" + std::to_string(key - kAlive));
  }
  EXPECT_LE(cache.engine.entries(), 4 * kAlive) << "the dead are not swept";
  EXPECT_LE(cache.engine.log().tag_count(), 4 * kAlive + 10);
  EXPECT_LE(cache.engine.slab().bound(), 16 * core::EntrySlab::kChunkSize);
  EXPECT_LE(function.index.size_bytes(), 4 * kAlive * 64);
  for (core::Word key = 60'000 - kAlive; key < 60'000; ++key) {
    ASSERT_TRUE(cache.contains(function, key)) << "the sweep took a living entry";
  }
}

TYPED_TEST(Engine, ObituariesTellWhy) {
  using Harness = typename TestFixture::HarnessType;
  Harness cache({.max_entries = 4, .explain_records = 64});
  auto& function = cache.add();
  const auto reason = [&](core::Word key) -> std::optional<Removal> {
    bool found = false;
    const auto one = cache.engine.obituary(function, Harness::hash_of(key), &found);
    return found ? std::optional(one.reason) : std::nullopt;
  };
  cache.store(function, {.key = 1, .value = 1, .tags = {"org:acme:user"}});
  const core::Epoch epoch = cache.invalidate("org:acme");
  cache.read(function, 1);
  EXPECT_EQ(reason(1), Removal::kInvalidated);
  bool found = false;
  const auto told = cache.engine.obituary(function, Harness::hash_of(1), &found);
  EXPECT_EQ(told.tag, "org:acme");
  EXPECT_EQ(told.epoch, epoch);
  cache.store(function, {.key = 2, .value = 2, .born = epoch, .ttl_s = 1});
  cache.clock.advance_s(1);
  cache.read(function, 2);
  EXPECT_EQ(reason(2), Removal::kExpired);
  for (core::Word key = 10; key < 15; ++key) {
    cache.store(function, {.key = key, .value = key, .born = epoch});
  }
  EXPECT_EQ(reason(10), Removal::kEvicted);
  cache.engine.note_not_stored(function, Harness::hash_of(3),
                               core::InvalidationLog::Standing::kHeld);
  EXPECT_EQ(reason(3), Removal::kHeld);
  EXPECT_EQ(reason(99), std::nullopt);
  for (core::Word key = 100; key < 164; ++key) {
    cache.engine.note_not_stored(function, Harness::hash_of(key),
                                 core::InvalidationLog::Standing::kInvalidated);
  }
  EXPECT_EQ(reason(1), std::nullopt) << "64 records are all it keeps";
  EXPECT_EQ(reason(100), Removal::kOutdated);
  EXPECT_EQ(reason(163), Removal::kOutdated);
}

// A user's comparison that throws: nothing is stored, nothing is lost, no lock is left behind.
TYPED_TEST(Engine, AComparisonThatThrowsPassesThrough) {
  using Harness = typename TestFixture::HarnessType;
  Harness cache({});
  auto& function = cache.add();
  cache.store(function, {.key = 1, .value = 1});
  core::NewEntry entry;
  entry.hash = Harness::hash_of(1);
  entry.key = 1;
  entry.value = 2;
  Owned::take(2);
  {
    core::Removed removed(cache.engine.log());
    const auto throws = [](const core::HotEntry&) -> core::Match { throw std::range_error("no"); };
    EXPECT_THROW(cache.engine.store(function, entry, throws, removed), std::range_error);
    const auto fails = [](const core::HotEntry&) { return core::Match::kFail; };
    entry.value = 3;
    Owned::take(3);
    EXPECT_EQ(cache.engine.store(function, entry, fails, removed), StoreOutcome::kFailed);
  }
  EXPECT_FALSE(Owned::holds(2));
  EXPECT_FALSE(Owned::holds(3));
  EXPECT_EQ(cache.read(function, 1), 1U);
}

}  // namespace
}  // namespace zoocache::testing
