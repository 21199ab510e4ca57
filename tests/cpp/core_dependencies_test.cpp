// What an entry depends on, and what a load gathers, each beside a naive one.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/load_frame.h"
#include "core/log.h"
#include "core/policy.h"
#include "seed.h"

namespace zoocache::core {
namespace {

using testing::seed_note;
using testing::test_seed;

TagPath path(const std::string& tag) { return TagPath::parse(tag, 256); }

std::string any_tag(std::mt19937_64& random) {
  std::string tag = "t" + std::to_string(random() % 20);
  for (std::uint64_t depth = random() % 3; depth > 0; --depth) {
    tag += ":" + std::to_string(random() % 6);
  }
  return tag;
}

bool concerns(const std::string& invalidated, const std::string& tag) {
  return tag.starts_with(invalidated) &&
         (tag.size() == invalidated.size() || tag[invalidated.size()] == ':');
}

class DependenciesOfSize : public ::testing::TestWithParam<std::size_t> {};

// One entry, many invalidations in bursts of every length: revalidated after each burst, as hits
// do, until it dies. The filter may save the walk; it may not change the answer.
TEST_P(DependenciesOfSize, AreCurrentUntilOneOfThemIsInvalidated) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  InvalidationLog log(1024);
  std::size_t deaths = 0;
  for (int round = 0; round < 60; ++round) {
    std::set<std::string> tags;
    while (tags.size() < GetParam()) tags.insert(any_tag(random));
    DepSet deps(log);
    for (const std::string& tag : tags) deps.add_tag(tag);
    const Epoch born = log.clock();
    Dependencies bound;
    ASSERT_EQ(log.bind(deps, nullptr, nullptr, born, &bound), InvalidationLog::Standing::kCurrent);
    ASSERT_EQ(bound.nodes().size(), tags.size());
    Epoch validated = born;
    std::string killer;
    for (int burst = 0; burst < 40 && killer.empty(); ++burst) {
      const std::uint64_t length = random() % 10 == 0 ? 600 : random() % 20;
      for (std::uint64_t one = 0; one < length; ++one) {
        const bool noise = random() % 400 != 0;
        const std::string tag = noise ? "n" + std::to_string(random() % 500) : any_tag(random);
        log.invalidate(path(tag));
        for (const std::string& mine : tags) {
          if (concerns(tag, mine)) killer = tag;
        }
      }
      const Epoch now = log.clock();
      ASSERT_EQ(bound.is_current(born, validated, now, log.ring()), killer.empty());
      const TagNode* found = bound.find_killer(born);
      ASSERT_EQ(found == nullptr, killer.empty());
      if (found != nullptr) {
        EXPECT_EQ(found->text(), killer);
        EXPECT_FALSE(bound.is_current(born, validated, now, log.ring()));
      }
      validated = now;
    }
    deaths += killer.empty() ? 0 : 1;
    const bool filtered = GetParam() > Dependencies::kBloomAbove;
    EXPECT_EQ(bound.size_bytes() > 8 + 8 * tags.size(), filtered);
    log.release(bound.nodes());
    bound.destroy();
    EXPECT_TRUE(bound.nodes().empty());
  }
  EXPECT_EQ(log.tag_count(), 0U);
  EXPECT_GT(deaths, 2U);
}

INSTANTIATE_TEST_SUITE_P(Sizes, DependenciesOfSize, ::testing::Values(1, 2, 8, 9, 30, 150));

TEST(Dependencies, EqualTagsAreOneNode) {
  InvalidationLog log(64);
  DepSet deps(log);
  for (int copy = 0; copy < 5; ++copy) {
    for (const char* tag : {"a", "b", "a:c"}) deps.add_tag(tag);
  }
  Dependencies bound;
  ASSERT_EQ(log.bind(deps, nullptr, nullptr, 0, &bound), InvalidationLog::Standing::kCurrent);
  EXPECT_EQ(bound.nodes().size(), 3U);
  for (const auto& row : log.rows("")) EXPECT_EQ(row.holders, 1U) << row.tag;
  log.release(bound.nodes());
  bound.destroy();
  EXPECT_EQ(log.tag_count(), 0U);
}

struct Naive {
  std::set<std::string> tags;
  std::set<TagNode*> nodes;
  std::set<std::pair<std::uint64_t, std::uint64_t>> keys;

