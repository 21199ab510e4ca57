// The second level in LMDB between real processes that are killed at random: one claim at a time
// for each key, no wrong value, nobody hangs, and the death of an owner is noticed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/second_level.h"
#include "level_support.h"
#include "lmdb/level_environment.h"
#include "lmdb/owner.h"
#include "processes.h"
#include "seed.h"
#include "temporary_folder.h"

namespace zoocache::testing {
namespace {

using core::SeenEntry;
using Kind = core::SecondLevel::Claim::Kind;
using Waited = core::SecondLevel::Waited;
using namespace std::chrono_literals;

constexpr std::uint32_t kKeys = 8;
constexpr std::uint32_t kWorkers = 4;

// What all processes see. `inside` says which worker is between a claim and its end, with the
// number of that life of the worker: a killed one leaves it behind, and the next owner may find it
// there only if that life is over.
struct Shared {
  std::atomic<std::uint64_t> inside[kKeys];
  std::atomic<std::uint64_t> lives[kWorkers];  // the number of the one that runs; others are over
  std::atomic<std::uint64_t> steps[kWorkers];
  std::atomic<std::uint64_t> loads;
  std::atomic<std::uint64_t> hits;
  std::atomic<std::uint64_t> takeovers;
  std::atomic<std::uint64_t> two_at_once;
  std::atomic<std::uint64_t> wrong;
  std::atomic<std::uint64_t> timed_out;
  std::atomic<std::uint64_t> refused;
};

std::uint64_t mark_of(std::uint32_t worker, std::uint64_t life) { return life << 8 | (worker + 1); }

std::string payload_for(std::uint32_t key, std::uint64_t random) {
  std::string payload = "key " + std::to_string(key) + ':';
  payload.append(random % 3000, static_cast<char>('a' + key));
  return payload;
}

bool is_payload_of(std::uint32_t key, const std::string& payload) {
  const std::string head = "key " + std::to_string(key) + ':';
  return payload.starts_with(head) &&
         payload.find_first_not_of(static_cast<char>('a' + key), head.size()) == std::string::npos;
}

class Worker {
 public:
  Worker(const std::string& folder, Shared& shared, std::uint32_t number, std::uint64_t life)
      : shared_(shared),
        number_(number),
        mark_(mark_of(number, life)),
        random_(life * 31 + number),
        level_(lmdb_storage(folder, {.max_bytes = kMegabyte, .lock_timeout_s = 10})->connect()) {}

  [[noreturn]] void run() {
    for (;;) {
      step(static_cast<std::uint32_t>(random_() % kKeys));
      shared_.steps[number_].fetch_add(1);
    }
  }

 private:
  void step(std::uint32_t key) try {
    const std::string name = std::to_string(key);
    if (const auto there = level_->get(name)) {
      if (!is_payload_of(key, there->payload)) shared_.wrong.fetch_add(1);
      shared_.hits.fetch_add(1);
      if (random_() % 4 != 0) return;
      load(key, level_->claim(name, SeenEntry{there->generation, there->born}));
      return;
    }
    load(key, level_->claim(name, std::nullopt));
  } catch (const zoocache::Error& error) {
    std::fprintf(stderr, "refused: %s\n", error.what());
    shared_.refused.fetch_add(1);
  }

  void load(std::uint32_t key, const core::SecondLevel::Claim& claim) {
    const std::string name = std::to_string(key);
    if (claim.kind == Kind::kFound) {
      if (!is_payload_of(key, claim.found.payload)) shared_.wrong.fetch_add(1);
      return;
    }
    if (claim.kind == Kind::kTaken) {
      if (level_->wait(name, claim.token, 20s) == Waited::kTimedOut) shared_.timed_out.fetch_add(1);
      return;
    }
    enter(key);
    if (random_() % 3 == 0) pause_for(std::chrono::microseconds(random_() % 300));
    shared_.loads.fetch_add(1);
    shared_.inside[key].store(0);
    if (random_() % 5 == 0) {
      level_->release(name, claim.token, random_() % 2 == 0);
      return;
    }
    StoredValue value;
    value.generation = 7;
    value.born = random_();
    value.payload = payload_for(key, random_());
    level_->put(name, claim.token, value);
  }

  void enter(std::uint32_t key) {
    const std::uint64_t before = shared_.inside[key].exchange(mark_);
    if (before == 0) return;
    const std::uint32_t worker = static_cast<std::uint32_t>(before & 0xFF) - 1;
    if (shared_.lives[worker].load() == before >> 8) {
      shared_.two_at_once.fetch_add(1);
    } else {
      shared_.takeovers.fetch_add(1);
    }
  }

