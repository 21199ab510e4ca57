// The log, the ring and the trie, beside an oracle that remembers every invalidation for ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/hash.h"
#include "core/log.h"
#include "seed.h"
#include "zoocache/errors.h"

namespace zoocache::core {
namespace {

using Standing = InvalidationLog::Standing;
using testing::seed_note;
using testing::test_seed;

TagPath path(const std::string& tag) { return TagPath::parse(tag, 256); }

Standing bind_tags(InvalidationLog& log, const std::vector<std::string>& tags, Epoch born,
                   Dependencies* bound) {
  DepSet deps(log);
  for (const std::string& tag : tags) deps.add_tag(tag);
  return log.bind(deps, nullptr, nullptr, born, bound);
}

void drop(InvalidationLog& log, Dependencies& deps) {
  log.release(deps.nodes());
  deps.destroy();
}

TEST(Log, EpochsBeginAtOneAndSeveralTagsShareOne) {
  InvalidationLog log(16);
  EXPECT_EQ(log.clock(), 0U);
  EXPECT_EQ(log.invalidate(path("a")), 1U);
  const std::vector<TagPath> several = {path("a"), path("b:c"), path("d")};
  EXPECT_EQ(log.invalidate(several), 2U);
  EXPECT_EQ(log.clock(), 2U);
  for (const char* tag : {"a", "b:c", "d"}) EXPECT_EQ(log.version(path(tag)), 2U) << tag;
  EXPECT_EQ(log.version(path("b")), 0U);
}

TEST(Log, WhatTakesEffectTwiceIsOneInvalidation) {
  InvalidationLog log(16, 4);
  const TagPath path = TagPath::parse("user:1", 200);
  const Epoch first = log.apply(path, 7);
  const Epoch second = log.apply({&path, 1}, 7, first);
  EXPECT_GT(second, first);
  EXPECT_EQ(log.clock(), second);
  EXPECT_EQ(log.invalidations(), 1);
  log.note_death(first);
  log.note_death(second);
  ASSERT_EQ(log.recent().size(), 1);
  EXPECT_EQ(log.recent()[0].epoch, first);
  EXPECT_EQ(log.recent()[0].died, 2);

  const Epoch third = log.apply_root();
  const Epoch fourth = log.apply_root(0, third);
  const Epoch fifth = log.apply(path);  // where the first was
  EXPECT_EQ(log.invalidations(), 3);
  log.note_death(second);
  log.note_death(fourth);
  ASSERT_EQ(log.recent().size(), 2);
  EXPECT_EQ(log.recent()[0].epoch, fifth);
  EXPECT_EQ(log.recent()[0].died, 0);
  EXPECT_TRUE(log.recent()[1].everything);
  EXPECT_EQ(log.recent()[1].died, 1);
}

TEST(Log, NodesGoWithTheirLastHolder) {
  InvalidationLog log(1024);
  Dependencies first;
  Dependencies second;
  ASSERT_EQ(bind_tags(log, {"org:acme:user:1", "org:acme:user:2"}, 0, &first), Standing::kCurrent);
  ASSERT_EQ(bind_tags(log, {"org:acme:user:2"}, 0, &second), Standing::kCurrent);
  EXPECT_EQ(log.tag_count(), 5U);  // org, acme, user, 1, 2
  drop(log, first);
  EXPECT_EQ(log.tag_count(), 4U);
  drop(log, second);
  EXPECT_EQ(log.tag_count(), 0U);
}

TEST(Log, AMillionTagsComeAndGo) {
  InvalidationLog log(1024);
  for (int index = 0; index < 1'000'000; ++index) {
    Dependencies deps;
    ASSERT_EQ(bind_tags(log, {"user:" + std::to_string(index)}, log.clock(), &deps),
              Standing::kCurrent);
    drop(log, deps);
  }
  EXPECT_EQ(log.tag_count(), 0U);
}

TEST(Log, AParentKillsBelowAndNothingBeside) {
  InvalidationLog log(1024);
  Dependencies child;
  Dependencies beside;
  Dependencies parent;
  ASSERT_EQ(bind_tags(log, {"org:acme:user"}, 0, &child), Standing::kCurrent);
  ASSERT_EQ(bind_tags(log, {"org:acme2"}, 0, &beside), Standing::kCurrent);
  ASSERT_EQ(bind_tags(log, {"org"}, 0, &parent), Standing::kCurrent);
  log.invalidate(path("org:acme"));
  EXPECT_FALSE(child.is_current(0, 0, log.clock(), log.ring()));
  EXPECT_TRUE(beside.is_current(0, 0, log.clock(), log.ring()));
  EXPECT_TRUE(parent.is_current(0, 0, log.clock(), log.ring()));
  ASSERT_NE(child.find_killer(0), nullptr);
  EXPECT_EQ(child.find_killer(0)->text(), "org:acme");
  for (Dependencies* deps : {&child, &beside, &parent}) drop(log, *deps);
}

// An older load stores after the only node that knew was freed: what was forgotten must not count
// as never having happened.
TEST(LogOracle, ANewNodeKnowsWhatTheRingForgot) {
  InvalidationLog log(16);
  const Epoch old_born = log.clock();
  log.invalidate(path("a"));
  for (int index = 0; index < 40; ++index) log.invalidate(path("noise"));
  Dependencies young;
  ASSERT_EQ(bind_tags(log, {"a"}, log.clock(), &young), Standing::kCurrent);
  Dependencies old;
  EXPECT_NE(bind_tags(log, {"a"}, old_born, &old), Standing::kCurrent)
      << "the node began as if nothing had happened";
  drop(log, young);
}

TEST(LogOracle, ARingThatDoesNotReachBackRefuses) {
  InvalidationLog log(16);
  const Epoch born = log.clock();
  for (int index = 0; index < 40; ++index) log.invalidate(path("noise"));
  Dependencies deps;
  EXPECT_EQ(bind_tags(log, {"quiet"}, born, &deps), Standing::kForgotten);
  EXPECT_EQ(bind_tags(log, {"quiet"}, log.clock(), &deps), Standing::kCurrent);
  drop(log, deps);
}

TEST(Log, HeldTagsKeepLoadsOut) {
  InvalidationLog log(1024);
  const TagPath held = path("org:acme");
  const std::vector<TagPath> tags = {held};
  log.hold_tags(tags);
  log.hold_tags(tags);  // counted
  Dependencies deps;
  EXPECT_EQ(bind_tags(log, {"org:acme:user"}, log.clock(), &deps), Standing::kHeld);
  EXPECT_EQ(bind_tags(log, {"org:acme"}, log.clock(), &deps), Standing::kHeld);
  log.release_tags(tags);
  EXPECT_EQ(bind_tags(log, {"org:acme"}, log.clock(), &deps), Standing::kHeld);
  log.release_tags(tags);
  EXPECT_EQ(bind_tags(log, {"org:acme"}, log.clock(), &deps), Standing::kCurrent);
  drop(log, deps);
}

TEST(Log, WhatIsHeldIsWhatAChangeNames) {
  InvalidationLog log(1024);
  const HiddenTag function(7);
  const HiddenTag key(7, 9);
  TagNode* const node = log.acquire(function.path());
  const auto standing = [&](const TagNode* of, const std::vector<std::string>& tags) {
    DepSet deps(log);
    for (const std::string& tag : tags) deps.add_tag(tag);
    return log.standing(deps, of, nullptr, log.clock());
  };
  const auto held_by = [&](std::string_view text) {
    const Change change(text, true);
    hold_changes(log, {&change, 1});
    hold_changes(log, {&change, 1});  // counted
    release_changes(log, {&change, 1});
    std::string held;
    if (standing(nullptr, {}) == Standing::kHeld) held += "all ";
    if (standing(node, {}) == Standing::kHeld) held += "function ";
    if (standing(nullptr, {"org:acme:user"}) == Standing::kHeld) held += "tag ";
    if (standing(nullptr, {"other"}) == Standing::kHeld) held += "other ";
    release_changes(log, {&change, 1});
    EXPECT_EQ(standing(node, {"org:acme:user"}), Standing::kCurrent);
    return held;
  };
  EXPECT_EQ(held_by("org:acme"), "tag ");
  EXPECT_EQ(held_by(function.path().text()), "function ");
  EXPECT_EQ(held_by(key.path().text()), "function ") << "keys of others are a whole function here";
  EXPECT_EQ(held_by(""), "all function tag other ");
  EXPECT_EQ(held_by("no\ttag"), "all function tag other ");
  log.release(node);
}

// Everything that ever happened, compared as text.
class Oracle {
 public:
  void invalidate(const std::string& tag, Epoch epoch) { versions_[tag] = epoch; }
  Epoch newest(const std::string& tag) const {
    Epoch newest = 0;
    for (std::size_t end = 0; end != std::string::npos;) {
      end = tag.find(':', end + 1);
      const auto found = versions_.find(tag.substr(0, end));
      if (found != versions_.end()) newest = std::max(newest, found->second);
    }
    return newest;
  }

