// Readers beside writers: what a reader found inside its guard stays what it was. Meant for
// AddressSanitizer and ThreadSanitizer too; without them a freed value is poisoned.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "core/engine.h"
#include "core/reclaim.h"
#include "seed.h"

namespace zoocache::core {
namespace {

using testing::test_seed;

struct Boxed {
  std::uint64_t key;
  std::uint64_t echo;  // ~key as long as the box lives
};
std::atomic<std::int64_t> boxes{0};

Word make_box(std::uint64_t key) {
  boxes.fetch_add(1);
  return reinterpret_cast<Word>(new Boxed{key, ~key});
}
void drop_box(Word, Word value, std::uint64_t) noexcept {
  auto* box = reinterpret_cast<Boxed*>(value);
  box->echo = box->key;
  boxes.fetch_sub(1);
  delete box;
}

TEST(Reclaimer, AnEraEndsOnlyWithItsReaders) {
  const std::uint64_t begun = Reclaimer::advance();
  std::barrier step(2);
  std::thread reader([&] {
    {
      const ReadGuard outer;
      const ReadGuard inner;  // nests
      step.arrive_and_wait();
      step.arrive_and_wait();
    }
    step.arrive_and_wait();
    step.arrive_and_wait();
  });
  step.arrive_and_wait();
  std::uint64_t era = 0;
  for (int turn = 0; turn < 10; ++turn) era = Reclaimer::advance();
  EXPECT_LE(era, begun + 1) << "an era ended that somebody reads in";
  step.arrive_and_wait();
  step.arrive_and_wait();
  EXPECT_GE(Reclaimer::advance(), era + 1) << "a reader that left still counts";
  step.arrive_and_wait();
  reader.join();
}

TEST(Reclaimer, RecordsOfEndedThreadsAreUsedAgain) {
  for (int round = 0; round < 200; ++round) {
    std::thread([] { const ReadGuard guard; }).join();
  }
  const ReaderRecord* mine = &Reclaimer::this_thread();
  std::size_t count = 0;
  for (const ReaderRecord* record = mine; record != nullptr; record = record->next) ++count;
  EXPECT_LT(count, 50U);
}

constexpr std::uint64_t kKeys = 64;

struct Seen {
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> wrong{0};
};

using TestEngine = Engine<ConcurrentPolicy>;

void read_one(TestEngine& engine, TestEngine::FunctionType& mine, std::mt19937_64& random,
              Seen& seen) {
  const std::uint64_t key = random() % kKeys;
  Removed removed(engine.log());
  const ReadGuard guard;
  const Epoch clock = engine.log().clock();
  const EntryId id = engine.find(
      mine, key, [key](const HotEntry& hot) { return hot.key == key ? Match::kYes : Match::kNo; });
  if (id == kNoEntry) return;
  HotEntry& hot = engine.slab().hot(id);
  const auto* box = reinterpret_cast<const Boxed*>(hot.value);
  const bool valid = engine.check(id, mine, clock) == Validity::kValid;
  if (random() % 16 == 0) std::this_thread::yield();
  if (box->key != key || box->echo != ~key) seen.wrong.fetch_add(1);
  for (const TagNode* node : engine.slab().cold(id).deps.nodes()) {
    if (node->segment().empty()) seen.wrong.fetch_add(1);
  }
  if (valid) {
    engine.touch(hot);
    seen.hits.fetch_add(1, std::memory_order_relaxed);
  } else {
    engine.remove(mine, id, hot.value, Removal::kInvalidated, removed);
  }
}

void store_one(TestEngine& engine, TestEngine::FunctionType& mine, std::uint64_t key,
               std::mt19937_64& random) {
  Removed removed(engine.log());
  NewEntry entry;
  entry.born = engine.log().clock();
  DepSet deps(engine.log());
  deps.add_tag("t:" + std::to_string(random() % 8));
  const std::uint64_t more = key % 3 == 0 ? 12 : 0;  // enough for a filter
  for (std::uint64_t tag = 0; tag < more; ++tag) deps.add_tag("u:" + std::to_string(tag));
  const auto standing = engine.log().bind(deps, mine.node, nullptr, entry.born, &entry.deps);
  ASSERT_EQ(standing, InvalidationLog::Standing::kCurrent);
  entry.hash = key;
  entry.key = key;
  entry.value = make_box(key);
  engine.store(
      mine, entry, [key](const HotEntry& hot) { return hot.key == key ? Match::kYes : Match::kNo; },
      removed);
}

// All kinds of removal while readers look: replaced, evicted, invalidated by tag and by key,
// cleared, expired by nobody.
TEST(Reclaimer, ReadersNeverSeeWhatWasFreed) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(testing::seed_note(seed));
  Seen seen;
  {
    TestEngine engine({.max_entries = 40});
    auto& function = engine.add_function("f", {}, &drop_box);
    auto& bounded = engine.add_function("g", {.max_entries = 10}, &drop_box);
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (int reader = 0; reader < 2; ++reader) {
      readers.emplace_back([&, reader] {
        std::mt19937_64 random(seed + static_cast<std::uint64_t>(reader));
        while (!stop.load(std::memory_order_relaxed)) {
          read_one(engine, random() % 4 == 0 ? bounded : function, random, seen);
        }
      });
    }
    std::mt19937_64 random(seed + 99);
    for (int step = 0; step < 60'000 || seen.hits < 1000; ++step) {
      const std::uint64_t key = random() % kKeys;
      auto& mine = random() % 4 == 0 ? bounded : function;
      Removed removed(engine.log());
      if (random() % 16 == 0) {
        const std::string tag = "t:" + std::to_string(random() % 8);
        engine.log().invalidate(TagPath::parse(tag, 256));
      } else if (random() % 64 == 0) {
        engine.invalidate_key(mine, key, 0, removed);
      } else if (random() % 1000 == 0) {
        engine.log().invalidate_root();
        engine.clear(removed);
      } else {
        store_one(engine, mine, key, random);
      }
    }
    stop = true;
    for (std::thread& reader : readers) reader.join();
    {
      engine.log().invalidate_root();
      Removed removed(engine.log());
      engine.clear(removed);
    }
    EXPECT_EQ(boxes.load(), 0) << "nobody reads, and not everything was given back";
  }
  EXPECT_EQ(seen.wrong.load(), 0U);
}

}  // namespace
}  // namespace zoocache::core
