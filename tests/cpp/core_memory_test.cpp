// Without memory the engine keeps less; it loses nothing, drops nothing twice and serves nothing
// that was invalidated. Every allocation of every operation is made to fail once.
#include <gtest/gtest.h>

#include "core/load_frame.h"
#include "engine_harness.h"
#include "failing_memory.h"

namespace zoocache::testing {
namespace {

template <class Policy>
struct Case : EngineHarness<Policy> {
  explicit Case(const Options& options) : EngineHarness<Policy>(options) {
    function = &this->add({.max_entries = 6});
    for (core::Word key = 0; key < 6; ++key) {
      this->store(*function, {.key = key, .value = key, .tags = {"t:" + std::to_string(key), "a"}});
    }
    for (int dead = 0; dead < 2; ++dead) this->invalidate("t:" + std::to_string(dead));
  }
  core::Function<Policy>* function;
};

template <class Policy>
class Memory : public ::testing::Test {
 protected:
  void SetUp() override { Owned::forget(); }
  void TearDown() override {
    EXPECT_EQ(Owned::size(), 0U) << "values were not given back";
    EXPECT_EQ(Owned::dropped_twice(), 0U);
  }
  static std::unique_ptr<Case<Policy>> prepare() {
    return std::make_unique<Case<Policy>>(Options{.max_entries = 6, .explain_records = 8});
  }
  // Tables and trie agree with what is owned; the cache works on.
  static void expect_sound(Case<Policy>& cache) {
    EXPECT_EQ(cache.function->index.live(), cache.engine.entries());
    std::size_t found = 0;
    for (core::Word key = 0; key < 20; ++key) found += cache.contains(*cache.function, key);
    EXPECT_EQ(found, cache.engine.entries());
    EXPECT_EQ(cache.read(*cache.function, 0), std::nullopt) << "it was invalidated";
    cache.clear();
    EXPECT_EQ(Owned::size(), 0U);
    EXPECT_EQ(cache.engine.log().visible_tag_count(), 0U) << "a node is held by nobody";
    const core::Epoch born = cache.engine.log().clock();
    cache.store(*cache.function, {.key = 3, .value = 33, .tags = {"a"}, .born = born});
    EXPECT_EQ(cache.read(*cache.function, 3), 33U);
  }
};
using Policies = ::testing::Types<core::ExclusivePolicy, core::ConcurrentPolicy>;
TYPED_TEST_SUITE(Memory, Policies);

TYPED_TEST(Memory, Store) {
  for (const core::Word key : {core::Word{3}, core::Word{12}}) {  // replaces; evicts
    const StoreRequest request{
        .key = key, .value = 100, .tags = {"new:tag:of:five:levels", "a", "t:3"}, .born = 2};
    core::NewEntry entry;
    const int failures = fail_every_allocation(
        [&] {
          auto cache = TestFixture::prepare();
          const auto standing = cache->bind(*cache->function, request, &entry.deps);
          EXPECT_EQ(standing, core::InvalidationLog::Standing::kCurrent);
          Owned::take(request.value);
          entry.hash = EngineHarness<TypeParam>::hash_of(key);
          entry.key = key;
          entry.value = request.value;
          entry.born = request.born;
          return cache;
        },
        [&](auto& cache) {
          core::Removed removed(cache.engine.log());
          const auto outcome =
              cache.engine.store(*cache.function, entry, cache.matching(key), removed);
          EXPECT_TRUE(outcome == core::StoreOutcome::kStored ||
                      outcome == core::StoreOutcome::kNoRoom);
        },
        [](auto& cache, bool threw) {
          EXPECT_FALSE(threw) << "want of memory is want of room";
          TestFixture::expect_sound(cache);
        });
    EXPECT_GT(failures, 1) << "nothing was tried";
  }
}

TYPED_TEST(Memory, Bind) {
  const int failures = fail_every_allocation(
      &TestFixture::prepare,
      [](auto& cache) {
        core::DepSet deps(cache.engine.log());
        for (const char* tag : {"x:y:z:deep", "x:y:other", "a", "t:4", "long:tag:with:levels"}) {
          deps.add_tag(tag);
        }
        deps.add_key({cache.function->tag_id, 7});
        core::Dependencies bound;
        cache.engine.log().bind(deps, cache.function->node, nullptr, 2, &bound);
        cache.engine.log().release(bound.nodes());
        bound.destroy();
      },
      [](auto& cache, bool) { TestFixture::expect_sound(cache); });
  EXPECT_GT(failures, 8);
}

TYPED_TEST(Memory, InvalidateKey) {
  fail_every_allocation(
      &TestFixture::prepare,
      [](auto& cache) {
        cache.invalidate_key(*cache.function, 3);
        cache.invalidate_key(*cache.function, 4);
      },
      [](auto& cache, bool threw) {
        EXPECT_FALSE(threw);
        EXPECT_EQ(cache.read(*cache.function, 3), std::nullopt) << "it was invalidated";
        EXPECT_EQ(cache.read(*cache.function, 4), std::nullopt) << "it was invalidated";
        TestFixture::expect_sound(cache);
      });
}

TYPED_TEST(Memory, ReadOfTheDead) {
  fail_every_allocation(
      &TestFixture::prepare,
      [](auto& cache) {
        EXPECT_EQ(cache.read(*cache.function, 0), std::nullopt);
        EXPECT_EQ(cache.read(*cache.function, 1), std::nullopt);
      },
      [](auto& cache, bool threw) {
        EXPECT_FALSE(threw);
        TestFixture::expect_sound(cache);
      });
}

TYPED_TEST(Memory, GatheringInAFrame) {
  const int failures = fail_every_allocation(
      &TestFixture::prepare,
      [](auto& cache) {
        core::LoadFrame<TypeParam> frame(cache.engine.log(), 2, nullptr, nullptr);
        frame.add_tag("some:tag:that:is:longer:than:the:small:string");
        {
          const typename TypeParam::Guard guard;
          const core::EntryId id = cache.engine.find(
              *cache.function, EngineHarness<TypeParam>::hash_of(3), cache.matching(3));
          ASSERT_NE(id, core::kNoEntry);
          frame.add_hit({cache.function->tag_id, 3}, cache.engine.slab().cold(id).deps.nodes(), 0);
        }
        core::DepSet gathered(cache.engine.log());
        frame.close(gathered);
      },
      [](auto& cache, bool) { TestFixture::expect_sound(cache); });
  EXPECT_GT(failures, 3);
}

}  // namespace
}  // namespace zoocache::testing