  Shared& shared_;
  const std::uint32_t number_;
  const std::uint64_t mark_;
  std::mt19937_64 random_;
  const std::shared_ptr<core::SecondLevel> level_;
};

// ZOOCACHE_KILL_MS: how long; the soak and the fault table ask for more.
TEST(LmdbLevelProcesses, OneClaimAtATimeWhileProcessesAreKilled) {
  const TemporaryFolder folder;
  const SharedMemory<Shared> shared;
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  Children children;
  std::array<pid_t, kWorkers> workers;
  std::uint64_t lives = seed % 1'000'000;
  const auto start = [&](std::uint32_t number) {
    const std::uint64_t life = ++lives;
    shared->lives[number].store(life);
    return children.start(
        [&, number, life]() -> int { Worker(folder.path(), *shared, number, life).run(); });
  };
  for (std::uint32_t number = 0; number < kWorkers; ++number) workers[number] = start(number);
  const auto until = std::chrono::steady_clock::now() + span_from("ZOOCACHE_KILL_MS", 8'000);
  std::uint64_t kills = 0;
  std::uint64_t standstills = 0;
  while (std::chrono::steady_clock::now() < until) {
    pause_for(std::chrono::microseconds(random() % 8000));
    const auto number = static_cast<std::uint32_t>(random() % kWorkers);
    shared->lives[number].store(0);  // before it is dead: who takes over may be quicker than this
    EXPECT_EQ(children.end(workers[number], SIGKILL), -1) << "a worker ended by itself";
    workers[number] = start(number);
    ++kills;
    // Whoever died where, each of the others goes on.
    for (std::uint32_t other = 0; other < kWorkers; ++other) {
      const std::uint64_t steps = shared->steps[other].load();
      if (!comes_true([&] { return shared->steps[other].load() != steps; }, 10s)) ++standstills;
    }
  }
  EXPECT_EQ(shared->two_at_once.load(), 0U);
  EXPECT_EQ(shared->wrong.load(), 0U);
  EXPECT_EQ(shared->timed_out.load(), 0U);
  // On a busy machine who has a lock may not run for longer than others wait.
  EXPECT_LE(shared->refused.load(), kills / 10);
  EXPECT_EQ(standstills, 0U);
  EXPECT_GT(kills, 5U);
  EXPECT_GT(shared->loads.load(), 50U);
  std::printf("%lu kills, %lu loads, %lu hits, %lu claims of the dead taken over\n", kills,
              shared->loads.load(), shared->hits.load(), shared->takeovers.load());
}

// A child that claims the key and lives on.
pid_t start_owner(Children& children, const std::string& folder,
                  std::atomic<std::uint64_t>& token) {
  return children.start([&folder, &token] {
    const auto level = lmdb_storage(folder)->connect();
    token.store(level->claim("key", std::nullopt).token);
    for (;;) pause();
    return 0;
  });
}

TEST(LmdbLevelProcesses, TheDeathOfAnOwnerIsNoticed) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path())->connect();
  for (const bool is_reaped : {true, false}) {
    const SharedMemory<std::atomic<std::uint64_t>> token;
    Children children;
    const pid_t owner = start_owner(children, folder.path(), *token);
    ASSERT_TRUE(comes_true([&] { return token->load() != 0; }));
    ASSERT_EQ(level->claim("key", std::nullopt).kind, Kind::kTaken);
    EXPECT_EQ(level->wait("key", token->load(), 100ms), Waited::kTimedOut) << "it lives";
    std::atomic<bool> ended{false};
    std::thread waiter([&] {
      EXPECT_EQ(level->wait("key", token->load(), 60s), Waited::kEnded);
      ended.store(true);
    });
    if (is_reaped) {
      children.end(owner, SIGKILL);
    } else {
      kill(owner, SIGKILL);  // a zombie: dead, and still there by its number
    }
    EXPECT_TRUE(comes_true([&] { return ended.load(); }, 10s));
    waiter.join();
    const auto mine = level->claim("key", std::nullopt);
    EXPECT_EQ(mine.kind, Kind::kMine);
    level->release("key", mine.token, false);
  }
}

TEST(LmdbLevelProcesses, AStoppedOwnerIsAlive) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path())->connect();
  const SharedMemory<std::atomic<std::uint64_t>> token;
  Children children;
  const pid_t owner = start_owner(children, folder.path(), *token);
  ASSERT_TRUE(comes_true([&] { return token->load() != 0; }));
  kill(owner, SIGSTOP);
  EXPECT_EQ(level->wait("key", token->load(), 200ms), Waited::kTimedOut);
  EXPECT_EQ(level->claim("key", std::nullopt).kind, Kind::kTaken);
}

TEST(LmdbLevelProcesses, ANumberThatWasGivenAgainIsAnotherProcess) {
  lmdb::Owner self = lmdb::this_process();
  EXPECT_NE(self.started, 0U);
  EXPECT_TRUE(lmdb::is_alive(self));
  ++self.started;
  EXPECT_FALSE(lmdb::is_alive(self));
  EXPECT_TRUE(lmdb::is_alive({self.pid, 0})) << "where the start is not known";
  EXPECT_FALSE(lmdb::is_alive({0, 0}));
  EXPECT_FALSE(lmdb::is_alive({-1, 0})) << "everybody";
  EXPECT_TRUE(lmdb::is_alive({1, 0})) << "another user's";
}