  void merge(const Naive& other) {
    tags.insert(other.tags.begin(), other.tags.end());
    nodes.insert(other.nodes.begin(), other.nodes.end());
    keys.insert(other.keys.begin(), other.keys.end());
  }
};

void expect_same(const DepSet& set, const Naive& side) {
  ASSERT_EQ(std::set<std::string>(set.tags().begin(), set.tags().end()), side.tags);
  ASSERT_EQ(std::set<TagNode*>(set.nodes().begin(), set.nodes().end()), side.nodes);
  ASSERT_EQ(set.keys().empty(), side.keys.empty());
  for (const DepSet::Key& key : set.keys()) {
    ASSERT_TRUE(side.keys.contains({key.function_id, key.key_hash}));
  }
}

// Sets of dependencies that are merged, bound and dropped in any order: no node is held too often
// or too rarely.
TEST(DepSetOracle, GathersWhatWasAddedAndHoldsItsNodes) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  InvalidationLog log(64);
  std::vector<TagNode*> entries;  // as entries hold them
  for (int index = 0; index < 30; ++index) {
    entries.push_back(log.acquire(path("e:" + std::to_string(index))));
  }
  {
    std::vector<std::unique_ptr<DepSet>> sets;
    std::vector<Naive> naive(6);
    for (std::size_t index = 0; index < naive.size(); ++index) {
      sets.push_back(std::make_unique<DepSet>(log));
    }
    for (int step = 0; step < 20'000; ++step) {
      const std::size_t which = random() % sets.size();
      DepSet& set = *sets[which];
      Naive& side = naive[which];
      switch (random() % 12) {
        case 0:
          set.clear();
          side = {};
          break;
        case 1: {
          const std::size_t from = random() % sets.size();
          if (from == which || set.nodes().size() > 2000) break;
          set.merge(*sets[from]);
          side.merge(naive[from]);
          break;
        }
        case 2: {
          const DepSet::Key key{random() % 4, random() % 10};
          set.add_key(key);
          side.keys.insert({key.function_id, key.key_hash});
          break;
        }
        case 3: {
          std::vector<TagNode*> some;
          for (std::uint64_t count = random() % 5; count > 0; --count) {
            some.push_back(entries[random() % entries.size()]);
          }
          set.add_nodes(some);
          side.nodes.insert(some.begin(), some.end());
          break;
        }
        default: {
          const std::string tag = any_tag(random);
          set.add_tag(tag);
          side.tags.insert(tag);
        }
      }
      expect_same(set, side);
      if (HasFatalFailure()) return;
      if (step % 100 != 0) continue;
      std::map<std::string, std::size_t> holders;
      for (const TagNode* node : entries) ++holders[node->text()];
      for (const auto& one : sets) {
        for (const TagNode* node : one->nodes()) ++holders[node->text()];
      }
      for (const auto& row : log.rows("e:0")) ASSERT_EQ(row.holders, holders[row.tag]);
    }
  }
  for (const auto& row : log.rows("e")) EXPECT_EQ(row.holders, row.tag == "e" ? 0U : 1U);
  log.release(entries);
  EXPECT_EQ(log.tag_count(), 0U);
}

TEST(DepSet, AMillionMentionsOfOneTagAreFew) {
  InvalidationLog log(64);
  DepSet deps(log);
  TagNode* node = log.acquire(path("n"));
  for (int mention = 0; mention < 1'000'000; ++mention) {
    deps.add_tag(mention % 2 == 0 ? "a" : "b");
    if (mention % 10 == 0) deps.add_nodes({&node, 1});
  }
  EXPECT_LE(deps.tags().size() + deps.nodes().size(), 200U);
  deps.clear();
  EXPECT_EQ(node->holders(), 1U);
  log.release(node);
}

