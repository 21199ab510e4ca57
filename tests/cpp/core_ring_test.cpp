// The ring beside a list that forgets nothing, and beside a writer that never stops.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "core/invalidation_ring.h"
#include "seed.h"

namespace zoocache::core {
namespace {

using Answer = InvalidationRing::Answer;
using testing::seed_note;
using testing::test_seed;

struct Record {
  Epoch epoch;
  std::uint64_t hash;
  std::uint32_t origin;
};

class RingAgainstList : public ::testing::TestWithParam<std::size_t> {};

TEST_P(RingAgainstList, SaysTheSame) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const std::size_t capacity = GetParam();
  InvalidationRing ring(capacity);
  std::vector<Record> list;
  Epoch epoch = 0;
  for (int step = 0; step < 10'000; ++step) {
    if (list.empty() || random() % 3 != 0) ++epoch;  // else one more tag of the same call
    const std::uint64_t hash = random() % (step % 2 == 0 ? 10 : 10 * capacity);
    list.push_back({epoch, hash, static_cast<std::uint32_t>(step) + 1});
    ring.append(epoch, hash, {list.back().origin, step});
    const std::size_t first = list.size() > capacity ? list.size() - capacity : 0;
    ASSERT_EQ(ring.floor(), first == 0 ? 0 : list[first - 1].epoch);

    const std::uint64_t asked = random() % (10 * capacity);
    Epoch newest = 0;
    for (std::size_t at = first; at < list.size(); ++at) {
      if (list[at].hash == asked) newest = list[at].epoch;
    }
    ASSERT_EQ(ring.newest(asked), newest);

    const Record& one = list[random() % list.size()];
    const auto* note = ring.find(one.epoch, one.hash);
    if (&one >= &list[first]) {
      ASSERT_NE(note, nullptr);  // the same tag may be named twice in one call: any of the notes
      ASSERT_EQ(list[note->origin - 1].epoch, one.epoch);
      ASSERT_EQ(list[note->origin - 1].hash, one.hash);
    } else if (one.epoch < list[first].epoch) {
      ASSERT_EQ(note, nullptr);
    }

    const Epoch since = epoch - std::min<Epoch>(epoch, random() % 300);
    const auto touches = [&](std::uint64_t at) { return at == asked; };
    bool touched = false;
    for (const Record& record : list) touched |= record.epoch > since && touches(record.hash);
    const Answer answer = ring.any_since(since, touches);
    if (answer != Answer::kUnknown) {
      ASSERT_EQ(answer == Answer::kSome, touched);
    }
    std::size_t looks = 0;  // records younger than `since`, and the one that ends the search
    for (std::size_t back = list.size(); back-- > 0 && list[back].epoch > since;) ++looks;
    if (looks < InvalidationRing::kMaxScan && looks < capacity - 1) {
      ASSERT_NE(answer, Answer::kUnknown) << looks << " records are in its reach";
    }
    if (looks > InvalidationRing::kMaxScan || looks > capacity) {
      ASSERT_NE(answer, Answer::kNone) << "it cannot have seen all " << looks;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Capacities, RingAgainstList, ::testing::Values(16, 64, 512, 4096));

// A question that is overtaken in the middle: the answer may be "unknown", never "none".
TEST(Ring, ATurnInTheMiddleOfAQuestionIsNoticed) {
  for (std::size_t known = 2; known <= 16; ++known) {
    for (std::size_t turned = 1; turned <= 40; ++turned) {
      InvalidationRing ring(16);
      Epoch epoch = 0;
      ring.append(++epoch, 77, {});
      while (epoch < known) ring.append(++epoch, 1, {});
      bool first = true;
      bool seen = false;
      const Answer answer = ring.any_since(0, [&](std::uint64_t hash) {
        seen = seen || hash == 77;
        for (std::size_t more = 0; first && more < turned; ++more) ring.append(++epoch, 2, {});
        first = false;
        return hash == 77;
      });
      EXPECT_NE(answer, Answer::kNone) << known << " records, " << turned << " more";
      EXPECT_EQ(answer == Answer::kSome, seen);
    }
  }
}

// model: bloom.pml. The writer names tag 1 now and then; whoever read the clock after that must not
// be told that nothing happened.
TEST(Ring, ReadersBesideTheWriterAreNeverToldNone) {
  for (const std::size_t capacity : {std::size_t{16}, std::size_t{512}}) {
    InvalidationRing ring(capacity);
    std::atomic<Epoch> clock{0};
    std::atomic<Epoch> newest_target{0};
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> wrong{0};
    std::atomic<std::uint64_t> told_none{0};
    std::vector<std::thread> readers;
    for (int reader = 0; reader < 2; ++reader) {
      readers.emplace_back([&, reader] {
        std::mt19937_64 random(test_seed() + static_cast<std::uint64_t>(reader));
        while (!stop.load(std::memory_order_relaxed)) {
          const Epoch now = clock.load(std::memory_order_acquire);
          const Epoch target = newest_target.load(std::memory_order_relaxed);
          const Epoch since = now - std::min<Epoch>(now, random() % 20);
          const Answer answer = ring.any_since(since, [](std::uint64_t hash) { return hash == 1; });
          if (answer != Answer::kNone) continue;
          told_none.fetch_add(1, std::memory_order_relaxed);
          if (target > since && target <= now) wrong.fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
    std::mt19937_64 random(test_seed());
    // On a busy machine the readers may come late.
    const auto is_shown = [&] { return told_none.load(std::memory_order_relaxed) > 10; };
    for (Epoch epoch = 1; epoch <= 150'000 || (epoch <= 5'000'000 && !is_shown()); ++epoch) {
      const bool target = random() % 10 == 0;
      ring.append(epoch, target ? 1 : 2 + random() % 100, {});
      if (target) newest_target.store(epoch, std::memory_order_relaxed);
      clock.store(epoch, std::memory_order_release);
      if (epoch % 64 == 0) std::this_thread::yield();
    }
    stop = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(wrong.load(), 0U) << "capacity " << capacity;
    EXPECT_GT(told_none.load(), 10U) << "nothing was shown";
  }
}

// The first records of all: the window turns over while somebody asks from the beginning.
TEST(Ring, AYoungRingThatTurnsOverIsNoticed) {
  std::atomic<std::uint64_t> wrong{0};
  for (int round = 0; round < 1000; ++round) {
    InvalidationRing ring(16);
    std::atomic<int> step{0};
    std::thread reader([&] {
      step.store(1, std::memory_order_release);
      while (step.load(std::memory_order_acquire) != 2) {
      }
      for (int question = 0; question < 4; ++question) {
        if (ring.any_since(0, [](std::uint64_t hash) { return hash == 1; }) == Answer::kNone)
          ++wrong;
      }
    });
    while (step.load(std::memory_order_acquire) != 1) {
    }
    ring.append(1, 1, {});
    step.store(2, std::memory_order_release);
    for (int spin = round % 200; spin > 0; --spin) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    for (Epoch epoch = 2; epoch <= 60; ++epoch) ring.append(epoch, 2, {});
    reader.join();
  }
  EXPECT_EQ(wrong.load(), 0U);
}

}  // namespace
}  // namespace zoocache::core