// Rows of processes that died are not looked for by anybody; they go all the same.
TEST(LmdbLevelProcesses, ClaimsOfTheDeadDoNotPileUp) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path())->connect();
  Children children;
  for (int round = 0; round < 4; ++round) {
    const pid_t child = children.start([&, round] {
      const auto own = lmdb_storage(folder.path())->connect();
      for (int index = 0; index < 50; ++index) {
        own->claim("dead " + std::to_string(round * 50 + index), std::nullopt);
      }
      return 0;
    });
    EXPECT_EQ(children.end(child), 0);
  }
  const auto mine = level->claim("mine", std::nullopt);
  for (int index = 0; index < 300; ++index) level->put("key", 0, StoredValue{});
  EXPECT_EQ(rows_in(folder.path(), 'F'), 1U) << "mine alone";
  EXPECT_EQ(level->claim("mine", std::nullopt).token, mine.token);
}

// A stopped process that holds the writers' lock: claims and stores end in time, reads go on, and
// what could not be ended is ended later.
TEST(LmdbLevelProcesses, AStoppedWriterIsATimeOut) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path(), {.lock_timeout_s = 0.05})->connect();
  const auto slow = lmdb_storage(folder.path())->connect();
  level->put("there", 0, StoredValue{});
  const auto first = level->claim("first", std::nullopt);
  const auto second = level->claim("second", std::nullopt);
  const SharedMemory<std::atomic<bool>> is_writing;
  Children children;
  const pid_t stopped = children.start([&] {
    const auto environment = lmdb::LevelEnvironment::open(folder.path(), 5s);
    lmdb::LevelEnvironment::Writing writing(*environment, 5s);
    writing.transact([&](lmdb::Table&) {
      is_writing->store(true);
      pause();
      return false;
    });
    return 0;
  });
  ASSERT_TRUE(comes_true([&] { return is_writing->load(); }));
  kill(stopped, SIGSTOP);
  EXPECT_TRUE(level->get("there")) << "who reads waits for nobody";
  try {
    level->claim("third", std::nullopt);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const HomeUnreachable& error) {
    EXPECT_NE(std::string(error.what()).find(std::to_string(stopped)), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(level->claim("first", std::nullopt).token, first.token) << "to see it is to read";
  EXPECT_THROW(level->put("first", first.token, StoredValue{}), HomeUnreachable);
  level->release("second", second.token, true);
  EXPECT_EQ(level->wait("first", first.token, 10s), Waited::kEnded) << "it is known here";
  EXPECT_EQ(level->wait("second", second.token, 10s), Waited::kFailed);
  EXPECT_EQ(slow->wait("first", first.token, 1ms), Waited::kTimedOut);
  children.end(stopped, SIGKILL);
  level->put("any", 0, StoredValue{});
  EXPECT_EQ(slow->wait("first", first.token, 10s), Waited::kEnded) << "and now to others";
  EXPECT_EQ(slow->wait("second", second.token, 10s), Waited::kFailed);
  EXPECT_EQ(slow->claim("first", std::nullopt).kind, Kind::kMine);
}

// A server that loads its program before it forks its workers: the storage is the parent's.
TEST(LmdbLevelProcesses, ChildrenGoOnWithTheirOwnEnvironment) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path())->connect();
  level->put("before", 0, StoredValue{});
  const auto parents = level->claim("parent", std::nullopt);
  std::atomic<bool> is_over{false};
  std::vector<std::thread> threads;  // forks find them at work, with whatever they hold
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kThreads = 0;  // their allocators' locks are not held across fork()
#else
  constexpr int kThreads = 2;
#endif
  for (int index = 0; index < kThreads; ++index) {
    threads.emplace_back([&, index] {
      while (!is_over.load()) {
        level->put("thread " + std::to_string(index), 0, StoredValue{});
        level->get("before");
      }
    });
  }
  Children children;
  for (int round = 0; round < 20; ++round) {
    const std::string own = "child " + std::to_string(round);
    const pid_t child = children.start([&] {
      if (!level->get("before")) return 1;
      if (level->claim("parent", std::nullopt).token != parents.token) return 2;
      const auto mine = level->claim(own, std::nullopt);
      if (mine.kind != Kind::kMine) return 3;
      level->put(own, mine.token, StoredValue{});
      return level->get(own) ? 0 : 4;
    });
    EXPECT_EQ(children.end(child), 0) << round;
    EXPECT_TRUE(level->get(own)) << round;
  }
  is_over.store(true);
  for (std::thread& one : threads) one.join();
  level->put("parent", parents.token, StoredValue{});
  EXPECT_TRUE(level->get("parent"));
}

}  // namespace
}  // namespace zoocache::testing