TEST(LoadFrame, GathersUntilItIsClosed) {
  InvalidationLog log(64);
  LoadFrame<ConcurrentPolicy> frame(log, 0, nullptr, nullptr);
  TagNode* node = log.acquire(path("n"));
  frame.add_tag("a");
  frame.add_hit({1, 2}, {&node, 1}, 500);
  frame.add_hit({1, 3}, {}, 0);
  {
    DepSet inner(log);
    inner.add_tag("b");
    frame.add_load({1, 4}, inner, 300, true);
    frame.add_load({1, 5}, inner, 400, true);
  }
  DepSet gathered(log);
  const auto closed = frame.close(gathered);
  EXPECT_TRUE(closed.storable);
  EXPECT_EQ(closed.expires_ns, 300) << "the earliest end of an inner entry";
  EXPECT_EQ(std::set<std::string>(gathered.tags().begin(), gathered.tags().end()),
            (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(std::vector<TagNode*>(gathered.nodes().begin(), gathered.nodes().end()),
            std::vector<TagNode*>{node});
  EXPECT_EQ(gathered.keys().size(), 4U);
  frame.add_tag("late");
  frame.add_hit({1, 9}, {&node, 1}, 1);
  EXPECT_FALSE(frame.is_open());
  EXPECT_EQ(node->holders(), 2U) << "a closed frame takes nothing";
  gathered.clear();
  log.release(node);
  EXPECT_EQ(log.tag_count(), 0U);
}

TEST(LoadFrame, OneUnstorableInnerLoadIsEnough) {
  InvalidationLog log(64);
  LoadFrame<ConcurrentPolicy> frame(log, 0, nullptr, nullptr);
  frame.add_load({1, 1}, DepSet(log), 0, false);
  frame.add_load({1, 2}, DepSet(log), 0, true);
  DepSet gathered(log);
  EXPECT_FALSE(frame.close(gathered).storable);
  LoadFrame<ConcurrentPolicy> distrusted(log, 0, nullptr, nullptr);
  distrusted.distrust();
  EXPECT_FALSE(distrusted.close(gathered).storable);
}

TEST(LoadFrame, IsAsOldAsTheOldestDataThatItUses) {
  InvalidationLog log(64);
  const auto moment = [](Epoch epoch, Epoch home_epoch, std::uint64_t generation = 7) {
    return Moment{epoch, {true, generation, home_epoch}};
  };
  LoadFrame<ConcurrentPolicy> inner(log, 9, nullptr, nullptr);
  DepSet deps(log);
  EXPECT_TRUE(inner.close(deps).since.is_now());
  LoadFrame<ConcurrentPolicy> frame(log, 9, nullptr, nullptr);
  frame.loaded_since(moment(5, 3));
  frame.loaded_since(moment(4, 8));
  frame.add_load({1, 1}, deps, 0, true, moment(6, 2));
  const auto gathered = frame.close(deps);
  EXPECT_EQ(gathered.since.epoch, 4u);
  EXPECT_TRUE(gathered.since.home.trusted);
  EXPECT_EQ(gathered.since.home.epoch, 2u);
  LoadFrame<ConcurrentPolicy> across(log, 9, nullptr, nullptr);
  across.loaded_since(moment(5, 3));
  across.add_part(deps, {true, true, 0, moment(6, 4, 8)});
  EXPECT_FALSE(across.close(deps).since.home.trusted) << "of two generations";
}

TEST(LoadFrame, ABypassGathersNothingAndReachesWhatIsBelow) {
  InvalidationLog log(64);
  const auto make = [&log](auto around) {
    return std::make_shared<LoadFrame<ConcurrentPolicy>>(log, 0, nullptr, around);
  };
  const auto outer = make(LoadFrame<ConcurrentPolicy>::Ptr());
  const auto bypass = make(outer);
  const auto before = make(bypass);
  bypass->gather_nothing();
  bypass->bypass(path("db:shop").back().hash);
  const auto inner = make(bypass);
  EXPECT_TRUE(inner->bypasses());
  EXPECT_TRUE(before->bypasses());
  EXPECT_FALSE(outer->bypasses());
  bypass->add_tag("user:1");
  bypass->close();
  EXPECT_FALSE(inner->bypasses());
  DepSet deps(log);
  EXPECT_FALSE(inner->close(deps).storable) << "it began under the bypass";
  bypass->close(deps);
  EXPECT_TRUE(deps.empty());
  EXPECT_TRUE(outer->close(deps).storable);
}

TEST(LoadFrame, ABypassIsForWhatDependsOnItsTag) {
  InvalidationLog log(64);
  const auto make = [&log](auto around) {
    return std::make_shared<LoadFrame<ConcurrentPolicy>>(log, 0, nullptr, around);
  };
  TagNode* const row = log.acquire(path("db:shop:books:1"));
  TagNode* const other = log.acquire(path("db:shops:books:1"));
  const auto passes = [](const auto& frame, std::initializer_list<TagNode*> nodes) {
    return frame->bypasses(std::span<TagNode* const>(nodes.begin(), nodes.size()));
  };
  const auto load = make(LoadFrame<ConcurrentPolicy>::Ptr());
  const auto bypass = make(load);
  bypass->gather_nothing();
  bypass->bypass(path("db:shop").back().hash);
  load->bypass(path("db:shop").back().hash);
  EXPECT_TRUE(passes(bypass, {other, row}));
  EXPECT_FALSE(passes(bypass, {other}));
  EXPECT_FALSE(passes(bypass, {}));
  const auto second = make(bypass);
  second->gather_nothing();
  second->bypass(path("db:shops").back().hash);
  bypass->bypass(path("db:shops").back().hash);  // around the second one, but for its own tag
  EXPECT_TRUE(passes(second, {other}));
  EXPECT_FALSE(passes(second, {}));
  second->close();
  EXPECT_FALSE(passes(bypass, {other}));
  load->bypass(path("db:shops").back().hash);
  bypass->close();
  EXPECT_TRUE(passes(load, {})) << "a load under both is for neither alone";
  log.release(row);
  log.release(other);
}

TEST(LoadFrame, AnUnwantedResultDoesNotConcernWhatIsMadeOfIt) {
  InvalidationLog log(64);
  LoadFrame<ConcurrentPolicy> frame(log, 0, nullptr, nullptr);
  frame.forbid_store();
  DepSet gathered(log);
  const auto told = frame.close(gathered);
  EXPECT_FALSE(told.wanted);
  EXPECT_TRUE(told.storable);
}

}  // namespace
}  // namespace zoocache::core
