// The policies that the engine's eviction is compared with, against oracles that cannot be wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "../../bench/eviction/policies.h"
#include "seed.h"

namespace bench {
namespace {

template <class Policy>
std::vector<bool> hits(Policy policy, const Trace& trace) {
  std::vector<bool> found;
  for (const TraceKey key : trace) found.push_back(policy.request(key));
  return found;
}

std::size_t count(const std::vector<bool>& hits) {
  return static_cast<std::size_t>(std::count(hits.begin(), hits.end(), true));
}

Trace random_trace(std::mt19937_64& random, std::size_t requests, TraceKey keys) {
  Trace trace(requests);
  for (TraceKey& key : trace) key = random() % keys;
  return trace;
}

// A request hits iff fewer than `entries` other keys were requested since the key's last request.
std::vector<bool> lru_by_distance(std::size_t entries, const Trace& trace) {
  std::vector<bool> found;
  for (std::size_t at = 0; at < trace.size(); ++at) {
    std::unordered_set<TraceKey> between;
    std::size_t back = at;
    while (back > 0 && trace[back - 1] != trace[at]) between.insert(trace[--back]);
    found.push_back(back > 0 && between.size() < entries);
  }
  return found;
}

// The most hits that any choice of victims gives: a table of what may be in the cache.
std::size_t most_hits(std::size_t entries, const Trace& trace) {
  std::map<std::set<TraceKey>, std::size_t> best{{{}, 0}};
  for (const TraceKey key : trace) {
    std::map<std::set<TraceKey>, std::size_t> next;
    for (const auto& [held, hits] : best) {
      const auto keep = [&](const std::set<TraceKey>& now, std::size_t then) {
        next[now] = std::max(next[now], then);
      };
      std::set<TraceKey> now = held;
      const bool hit = !now.insert(key).second;
      if (hit || now.size() <= entries) {
        keep(now, hits + (hit ? 1 : 0));
        continue;
      }
      for (const TraceKey victim : held) {
        std::set<TraceKey> without = now;
        without.erase(victim);
        keep(without, hits);
      }
    }
    best = std::move(next);
  }
  std::size_t most = 0;
  for (const auto& [held, hits] : best) most = std::max(most, hits);
  return most;
}

TEST(BenchPolicies, LruHitsWhatWasUsedRecently) {
  const std::uint64_t seed = zoocache::testing::test_seed();
  SCOPED_TRACE(zoocache::testing::seed_note(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    const Trace trace = random_trace(random, 100, 12);
    const std::size_t entries = 1 + random() % 10;
    EXPECT_EQ(hits(Lru(entries), trace), lru_by_distance(entries, trace));
  }
}

TEST(BenchPolicies, NoChoiceOfVictimsHitsMoreThanOpt) {
  const std::uint64_t seed = zoocache::testing::test_seed();
  SCOPED_TRACE(zoocache::testing::seed_note(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100; ++round) {
    const Trace trace = random_trace(random, 24, 6);
    const std::size_t entries = 1 + random() % 4;
    const std::vector<std::size_t> next = Opt::next_requests(trace);
    EXPECT_EQ(count(hits(Opt(entries, next), trace)), most_hits(entries, trace));
  }
}

TEST(BenchPolicies, FifoEvictsInTheOrderOfArrivalWhateverIsHit) {
  const Trace trace{1, 2, 1, 3, 1, 2};
  EXPECT_EQ(hits(Fifo(2), trace), (std::vector<bool>{false, false, true, false, false, false}));
}

// 4 comes: the hand spares 1, which was hit, and evicts 2. It stays where it is and goes on to 3
// and 4, while a cache by age would have evicted 1.
TEST(BenchPolicies, SieveEvictsWhatTheHandFindsUnvisited) {
  const Trace trace{1, 2, 3, 1, 4, 5, 1, 6, 1, 4};
  EXPECT_EQ(hits(Sieve(3), trace),
            (std::vector<bool>{false, false, false, true, false, false, true, false, true, false}));
}

}  // namespace
}  // namespace bench
