// What the log says of a load, with everything that can speak against it: tags of several
// dependencies, functions, keys, the root, holds, nodes of inner entries. The oracle remembers
// every invalidation for ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/log.h"
#include "seed.h"

namespace zoocache::core {
namespace {

using Standing = InvalidationLog::Standing;
using testing::seed_note;
using testing::test_seed;

constexpr std::uint64_t kFunctions = 3;
constexpr std::uint64_t kKeys = 4;

// Names of everything that can be invalidated, hidden tags included, as paths of text: the root is
// "", a function "#1", a key of it "#1:7".
struct Oracle {
  std::map<std::string, Epoch> versions;
  std::map<std::string, int> holds;

  template <class Visit>
  static void up(std::string name, Visit&& visit) {
    for (; !name.empty();
         name = name.substr(0, name.rfind(':') == std::string::npos ? 0 : name.rfind(':'))) {
      visit(name);
    }
  }
  Epoch newest(const std::string& name) const {
    Epoch newest = at("");
    up(name, [&](const std::string& prefix) { newest = std::max(newest, at(prefix)); });
    return newest;
  }
  bool held(const std::string& name) const {
    bool any = false;
    up(name, [&](const std::string& prefix) {
      const auto found = holds.find(prefix);
      any |= found != holds.end() && found->second > 0;
    });
    return any;
  }

 private:
  Epoch at(const std::string& name) const {
    const auto found = versions.find(name);
    return found == versions.end() ? 0 : found->second;
  }
};

std::string function_name(std::uint64_t function) { return "#" + std::to_string(function); }
std::string key_name(std::uint64_t function, std::uint64_t key) {
  return function_name(function) + ":" + std::to_string(key);
}

struct Load {
  Epoch born;
  std::uint64_t function;
  std::uint64_t key;
  std::vector<std::string> tags;
  std::vector<DepSet::Key> keys;
  std::vector<std::size_t> inner;  // entries whose nodes it met
};

struct Entry {
  Epoch born;
  std::uint64_t function;
  std::vector<std::string> names;  // of everything it depends on
  Dependencies deps;
  bool dropped = false;
};

class World {
 public:
  World(std::size_t ring, std::uint64_t seed) : random(seed), log(ring) {
    for (std::uint64_t id = 1; id <= kFunctions; ++id) {
      functions.push_back(log.acquire(HiddenTag(id).path()));
    }
  }
  ~World() {
    for (Entry& entry : entries) drop(entry);
    log.release(functions);
  }

  std::string any_tag() {
    std::string tag = "t" + std::to_string(random() % 4);
    for (std::uint64_t depth = random() % 3; depth > 0; --depth) {
      tag += ":" + std::to_string(random() % 3);
    }
    return tag;
  }

  void invalidate() {
    const std::uint64_t what = random() % 40;
    const std::uint64_t function = 1 + random() % kFunctions;
    const std::uint64_t key = random() % kKeys;
    if (what == 0) {
      oracle.versions[""] = log.invalidate_root();
    } else if (what == 1) {
      oracle.versions[function_name(function)] = log.invalidate(HiddenTag(function).path());
    } else if (what < 8) {
      oracle.versions[key_name(function, key)] = log.invalidate(HiddenTag(function, key).path());
    } else {
      std::vector<std::string> tags;
      std::vector<TagPath> paths;
      for (std::uint64_t count = 1 + random() % 3; count > 0; --count) tags.push_back(any_tag());
      for (const std::string& tag : tags) paths.push_back(TagPath::parse(tag, 256));
      const Epoch epoch = log.invalidate(paths);
      for (const std::string& tag : tags) oracle.versions[tag] = epoch;
    }
  }

  void hold_or_release() {
    if (held.size() > 2 || (!held.empty() && random() % 2 == 0)) {
      const std::string tag = held.back();
      held.pop_back();
      const TagPath path = TagPath::parse(tag, 256);
      log.release_tags({&path, 1});
      --oracle.holds[tag];
    } else {
      held.push_back(any_tag());
      const TagPath path = TagPath::parse(held.back(), 256);
      log.hold_tags({&path, 1});
      ++oracle.holds[held.back()];
    }
  }

  void begin_load() {
    Load load{log.clock(), 1 + random() % kFunctions, random() % kKeys, {}, {}, {}};
    for (std::uint64_t count = random() % 4; count > 0; --count) load.tags.push_back(any_tag());
    for (std::uint64_t count = random() % 3; count > 0; --count) {
      load.keys.push_back({1 + random() % kFunctions, random() % kKeys});
    }
    for (std::size_t index = 0; index < entries.size() && load.inner.size() < 2; ++index) {
      // A hit is valid at the moment of the hit, which is after this load began.
      if (!entries[index].dropped && random() % 4 == 0 && valid(entries[index])) {
        load.inner.push_back(index);
      }
    }
    loads.push_back(std::move(load));
  }

  bool valid(const Entry& entry) const {
    Epoch newest = oracle.newest(function_name(entry.function));
    for (const std::string& name : entry.names) newest = std::max(newest, oracle.newest(name));
    return newest <= entry.born;
  }

