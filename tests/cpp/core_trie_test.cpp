// The trie beside a set of prefixes: exactly the nodes that somebody needs, found by text.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/log.h"
#include "seed.h"

namespace zoocache::core {
namespace {

using testing::seed_note;
using testing::test_seed;

// The way to a private member: names in an explicit instantiation are not checked for access.
template <auto Member>
struct StepsOf {
  friend std::array<TagPath::Step, kMaxSegments>& steps_of(TagPath& path) { return path.*Member; }
};
template struct StepsOf<&TagPath::steps_>;
std::array<TagPath::Step, kMaxSegments>& steps_of(TagPath& path);

std::vector<std::string> prefixes(const std::string& tag) {
  std::vector<std::string> all;
  for (std::size_t end = tag.find(':'); end != std::string::npos; end = tag.find(':', end + 1)) {
    all.push_back(tag.substr(0, end));
  }
  all.push_back(tag);
  return all;
}

TagNode* ensure(TagTrie& trie, const TagPath& path) {
  TagNode* node = trie.root();
  for (std::size_t index = 0; index < path.size(); ++index) {
    TagNode* below = trie.find(node, path, index);
    node = below != nullptr ? below : trie.create(node, path, index, index);
  }
  TagTrie::hold(node);
  return node;
}

// `forge` may change a path's hashes before it is used.
template <class Forge>
void run_against_prefixes(Forge&& forge) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  TagTrie trie;
  std::multimap<std::string, TagNode*> held;
  for (int step = 0; step < 20'000; ++step) {
    const bool grows = step % 4000 < 2000;
    if (held.empty() || random() % 100 < (grows ? 65U : 35U)) {
      std::string tag = "a" + std::to_string(random() % 5);
      for (std::uint64_t depth = random() % 4; depth > 0; --depth) {
        tag += ":" + std::string(random() % 3, 'x') + std::to_string(random() % 3);
      }
      TagPath path = TagPath::parse(tag, 256);
      forge(path);
      TagNode* node = ensure(trie, path);
      ASSERT_EQ(node->text(), tag);
      held.emplace(tag, node);
    } else {
      auto which = held.begin();
      std::advance(which,
                   static_cast<std::ptrdiff_t>(random() % std::min<std::size_t>(held.size(), 40)));
      ASSERT_EQ(which->second->text(), which->first);
      ASSERT_EQ(which->second->holders(), held.count(which->first));
      trie.release(which->second);
      held.erase(which);
    }
    if (step % 50 != 0) continue;
    std::set<std::string> expected;
    for (const auto& [tag, node] : held) {
      for (const std::string& prefix : prefixes(tag)) expected.insert(prefix);
    }
    std::set<std::string> there;
    trie.for_each([&](const TagNode& node) {
      EXPECT_TRUE(there.insert(node.text()).second) << "twice: " << node.text();
    });
    ASSERT_EQ(there, expected);
    ASSERT_EQ(trie.size(), expected.size());
  }
  for (const auto& [tag, node] : held) trie.release(node);
  EXPECT_EQ(trie.size(), 0U);
}

TEST(Trie, HasExactlyTheNodesThatAreNeeded) {
  run_against_prefixes([](TagPath&) {});
}

// Text decides, not the hash: here all tags of a length share one.
TEST(Trie, TellsCollidingTagsApart) {
  run_against_prefixes([](TagPath& path) {
    for (std::size_t index = 0; index < path.size(); ++index) {
      steps_of(path)[index].hash = path[index].end % 3;
    }
  });
}

TEST(Tags, StepsHashWholePrefixes) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  std::map<std::string, std::uint64_t> hash_of;
  std::map<std::uint64_t, std::string> text_of;
  for (int round = 0; round < 20'000; ++round) {
    std::string tag;
    std::vector<std::string> segments;
    for (std::uint64_t count = 1 + random() % 5; count > 0; --count) {
      std::string segment;
      for (std::uint64_t length = 1 + random() % 40; length > 0; --length) {
        segment += static_cast<char>('a' + random() % 2);
      }
      segments.push_back(segment);
      tag += (tag.empty() ? "" : ":") + segment;
    }
    const TagPath path = TagPath::parse(tag, 4096);
    const TagPath again = TagPath::trusted(tag);
    const std::vector<std::string> expected = prefixes(tag);
    ASSERT_EQ(path.size(), expected.size());
    ASSERT_EQ(again.size(), expected.size());
    for (std::size_t index = 0; index < path.size(); ++index) {
      ASSERT_EQ(path.segment(index), segments[index]);
      ASSERT_EQ(path[index].hash, again[index].hash);
      ASSERT_EQ(tag.substr(0, path[index].end), expected[index]);
      const auto [by_text, new_text] = hash_of.emplace(expected[index], path[index].hash);
      ASSERT_EQ(by_text->second, path[index].hash) << "two hashes for one prefix";
      const auto [by_hash, new_hash] = text_of.emplace(path[index].hash, expected[index]);
      ASSERT_EQ(by_hash->second, expected[index]) << "one hash for two prefixes";
    }
  }
}

TEST(Tags, HiddenOnesAreNobodyElses) {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t function = 1; function <= 50; ++function) {
    const HiddenTag whole(function);
    EXPECT_TRUE(hashes.insert(whole.path().back().hash).second);
    for (std::uint64_t key = 0; key < 50; ++key) {
      const HiddenTag one(function, key);
      EXPECT_TRUE(hashes.insert(one.path().back().hash).second);
      ASSERT_EQ(one.path().size(), 2U);
      EXPECT_EQ(one.path()[0].hash, whole.path().back().hash) << "not below its function";
      EXPECT_THROW(TagPath::parse(one.path().text(), 256), std::exception);
    }
  }
  InvalidationLog log(16);
  TagNode* node = log.acquire(HiddenTag(7, 8).path());
  EXPECT_TRUE(node->hidden());
  EXPECT_EQ(log.tag_count(), 2U);
  EXPECT_EQ(log.visible_tag_count(), 0U);
  EXPECT_TRUE(log.rows("").empty());
  log.release(node);
  EXPECT_EQ(log.tag_count(), 0U);
}

TEST(Log, RowsAreThePrefixAndWhatIsBelow) {
  InvalidationLog log(64);
  std::vector<TagNode*> nodes;
  for (const char* tag : {"org:acme:user", "org:acme", "org:acme2", "orga", "zebra"}) {
    nodes.push_back(log.acquire(TagPath::parse(tag, 256)));
  }
  log.invalidate(TagPath::parse("org:acme", 256));
  const auto names = [&](const char* prefix) {
    std::vector<std::string> all;
    for (const auto& row : log.rows(prefix)) all.push_back(row.tag);
    return all;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("org:acme"), (Names{"org:acme", "org:acme:user"}));
  EXPECT_EQ(names("org"), (Names{"org", "org:acme", "org:acme2", "org:acme:user"}));
  EXPECT_EQ(names("").size(), 6U);
  EXPECT_EQ(names("org:ac"), Names{});
  EXPECT_EQ(log.rows("org:acme")[0].version, 1U);
  EXPECT_EQ(log.rows("org:acme")[0].holders, 1U);
  EXPECT_EQ(log.rows("org")[0].holders, 0U) << "children are no holders";
  log.release(nodes);
  EXPECT_EQ(log.tag_count(), 0U);
}

}  // namespace
}  // namespace zoocache::core
