// The parts of the table: the slab of entries and the index over it, beside naive ones; and the
// index under a writer that never stops, with readers who must find what is always there.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/function.h"
#include "core/index.h"
#include "core/slab.h"
#include "seed.h"

namespace zoocache::core {
namespace {

using testing::seed_note;
using testing::test_seed;

TEST(Slab, NumbersAreUniqueAndRecordsAsNew) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  EntrySlab slab;
  std::map<EntryId, std::uint64_t> live;  // number -> what was written there
  std::size_t most = 0;
  for (int step = 0; step < 200'000; ++step) {
    const bool grows = step % 40'000 < 20'000;
    if (live.empty() || random() % 100 < (grows ? 80U : 20U)) {
      const EntryId id = slab.allocate();
      ASSERT_FALSE(slab.is_live(id));
      ASSERT_EQ(slab.cold(id).born, 0U);
      ASSERT_EQ(slab.cold(id).expires_ns.load(), 0);
      ASSERT_TRUE(slab.cold(id).deps.nodes().empty());
      slab.hot(id).hash = random();
      slab.cold(id).born = slab.hot(id).hash;
      slab.cold(id).expires_ns = 5;
      slab.cold(id).queue = Queue::kSmall;
      ASSERT_TRUE(live.emplace(id, slab.hot(id).hash).second) << "handed out twice";
    } else {
      const auto which =
          live.lower_bound(static_cast<EntryId>(random() % (live.rbegin()->first + 1)));
      ASSERT_EQ(slab.hot(which->first).hash, which->second) << "somebody else's record";
      ASSERT_EQ(slab.cold(which->first).born, which->second);
      ASSERT_TRUE(slab.has_chunk(which->first) && slab.is_live(which->first));
      slab.release(which->first);
      live.erase(which);
    }
    ASSERT_EQ(slab.live(), live.size());
    most = std::max(most, live.size());
  }
  EXPECT_LE(slab.bound(), (most / EntrySlab::kChunkSize + 2) * EntrySlab::kChunkSize);
}

TEST(Slab, EmptyChunksAreGivenBack) {
  EntrySlab slab;
  constexpr std::size_t kChunks = 20;
  std::vector<EntryId> ids;
  for (std::size_t entry = 0; entry < kChunks * EntrySlab::kChunkSize; ++entry) {
    ids.push_back(slab.allocate());
  }
  const auto chunks = [&] {
    std::size_t count = 0;
    for (std::size_t chunk = 0; chunk < kChunks; ++chunk) {
      count += slab.has_chunk(static_cast<EntryId>(chunk * EntrySlab::kChunkSize)) ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(chunks(), kChunks);
  for (const EntryId id : ids) slab.release(id);
  EXPECT_EQ(chunks(), 1U) << "all but one spare chunk";
  EXPECT_LT(slab.allocate(), slab.bound());
  for (int entry = 0; entry < 10; ++entry) {
    EXPECT_LT(slab.allocate(), EntrySlab::kChunkSize * kChunks) << "the lowest are used again";
  }
}

TEST(Slab, RecordsStayWhenFullArenasMoveToHugePages) {
  EntrySlab slab;
  constexpr std::size_t kChunks = 35;
  constexpr EntryId kMany = kChunks * EntrySlab::kChunkSize;
  for (EntryId count = 0; count < kMany; ++count) {
    const EntryId id = slab.allocate();
    slab.hot(id).hash = id + std::uint64_t{1};
    slab.cold(id).born = id + std::uint64_t{2};
    slab.cold(id).queue = Queue::kMain;
  }
  const auto gone = [](EntryId id) { return id / EntrySlab::kChunkSize % 3 == 1; };
  for (EntryId id = 0; id < kMany; ++id) {
    if (gone(id)) slab.release(id);
  }
  for (EntryId id = 0; id < kMany; ++id) {
    if (gone(id)) continue;
    ASSERT_EQ(slab.hot(id).hash, id + std::uint64_t{1});
    ASSERT_EQ(slab.cold(id).born, id + std::uint64_t{2});
  }
  while (slab.live() < kMany) {
    const EntryId id = slab.allocate();
    ASSERT_TRUE(gone(id)) << "handed out twice";
    ASSERT_EQ(slab.hot(id).state.load(), 0U);
    ASSERT_EQ(slab.cold(id).born, 0U);
    ASSERT_EQ(slab.cold(id).newer, kNoEntry);
  }
  EXPECT_EQ(slab.bound(), std::size_t{kMany});
}

TEST(ShardedCounter, CountsForMoreThreadsThanHaveACountOfTheirOwn) {
  ShardedCounter counter;
  constexpr int kThreads = 40;
  constexpr int kEach = 5000;
  for (int round = 1; round <= 2; ++round) {  // the second one takes over the records of the first
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&] {
        counter.add();
        ++ready;
        while (ready < kThreads) std::this_thread::yield();
        for (int step = 1; step < kEach; ++step) counter.add();
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(counter.sum(), std::uint64_t{kEach} * kThreads * static_cast<unsigned>(round));
  }
}

// Hashes with few different upper halves (they choose the slot and mark it) and lower ones.
std::uint64_t colliding_hash(std::mt19937_64& random) {
  return (random() % 3 << 32) | (random() % 2 << 63) | (random() % 6);
}

template <class AnyIndex>
void finds_exactly_what_is_there() {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (const bool colliding : {true, false}) {
    AnyIndex index;
    std::unordered_map<EntryId, std::uint64_t> naive;
    EntryId next = 0;
    const std::uint64_t most = colliding ? 60 : 3000;
    for (int step = 0; step < 60'000; ++step) {
      const bool grows = step % 20'000 < 10'000;
      if (naive.empty() || (naive.size() < most && random() % 100 < (grows ? 70U : 30U))) {
        const std::uint64_t hash = colliding ? colliding_hash(random) : random();
        AnyIndex::destroy(index.reserve());
        naive[next] = hash;
        index.insert(hash, next++);
      } else {
        auto which = naive.begin();
        std::advance(
            which, static_cast<std::ptrdiff_t>(random() % std::min<std::size_t>(naive.size(), 50)));
        const auto [id, hash] = *which;
        AnyIndex::destroy(index.erase(hash, id));
        naive.erase(which);
      }
      ASSERT_EQ(index.live(), naive.size());
      const std::uint64_t asked =
          colliding || naive.empty() ? colliding_hash(random) : naive.begin()->second;
      std::set<EntryId> seen;
      index.probe(asked, [&](EntryId id) {
        EXPECT_TRUE(seen.insert(id).second) << "met twice in one probe";
        return false;
      });
      for (const auto& [id, hash] : naive) {
        if (hash == asked) {
          ASSERT_TRUE(seen.contains(id)) << "not found";
        }
        if (step % 100 != 0 && !colliding) break;
      }
      for (const EntryId id : seen) ASSERT_TRUE(naive.contains(id)) << "a removed one";
    }
    std::set<EntryId> all;
    index.for_each([&](EntryId id) { all.insert(id); });
    EXPECT_EQ(all.size(), naive.size());
    EXPECT_LE(index.size_bytes(), 64 + 8 * 16 * (naive.size() + 8));
    AnyIndex::destroy(index.reset());
    EXPECT_EQ(index.live(), 0U);
    EXPECT_EQ(index.probe(1, [](EntryId) { return true; }), kNoEntry);
  }
}

TEST(IndexOracle, FindsExactlyWhatIsThere) { finds_exactly_what_is_there<Index>(); }
TEST(IndexOracle, FindsTheSameWithHints) { finds_exactly_what_is_there<BasicIndex<true>>(); }

TEST(Index, GivesMemoryBack) {
  Index index;
  const auto hash_of = [](EntryId id) { return id * 0x9E3779B97F4A7C15ULL; };
  constexpr EntryId kMany = 100'000;
  for (EntryId id = 0; id < kMany; ++id) {
    Index::destroy(index.reserve());
    index.insert(hash_of(id), id);
  }
  const std::size_t full = index.size_bytes();
  EXPECT_GE(full, std::size_t{kMany} * 8);
  for (EntryId id = 0; id < kMany; ++id) Index::destroy(index.erase(hash_of(id), id));
  EXPECT_LT(index.size_bytes(), full / 1000);
}

// One key stays; others come and go around it, in its own probe run, and the array is rebuilt.
TEST(Index, ReadersAlwaysFindWhatStays) {
  Index index;
  std::vector<Index::Slots*> replaced;  // readers may still be in them
  constexpr EntryId kStays = 1'000'000;
  constexpr std::uint64_t kStaysHash = ~std::uint64_t{0} - (std::uint64_t{1} << 33);
  const auto hash_of = [](EntryId id) {
    // At the end of the array, which a rebuild fills last.
    return id == kStays ? kStaysHash : ~(std::uint64_t{id} << 40) - (id % 7);
  };
  const auto keep = [&](Index::Slots* slots) {
    if (slots != nullptr) replaced.push_back(slots);
  };
  keep(index.reserve());
  index.insert(hash_of(kStays), kStays);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> missed{0};
  std::atomic<std::uint64_t> probes{0};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        const EntryId found = index.probe(kStaysHash, [](EntryId id) { return id == kStays; });
        if (found != kStays) ++missed;
        ++probes;
      }
    });
  }
  std::mt19937_64 random(test_seed());
  std::vector<EntryId> others;
  EntryId next = 0;
  for (int step = 0; step < 300'000 || probes < 1000; ++step) {
    const bool grows = step % 400 < 200;
    if (others.empty() || (others.size() < 200 && random() % 100 < (grows ? 80U : 20U))) {
      keep(index.reserve());
      index.insert(hash_of(next), next);
      others.push_back(next);
      next = (next + 1) % 1'000'000;
    } else {
      const std::size_t which = random() % others.size();
      const EntryId id = others[which];
      others[which] = others.back();
      others.pop_back();
      keep(index.erase(hash_of(id), id));
    }
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(missed.load(), 0U);
  EXPECT_GT(replaced.size(), 10U) << "no array was replaced";
  for (Index::Slots* slots : replaced) Index::destroy(slots);
}

}  // namespace
}  // namespace zoocache::core
