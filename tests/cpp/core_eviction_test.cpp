// S3-FIFO and its ghost queue, each beside the same policy written naively: exactly the same
// victims.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "core/eviction.h"
#include "seed.h"
#include "zoocache/options.h"

namespace zoocache::core {
namespace {

using testing::seed_note;
using testing::test_seed;

// The last hashes, oldest first; what was taken is crossed out and keeps its place.
class NaiveGhost {
 public:
  void add(std::uint64_t hash, std::size_t window) {
    if (window != 0) hashes_.push_back(hash);
  }
  bool take(std::uint64_t hash, std::size_t window) {
    for (std::size_t back = 1; back <= hashes_.size() && back <= window; ++back) {
      std::optional<std::uint64_t>& one = hashes_[hashes_.size() - back];
      if (one != hash) continue;
      one.reset();
      return true;
    }
    return false;
  }

 private:
  std::vector<std::optional<std::uint64_t>> hashes_;
};

// `slots` never shrink, but the window may: what slid out stays out only as long as it is asked
// with windows that do not reach back to it, so the naive queue forgets nothing.
TEST(Ghost, RemembersTheLastOnes) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (const std::size_t window :
       {std::size_t{1}, std::size_t{9}, std::size_t{90}, std::size_t{1000}}) {
    GhostQueue ghost;
    NaiveGhost naive;
    std::size_t remembered = 0;
    for (int step = 0; step < 20'000; ++step) {
      const std::uint64_t hash = random() % (2 * window + 2);  // many share a bucket
      if (random() % 2 == 0) {
        ghost.add(hash, window);
        naive.add(hash, window);
      } else {
        const bool known = naive.take(hash, window);
        ASSERT_EQ(ghost.take(hash, window), known) << "step " << step << ", window " << window;
        remembered += known ? 1 : 0;
      }
    }
    EXPECT_GT(remembered, 100U);
    EXPECT_LE(ghost.size_bytes(), std::max<std::size_t>(64, 2 * window) * 24);
  }
}

TEST(Ghost, CostsNothingBeforeTheFirstEviction) {
  GhostQueue ghost;
  EXPECT_FALSE(ghost.take(1, 1'000'000));
  EXPECT_EQ(ghost.size_bytes(), 0U);
  for (std::uint64_t hash = 0; hash < 100; ++hash) ghost.add(hash, 1'000'000);
  EXPECT_LE(ghost.size_bytes(), 256U * 24);
  for (std::uint64_t hash = 0; hash < 100; ++hash) EXPECT_TRUE(ghost.take(hash, 1'000'000));
}

// The policy as its paper tells it, over vectors.
class NaiveQueue {
 public:
  struct Item {
    EntryId id;
    std::uint64_t hash;
    int frequency = 0;
    bool dead = false;
  };

  void insert(EntryId id, std::uint64_t hash) {
    std::deque<Item>& list = ghost_.take(hash, window()) ? main_ : small_;
    list.push_back({id, hash});
  }
  Item* find(EntryId id) {
    for (std::deque<Item>* list : {&small_, &main_}) {
      for (Item& item : *list) {
        if (item.id == id) return &item;
      }
    }
    return nullptr;
  }
  void remove(EntryId id) {
    for (std::deque<Item>* list : {&small_, &main_}) {
      std::erase_if(*list, [id](const Item& item) { return item.id == id; });
    }
  }
  std::size_t size() const { return small_.size() + main_.size(); }

  EntryId choose() {
    while (size() > 0) {
      const bool from_small = main_.empty() || small_.size() > share();
      std::deque<Item>& list = from_small ? small_ : main_;
      Item item = list.front();
      if (item.dead) return item.id;
      if (item.frequency == 0) {
        if (from_small) ghost_.add(item.hash, window());
        return item.id;
      }
      list.pop_front();
      item.frequency = from_small ? 0 : item.frequency - 1;
      main_.push_back(item);
      promotions += from_small ? 1 : 0;
    }
    return kNoEntry;
  }
  std::size_t in_main() const { return main_.size(); }
  std::size_t promotions = 0;

 private:
  std::size_t share() const { return std::max<std::size_t>(1, size() / 10); }
  std::size_t window() const { return size() - std::min(size(), share()); }

  std::deque<Item> small_;
  std::deque<Item> main_;
  NaiveGhost ghost_;
};

// An entry slab with one queue over it, and the naive queue beside.
class Both {
 public:
  Both(std::size_t max_entries, std::size_t max_bytes) : queue(slab, max_entries, max_bytes) {}

  EntryId insert(std::uint64_t hash, std::uint32_t size_bytes) {
    const EntryId id = slab.allocate();
    slab.hot(id).hash = hash;
    slab.hot(id).state.store(0);
    slab.cold(id).size_bytes = size_bytes;
    queue.insert(id);
    naive.insert(id, hash);
    return id;
  }
  void hit(EntryId id) {
    std::atomic<std::uint64_t>& state = slab.hot(id).state;
    if ((state.load() & state::kFrequency) < 3) state.fetch_add(1);
    int& frequency = naive.find(id)->frequency;
    frequency = std::min(3, frequency + 1);
  }
  EntryId choose() {
    return queue.choose([this](EntryId id) { return naive.find(id)->dead; });
  }
  void remove(EntryId id) {
    queue.remove(id);
    slab.cold(id).queue = Queue::kNone;
    slab.release(id);
    naive.remove(id);
  }

