// Flights: who leads, who follows, who would wait for himself. The waits are compared with a graph
// that is searched naively.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "core/flight.h"
#include "seed.h"

namespace zoocache::core {
namespace {

using testing::seed_note;
using testing::test_seed;
using Table = FlightTable<ConcurrentPolicy>;

struct KeyedFlight final : Flight {
  KeyedFlight(const void* owner, std::uint64_t key_hash, InvalidationLog& log, int its_key)
      : Flight(owner, key_hash, 0, log), key(its_key) {}
  const int key;
};

struct Woken final : Waiter {
  void wake() override { ++times; }
  std::atomic<int> times{0};
};

class Flights : public ::testing::Test {
 protected:
  // All keys have the same hash unless told otherwise.
  Table::Joined join(int key, const void* function = nullptr, std::uint64_t hash = 1) {
    return table.join(
        function, hash,
        [key](const Flight& other) {
          return static_cast<const KeyedFlight&>(other).key == key ? Match::kYes : Match::kNo;
        },
        [&]() -> FlightPtr { return std::make_shared<KeyedFlight>(function, hash, log, key); });
  }
  FlightPtr lead(int key) {
    const auto joined = join(key);
    EXPECT_TRUE(joined.leads) << key;
    return joined.flight;
  }

  InvalidationLog log{64};
  Table table;
};

TEST_F(Flights, OneLeadsAndTheOthersFollow) {
  const auto first = join(1);
  ASSERT_TRUE(first.leads);
  const auto second = join(1);
  EXPECT_FALSE(second.leads);
  EXPECT_EQ(second.flight, first.flight);
  const int other_function = 0;
  EXPECT_TRUE(join(2).leads) << "another key with the same hash";
  EXPECT_TRUE(join(1, &other_function).leads) << "another function";
  EXPECT_TRUE(join(1, nullptr, 2).leads) << "another hash";
  EXPECT_EQ(table.size(), 4U);
  table.finish(first.flight, FlightState::kDone);
  EXPECT_EQ(first.flight->state(), FlightState::kDone);
  EXPECT_EQ(table.size(), 3U);
  EXPECT_TRUE(join(1).leads) << "the flight ended";
}

TEST_F(Flights, EveryWaiterIsWokenOnce) {
  for (const FlightState outcome :
       {FlightState::kDone, FlightState::kFailed, FlightState::kAbandoned}) {
    const FlightPtr flight = lead(1);
    std::vector<std::shared_ptr<Woken>> waiters;
    for (int index = 0; index < 5; ++index) {
      waiters.push_back(std::make_shared<Woken>());
      EXPECT_EQ(table.follow(flight, {}, waiters.back()), Following::kWaiting);
    }
    table.leave(flight, {}, waiters[2].get());
    table.finish(flight, outcome);
    for (std::size_t index = 0; index < waiters.size(); ++index) {
      EXPECT_EQ(waiters[index]->times.load(), index == 2 ? 0 : 1);
    }
    EXPECT_EQ(table.follow(flight, {}, waiters[0]), Following::kEnded);
    table.leave(flight, {}, waiters[0].get());
    EXPECT_EQ(waiters[0].use_count(), 1) << "the flight keeps a waiter";
  }
}

TEST_F(Flights, AComparisonThatFailsOrRestartsIsObeyed) {
  const FlightPtr flight = lead(1);
  int asked = 0;
  const auto joined = table.join(
      nullptr, 1,
      [&](const Flight&) {
        ++asked;
        if (asked == 3) table.finish(flight, FlightState::kDone);  // foreign code ran
        return Match::kRestart;
      },
      [&]() -> FlightPtr { return std::make_shared<KeyedFlight>(nullptr, 1, log, 9); });
  EXPECT_TRUE(joined.leads);
  EXPECT_EQ(asked, 3);
  const auto failed = table.join(
      nullptr, 1, [](const Flight&) { return Match::kFail; },
      []() -> FlightPtr { return nullptr; });
  EXPECT_EQ(failed.flight, nullptr);
}

// Flights of one chain of load frames, outermost first; the innermost may wait.
struct Context {
  std::vector<FlightPtr> frames;
  FlightPtr waits_for;
  std::shared_ptr<Woken> waiter;
  std::vector<Flight*> enclosing() const {
    std::vector<Flight*> innermost_first;
    for (auto at = frames.rbegin(); at != frames.rend(); ++at) innermost_first.push_back(at->get());
    return innermost_first;
  }
};

// The oracle: whether a wait for `from` would be a wait for one of `goal`'s flights.
bool naive_reaches(const std::vector<Context>& contexts, const Flight* from, const Context& goal) {
  std::set<const Flight*> seen;
  std::function<bool(const Flight*)> walk = [&](const Flight* flight) {
    if (!seen.insert(flight).second) return false;
    for (const FlightPtr& frame : goal.frames) {
      if (frame.get() == flight) return true;
    }
    for (const Context& context : contexts) {
      for (std::size_t at = 0; at < context.frames.size(); ++at) {
        if (context.frames[at].get() != flight) continue;
        if (at + 1 < context.frames.size() && walk(context.frames[at + 1].get())) return true;
        if (context.waits_for != nullptr && walk(context.waits_for.get())) return true;
      }
    }
    return false;
  };
  return walk(from);
}

// Random loads, nested loads and waits: follow() refuses exactly what would close a circle.
TEST_F(Flights, CyclesAreFoundAsInTheNaiveGraph) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  std::vector<Context> contexts(8);
  std::map<int, FlightPtr> running;
  int cycles = 0;
  int waits = 0;
  for (int step = 0; step < 40'000; ++step) {
    Context& context = contexts[random() % contexts.size()];
    if (context.waits_for != nullptr) {
      const bool ended = context.waits_for->state() != FlightState::kRunning;
      ASSERT_EQ(context.waiter->times.load(), ended ? 1 : 0);
      if (ended || random() % 20 == 0) {  // woken, or gave up
        table.leave(context.waits_for, context.enclosing(), context.waiter.get());
        context.waits_for.reset();
      }
      continue;
    }
    if (random() % 3 == 0 && !context.frames.empty()) {  // the innermost load ends
      const FlightPtr ended = context.frames.back();
      context.frames.pop_back();
      if (!context.frames.empty()) table.leave_nested(*context.frames.back(), *ended);
      running.erase(static_cast<KeyedFlight&>(*ended).key);
      table.finish(ended, FlightState::kDone);
      continue;
    }
    const int key = static_cast<int>(random() % 14);
    const auto joined = join(key);
    ASSERT_EQ(joined.leads, !running.contains(key));
    if (joined.leads) {
      if (!context.frames.empty()) table.nest(*context.frames.back(), *joined.flight);
      context.frames.push_back(joined.flight);
      running[key] = joined.flight;
      continue;
    }
    const bool circle =
        !context.frames.empty() && naive_reaches(contexts, joined.flight.get(), context);
    context.waiter = std::make_shared<Woken>();
    const Following following = table.follow(joined.flight, context.enclosing(), context.waiter);
    ASSERT_EQ(following, circle ? Following::kCycle : Following::kWaiting);
    ++(circle ? cycles : waits);
    if (!circle) context.waits_for = joined.flight;
    ASSERT_EQ(table.size(), running.size());
  }
  EXPECT_GT(cycles, 100);
  EXPECT_GT(waits, 100);
  for (Context& context : contexts) {
    if (context.waits_for != nullptr) {
      table.leave(context.waits_for, context.enclosing(), context.waiter.get());
    }
  }
}

// Edges cross tables: a load of one cache waits for a load of another.
TEST_F(Flights, CyclesThroughTwoCachesAreFound) {
  Table other;
  const auto in_other = [&](int key) {
    return other.join(
        nullptr, 1, [](const Flight&) { return Match::kYes; },
        [&]() -> FlightPtr { return std::make_shared<KeyedFlight>(nullptr, 1, log, key); });
  };
  const FlightPtr here = lead(1);
  const FlightPtr there = in_other(2).flight;
  const auto waiter = std::make_shared<Woken>();
  Flight* under_here[] = {here.get()};
  Flight* under_there[] = {there.get()};
  EXPECT_EQ(other.follow(there, under_here, waiter), Following::kWaiting);
  EXPECT_EQ(table.follow(here, under_there, waiter), Following::kCycle);
  other.leave(there, under_here, waiter.get());
  EXPECT_EQ(table.follow(here, under_there, waiter), Following::kWaiting);
  table.leave(here, under_there, waiter.get());
}

TEST_F(Flights, EdgesOfTwoCachesAreChangedByManyThreads) {
  Table other;
  const FlightPtr outer = lead(1);
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&, index] {
      Table& mine = index % 2 == 0 ? table : other;
      const auto inner = std::make_shared<KeyedFlight>(nullptr, 2, log, 10 + index);
      const auto waiter = std::make_shared<Woken>();
      Flight* enclosing[] = {outer.get()};
      for (int round = 0; round < 5000; ++round) {
        const Following following = mine.follow(inner, enclosing, waiter);
        if (following == Following::kWaiting) mine.leave(inner, enclosing, waiter.get());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto waiter = std::make_shared<Woken>();
  Flight* none_left[] = {lead(3).get()};
  EXPECT_EQ(table.follow(outer, none_left, waiter), Following::kWaiting);
  table.leave(outer, none_left, waiter.get());
}

// Threads lead, follow, abandon and give up; at the end nobody waits and nothing runs.
TEST_F(Flights, ExactlyOneLeadsAtAnyTime) {
  std::atomic<int> leaders[3] = {};
  std::atomic<std::uint64_t> led{0};
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937_64 random(test_seed() + static_cast<std::uint64_t>(index));
      for (int round = 0; round < 10'000; ++round) {
        const int key = static_cast<int>(random() % 3);
        const auto joined = join(key);
        if (joined.leads) {
          ++led;
          EXPECT_EQ(leaders[key].fetch_add(1), 0) << "two leaders";
          if (random() % 4 == 0) std::this_thread::yield();
          leaders[key].fetch_sub(1);
          table.finish(joined.flight,
                       random() % 2 == 0 ? FlightState::kDone : FlightState::kAbandoned);
          continue;
        }
        const auto waiter = std::make_shared<Woken>();
        if (table.follow(joined.flight, {}, waiter) == Following::kEnded) continue;
        const bool patient = random() % 2 == 0;
        while (patient && waiter->times.load() == 0) std::this_thread::yield();
        table.leave(joined.flight, {}, waiter.get());
        if (patient) {
          EXPECT_NE(joined.flight->state(), FlightState::kRunning);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(table.size(), 0U);
  EXPECT_GT(led.load(), 100U);
}

}  // namespace
}  // namespace zoocache::core