 private:
  std::map<std::string, Epoch> versions_;
};

struct Entry {
  std::vector<std::string> tags;
  Epoch born;
  Epoch validated;
  Dependencies deps;
};

class LogAgainstOracle : public ::testing::TestWithParam<std::size_t> {};

TEST_P(LogAgainstOracle, SaysTheSame) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  InvalidationLog log(GetParam());
  Oracle oracle;
  std::vector<Entry> entries;
  std::vector<Epoch> loads;  // births of loads that are still running
  const auto any_tag = [&] {
    std::string tag = "t" + std::to_string(random() % 6);
    for (std::uint64_t depth = random() % 3; depth > 0; --depth) {
      tag += ":" + std::to_string(random() % 4);
    }
    return tag;
  };
  std::size_t stored = 0;
  for (int step = 0; step < 60'000; ++step) {
    const std::uint64_t what = random() % 100;
    if (what < 30) {
      loads.push_back(log.clock());
    } else if (what < 60 && !loads.empty()) {
      const std::size_t which = random() % loads.size();
      Entry entry{{}, loads[which], loads[which], {}};
      loads.erase(loads.begin() + static_cast<std::ptrdiff_t>(which));
      const std::uint64_t count = random() % 20 == 0 ? 30 : 1 + random() % 3;
      for (std::uint64_t tag = 0; tag < count; ++tag) entry.tags.push_back(any_tag());
      const Standing standing = bind_tags(log, entry.tags, entry.born, &entry.deps);
      Epoch newest = 0;
      for (const std::string& tag : entry.tags) newest = std::max(newest, oracle.newest(tag));
      if (standing == Standing::kCurrent) {
        ASSERT_LE(newest, entry.born) << "said current, and it was invalidated";
        entries.push_back(std::move(entry));
        ++stored;
      } else if (standing == Standing::kInvalidated) {
        // A new node may have started at the ring's floor: then it is only unknown.
        ASSERT_TRUE(newest > entry.born || log.ring().floor() > entry.born);
      } else {
        ASSERT_GT(log.ring().floor(), entry.born) << "forgotten, though the ring reaches back";
      }
    } else if (what < 85) {
      const std::string tag = any_tag();
      oracle.invalidate(tag, log.invalidate(path(tag)));
    } else if (!entries.empty()) {
      const std::size_t which = random() % entries.size();
      Entry& entry = entries[which];
      const Epoch clock = log.clock();
      Epoch newest = 0;
      for (const std::string& tag : entry.tags) newest = std::max(newest, oracle.newest(tag));
      const bool current = entry.deps.is_current(entry.born, entry.validated, clock, log.ring());
      ASSERT_EQ(current, newest <= entry.born);
      if (current) entry.validated = clock;
      if (!current || random() % 4 == 0) {
        drop(log, entry.deps);
        entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(which));
      }
    }
  }
  EXPECT_GT(stored, 100U);
  for (Entry& entry : entries) drop(log, entry.deps);
  EXPECT_EQ(log.tag_count(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Rings, LogAgainstOracle, ::testing::Values(16, 256, 65'536));

TEST(Ring, AnySinceTellsOnlyWhatItSaw) {
  InvalidationRing ring(1024);
  for (Epoch epoch = 1; epoch <= 100; ++epoch) ring.append(epoch, epoch * 7, {});
  using Answer = InvalidationRing::Answer;
  EXPECT_EQ(ring.any_since(90, [](std::uint64_t hash) { return hash == 95 * 7; }), Answer::kSome);
  EXPECT_EQ(ring.any_since(90, [](std::uint64_t hash) { return hash == 90 * 7; }), Answer::kNone);
  for (Epoch epoch = 101; epoch <= 400; ++epoch) ring.append(epoch, epoch * 7, {});
  EXPECT_EQ(ring.any_since(90, [](std::uint64_t) { return false; }), Answer::kUnknown)
      << "300 records are beyond its reach";
}

TEST(Ring, AScanThatTheRingOvertookKnowsNothing) {
  InvalidationRing ring(4);
  ring.append(1, 11, {});
  ring.append(2, 22, {});
  bool first = true;
  const auto answer = ring.any_since(0, [&](std::uint64_t hash) {
    for (int more = 0; first && more < 3; ++more) ring.append(2, 33, {});
    first = false;
    return hash == 11;
  });
  EXPECT_EQ(answer, InvalidationRing::Answer::kUnknown) << "epoch 1 was overwritten unseen";
}

TEST(Ring, RemembersTheNewestOfEachHash) {
  InvalidationRing ring(16);
  for (Epoch epoch = 1; epoch <= 100; ++epoch) ring.append(epoch, epoch % 5, {});
  for (Epoch epoch = 96; epoch <= 100; ++epoch) EXPECT_EQ(ring.newest(epoch % 5), epoch);
  EXPECT_EQ(ring.newest(77), 0U);
  EXPECT_EQ(ring.floor(), 84U);
}

TEST(Tags, RulesAreKept) {
  const std::string deep(127, 'a');
  for (const std::string& good :
       {std::string("a"), std::string("org:acme:user:42"), std::string("x-y@z.w_/%"),
        std::string("名前:é"), std::string(256, 'x')}) {
    EXPECT_NO_THROW(path(good)) << good;
  }
  std::string levels = "a";
  for (int level = 1; level < 64; ++level) levels += ":a";
  EXPECT_NO_THROW(path(levels));
  const std::vector<std::string> bad = {"",
                                        ":",
                                        "a:",
                                        ":a",
                                        "a::b",
                                        "a b",
                                        "a\tb",
                                        "a\nb",
                                        std::string("a\0b", 3),
                                        "a|b",
                                        "a\x7f",
                                        "a\xC2\x85",
                                        "a\xC2\xA0",
                                        "a\xE2\x80\xA8",
                                        "\xFF",
                                        "a\xED\xA0\x80",
                                        "\xC0\x80",
                                        std::string(257, 'x'),
                                        std::string(10'000, 'x'),
                                        levels + ":a"};
  for (const std::string& one : bad) EXPECT_THROW(path(one), InvalidTag) << one;
  EXPECT_NO_THROW(TagPath::parse(std::string(4096, 'x'), 4096));
}

TEST(Tags, HashesTellShortTextsApart) {
  std::set<std::uint64_t> seen;
  std::size_t count = 256;
  for (int first = 0; first < 256; ++first) {
    const char letter = static_cast<char>(first);
    seen.insert(hash_bytes({&letter, 1}, 7));
    for (int second = 0; second < 256; ++second) {
      std::string text = {letter, static_cast<char>(second)};
      for (std::size_t length = 2; length <= 20; length += 3, ++count) {
        text.resize(length, 'x');
        seen.insert(hash_bytes(text, 7));
      }
    }
  }
  for (std::size_t at = 0; at < 40; ++at) {  // every byte counts
    for (std::size_t length = std::max<std::size_t>(at + 1, 3); length <= 40; ++length, ++count) {
      std::string text(length, 'y');
      text[at] = 'z';
      seen.insert(hash_bytes(text, 7));
    }
  }
  EXPECT_EQ(seen.size(), count);
}

TEST(Tags, AnySegmentCanBeEncoded) {
  EXPECT_EQ(encode_segment("plain-1", 256), "plain-1");
  EXPECT_EQ(encode_segment("", 256), "%");
  EXPECT_EQ(encode_segment("a:b%c|d e", 256), "a%3Ab%25c%7Cd%20e");
  EXPECT_EQ(encode_segment(std::string(300, 'x'), 256).substr(0, 2), "%~");
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  std::map<std::string, std::string> seen;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::uint64_t length = random() % 12; length > 0; --length) {
      text += static_cast<char>(random() % 256);
    }
    const std::string encoded = encode_segment(text, 64);
    EXPECT_NO_THROW(path("s:" + encoded));
    EXPECT_EQ(encoded.find(':'), std::string::npos);
    const auto [at, fresh] = seen.emplace(encoded, text);
    EXPECT_TRUE(fresh || at->second == text) << "two values share a segment";
  }
}

}  // namespace
}  // namespace zoocache::core