  EntrySlab slab;
  EvictionQueue queue;
  NaiveQueue naive;
};

void run_same_victims(std::size_t max_entries, std::size_t max_bytes, std::uint64_t keys) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  Both both(max_entries, max_bytes);
  std::map<std::uint64_t, EntryId> present;
  std::map<EntryId, std::uint64_t> keys_of;
  std::size_t evictions = 0;
  std::size_t bytes = 0;
  const auto drop = [&](EntryId id) {
    bytes -= both.slab.cold(id).size_bytes;
    both.remove(id);
    present.erase(keys_of[id]);
    keys_of.erase(id);
  };
  for (int step = 0; step < 30'000; ++step) {
    // Squared: some keys are asked for far more often than others.
    const double uniform = static_cast<double>(random() % 1'000'000) / 1e6;
    const auto key = static_cast<std::uint64_t>(uniform * uniform * static_cast<double>(keys));
    const auto found = present.find(key);
    if (found != present.end()) {
      if (random() % 100 == 0) {
        both.naive.find(found->second)->dead = true;
      } else if (random() % 100 == 0) {
        drop(found->second);
      } else {
        both.hit(found->second);
      }
      continue;
    }
    const auto size_bytes = static_cast<std::uint32_t>(1 + random() % 50);
    while (!both.queue.has_room(size_bytes)) {
      const EntryId expected = both.naive.choose();
      const EntryId victim = both.choose();
      ASSERT_EQ(victim, expected) << "eviction " << evictions;
      drop(victim);
      ++evictions;
    }
    const EntryId id = both.insert(key * 0x9E3779B97F4A7C15ULL, size_bytes);
    bytes += size_bytes;
    present[key] = id;
    keys_of[id] = key;
    ASSERT_EQ(both.queue.entries(), both.naive.size());
    ASSERT_EQ(both.queue.bytes(), bytes);
    ASSERT_LE(both.queue.entries(), max_entries);
    ASSERT_LE(bytes, max_bytes);
  }
  EXPECT_GT(evictions, 1000U);
  if (max_entries > 1) {
    EXPECT_GT(both.naive.promotions, 100U);
  }
  while (both.queue.entries() > 0) {
    const EntryId expected = both.naive.choose();
    const EntryId victim = both.choose();
    ASSERT_EQ(victim, expected);
    drop(victim);
  }
  EXPECT_EQ(both.choose(), kNoEntry);
  EXPECT_EQ(both.queue.bytes(), 0U);
  EXPECT_EQ(both.slab.live(), 0U);
}

TEST(S3Fifo, SameVictimsAsTheNaiveOne) { run_same_victims(100, kUnbounded, 500); }
TEST(S3Fifo, SameVictimsInATinyQueue) { run_same_victims(3, kUnbounded, 20); }
TEST(S3Fifo, SameVictimsInAQueueOfOne) { run_same_victims(1, kUnbounded, 5); }
TEST(S3Fifo, SameVictimsInAnOddQueue) { run_same_victims(37, kUnbounded, 200); }
TEST(S3Fifo, SameVictimsUnderABoundInBytes) { run_same_victims(kUnbounded, 3000, 500); }
TEST(S3Fifo, SameVictimsUnderBothBounds) { run_same_victims(60, 1200, 300); }

// What the policy is for: a scan of keys that are used once does not push out what is used.
TEST(S3Fifo, AScanLeavesTheUsedOnesAlone) {
  for (const bool by_bytes : {false, true}) {
    Both both(by_bytes ? kUnbounded : 100, by_bytes ? 100 : kUnbounded);
    std::vector<EntryId> used;
    for (std::uint64_t key = 0; key < 50; ++key) used.push_back(both.insert(key, 1));
    for (std::uint64_t key = 1000; key < 11'000; ++key) {
      if (key % 20 == 0) {
        for (const EntryId id : used) both.hit(id);
      }
      while (!both.queue.has_room(1)) {
        const EntryId victim = both.choose();
        ASSERT_EQ(std::find(used.begin(), used.end(), victim), used.end())
            << "a used entry went, " << (by_bytes ? "bytes" : "entries");
        both.remove(victim);
      }
      both.insert(key, 1);
    }
  }
}

// Functions that share a queue and have equal arguments are not each other's ghosts.
TEST(S3Fifo, AGhostBelongsToItsFunction) {
  for (const std::uint32_t function : {0U, 1U}) {
    EntrySlab slab;
    EvictionQueue queue(slab, 10, kUnbounded);
    const auto insert = [&](std::uint64_t hash, std::uint32_t owner) {
      const EntryId id = slab.allocate();
      slab.hot(id).hash = hash;
      slab.hot(id).state.store(0);
      slab.cold(id).function = owner;
      queue.insert(id);
      return id;
    };
    for (std::uint64_t hash = 1; hash <= 10; ++hash) insert(hash, 0);
    const EntryId victim = queue.choose([](EntryId) { return false; });
    const std::uint64_t gone = slab.hot(victim).hash;
    queue.remove(victim);
    slab.release(victim);
    const EntryId back = insert(gone, function);
    EXPECT_EQ(slab.cold(back).queue, function == 0 ? Queue::kMain : Queue::kSmall);
  }
}

}  // namespace
}  // namespace zoocache::core