  void end_load() {
    const std::size_t which = random() % loads.size();
    const Load load = loads[which];
    loads.erase(loads.begin() + static_cast<std::ptrdiff_t>(which));
    DepSet deps(log);
    Entry entry{load.born, load.function, load.tags, {}};
    for (const std::string& tag : load.tags) deps.add_tag(tag);
    for (const DepSet::Key& key : load.keys) {
      deps.add_key(key);
      entry.names.push_back(key_name(key.function_id, key.key_hash));
    }
    for (const std::size_t index : load.inner) {
      if (entries[index].dropped) return;  // the frame would have held its nodes; not told here
      deps.add_nodes(entries[index].deps.nodes());
      entry.names.insert(entry.names.end(), entries[index].names.begin(),
                         entries[index].names.end());
    }
    judge(load, entry, deps);
  }

  void judge(const Load& load, Entry& entry, const DepSet& deps) {
    const HiddenTag own(load.function, load.key);
    const TagNode* function = functions[load.function - 1];
    const Standing told = log.standing(deps, function, &own.path(), load.born);
    const std::size_t nodes_before = log.tag_count();
    const Standing bound = log.bind(deps, function, &own.path(), load.born, &entry.deps);
    ASSERT_EQ(told, bound);
    ++counts[bound];
    Epoch newest = oracle.newest(key_name(load.function, load.key));
    bool is_held = false;
    for (const std::string& name : entry.names) {
      newest = std::max(newest, oracle.newest(name));
      is_held |= oracle.held(name);
    }
    const bool reaches = log.ring().floor() <= load.born;
    if (bound == Standing::kCurrent) {
      ASSERT_LE(newest, load.born) << "said current, and it was invalidated";
      ASSERT_FALSE(is_held);
      entries.push_back(entry);
      return;
    }
    ASSERT_EQ(log.tag_count(), nodes_before) << "refused, and left nodes behind";
    if (bound == Standing::kHeld) {
      ASSERT_TRUE(is_held);
    }
    if (bound == Standing::kForgotten) {
      ASSERT_FALSE(reaches);
    }
    if (bound == Standing::kInvalidated && reaches) {
      ASSERT_GT(newest, load.born) << "said invalidated, and it was not";
    }
  }

  void drop(Entry& entry) {
    if (entry.dropped) return;
    log.release(entry.deps.nodes());
    entry.deps.destroy();
    entry.dropped = true;
  }

  std::mt19937_64 random;
  InvalidationLog log;
  Oracle oracle;
  std::vector<TagNode*> functions;
  std::vector<Load> loads;
  std::vector<Entry> entries;
  std::vector<std::string> held;
  std::map<Standing, int> counts;
};

class StandingOracle : public ::testing::TestWithParam<std::size_t> {};

TEST_P(StandingOracle, SaysTheSame) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  World world(GetParam(), seed);
  for (int step = 0; step < 60'000 && !HasFatalFailure(); ++step) {
    const std::uint64_t what = world.random() % 100;
    if (what < 35) {
      world.begin_load();
    } else if (what < 70) {
      if (!world.loads.empty()) world.end_load();
    } else if (what < 80) {
      world.invalidate();
    } else if (what < 84) {
      world.hold_or_release();
    } else if (!world.entries.empty()) {
      const std::size_t which = world.random() % world.entries.size();
      Entry& entry = world.entries[which];
      if (!entry.dropped) {
        const bool current =
            is_current(world.functions[entry.function - 1], entry.born) &&
            entry.deps.is_current(entry.born, entry.born, world.log.clock(), world.log.ring());
        ASSERT_EQ(current, world.valid(entry));
        if (!current || what > 90) world.drop(entry);
      }
    }
    if (world.entries.size() > 60) {
      world.loads.clear();
      for (Entry& entry : world.entries) world.drop(entry);
      world.entries.clear();
      ASSERT_EQ(world.log.tag_count(), kFunctions) << "only the functions' own nodes are left";
    }
  }
  EXPECT_GT(world.counts[Standing::kCurrent], 1000);
  EXPECT_GT(world.counts[Standing::kInvalidated], 1000);
  EXPECT_GT(world.counts[Standing::kHeld], 100);
  if (GetParam() == 16) {
    EXPECT_GT(world.counts[Standing::kForgotten], 20);
  }
}

// A load without a key of its own, as a store beside the cached functions would be.
TEST(Standing, TheFunctionsOwnNodeIsAskedWithoutAKeyToo) {
  InvalidationLog log(64);
  const HiddenTag function(7);
  TagNode* node = log.acquire(function.path());
  const Epoch born = log.invalidate(TagPath::parse("elsewhere", 256));
  log.invalidate(function.path());
  Dependencies bound;
  EXPECT_EQ(log.bind(DepSet(log), node, nullptr, born, &bound), Standing::kInvalidated);
  EXPECT_EQ(log.standing(DepSet(log), node, nullptr, born), Standing::kInvalidated);
  EXPECT_EQ(log.standing(DepSet(log), node, nullptr, log.clock()), Standing::kCurrent);
  log.release(node);
}

INSTANTIATE_TEST_SUITE_P(Rings, StandingOracle, ::testing::Values(16, 1024, 65'536));

}  // namespace
}  // namespace zoocache::core
