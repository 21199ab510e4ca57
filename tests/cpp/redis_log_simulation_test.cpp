// Caches of several processes and the server they share, in virtual time, while everything that can
// go wrong does: the real engine, log and follower over a model of the server and of the network.
//
// Checked at every call: it returns nothing older than what its own process had declared before the
// call began, and nothing older than what anybody had been told was acknowledged a lease before.
// Checked in the end: nothing that was declared is lost, to anybody; nor is what a process
// committed in a block that it did not live to end.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache_access.h"
#include "core/home.h"
#include "core/intent.h"
#include "core/log.h"
#include "core/second_level.h"
#include "redis_sim.h"
#include "seed.h"
#include "zoocache/errors.h"

namespace zoocache::testing {
namespace {

constexpr std::int64_t kLease = kSimLeaseNs;
constexpr std::size_t kSources = 6;
constexpr std::size_t kProcesses = 4;

// Values that the processes share. Everybody may load at once: nobody waits in virtual time.
class SimLevel final : public core::SecondLevel {
 public:
  explicit SimLevel(World& world) : world_(world) {}

  std::optional<core::StoredValue> get(std::string_view key) override {
    take_time();
    const auto found = values_.find(std::string(key));
    std::optional<core::StoredValue> value;
    if (found != values_.end()) value = found->second;
    take_time();
    return value;
  }
  Claim claim(std::string_view key, const std::optional<core::SeenEntry>& refused) override {
    const auto found = values_.find(std::string(key));
    if (found != values_.end() && core::is_news(found->second, refused)) {
      return {Claim::Kind::kFound, 0, found->second};
    }
    return {Claim::Kind::kMine, ++claims_, {}};
  }
  Waited wait(std::string_view, std::uint64_t, std::chrono::nanoseconds) override {
    return Waited::kEnded;
  }
  void put(std::string_view key, std::uint64_t, const core::StoredValue& value) override {
    take_time();
    values_.insert_or_assign(std::string(key), value);
  }
  void release(std::string_view, std::uint64_t, bool) noexcept override {}
  const char* kind() const noexcept override { return "simulated"; }

 private:
  void take_time() {
    if (world_.chance(0.3)) world_.sleep(world_.between_ms(0, 20));
  }

  World& world_;
  std::map<std::string, core::StoredValue> values_;
  std::uint64_t claims_ = 0;
};

class SimStorage final : public Storage {
 public:
  explicit SimStorage(World& world) : level_(std::make_shared<SimLevel>(world)) {}
  std::shared_ptr<core::SecondLevel> connect() const override { return level_; }

 private:
  const std::shared_ptr<SimLevel> level_;
};

struct Setting {
  Faults faults = {};
  bool has_storage = false;
  std::size_t max_log_tags = 1000;
  bool has_chaos = true;
};

struct Acknowledged {
  std::int64_t at_ns;
  std::uint64_t version;
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, const Setting& setting)
      : setting_(setting), world_(seed), network_(world_, setting.faults) {
    if (setting.has_storage) storage_ = std::make_shared<SimStorage>(world_);
    for (std::size_t index = 0; index < kProcesses; ++index) {
      processes_.push_back(std::make_unique<Process>(*this));
      step_later(*processes_.back());
    }
    replicate_later();
    if (setting.has_chaos) chaos_later();
  }

  // The last processes say farewell, which takes time; nobody does anything else in it.
  ~Simulation() {
    is_gone_ = true;
    for (const auto& process : processes_) process->thaws_ns = 0;
  }
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  void run(std::int64_t span_ns) { world_.sleep(span_ns); }

  // Nothing more goes wrong, but for messages: then everybody knows everything.
  void settle() {
    is_over_ = true;
    world_.sleep(40 * kLease);
    is_gone_ = true;  // a step amid these reads would wait for them on their own thread
    for (const auto& process : processes_) {
      if (process->is_dead) continue;
      for (std::size_t source = 0; source < kSources; ++source) {
        if (*(*process->get)(source) != database_[source]) note("lost in the end", source);
      }
    }
  }

  std::string trouble;
  std::size_t reads = 0;
  std::size_t hits = 0;
  std::size_t invalidations = 0;
  std::size_t refused = 0;
  std::size_t deaths = 0;
  // What was found in the storage, and how it was found to hold.
  HomeCounters checks() const {
    HomeCounters sum;
    for (const auto& process : processes_) {
      const HomeCounters one = process->cache.home()->counters;
      sum.local_checks += one.local_checks;
      sum.server_checks += one.server_checks;
    }
    return sum;
  }

 private:
  struct Process {
    explicit Process(Simulation& simulation)
        : home(std::make_shared<SimHome>(simulation.network_, thaws_ns,
                                         simulation.setting_.max_log_tags)),
          cache(Options{.home = home, .storage = simulation.storage_}) {
      get.emplace(cache.cacheable(
          "get",
          [this, &simulation](std::size_t source) {
            ++loads;
            return simulation.load(source);
          },
          deps("s:{0}")));
    }
    std::int64_t thaws_ns = 0;
    bool is_dead = false;
    std::size_t loads = 0;
    std::array<std::uint64_t, kSources> declared{};  // by itself, acknowledged or not
    HomePtr home;
    Cache cache;
    std::optional<CachedFunction<std::uint64_t, std::size_t>> get;
  };

  void note(const std::string& what, std::size_t source) {
    if (!trouble.empty()) return;
    trouble = what + ": source " + std::to_string(source) + " at " +
              std::to_string(world_.now_ns() / kSimMs) + " ms";
  }

  // Reads, and takes its time before and after.
  std::uint64_t load(std::size_t source) {
    if (world_.chance(0.3)) world_.sleep(world_.between_ms(0, 20));
    const std::uint64_t version = database_[source];
    if (world_.chance(0.3)) world_.sleep(world_.between_ms(0, world_.chance(0.1) ? 3000 : 20));
    return version;
  }

  void step_later(Process& process) {
    const std::int64_t delay_ns = world_.between_ms(1, world_.chance(0.05) ? 3000 : 40);
    world_.after(delay_ns, [this, &process] { step(process); });
  }

  void step(Process& process) {
    if (is_gone_) return;
    if (process.thaws_ns > world_.now_ns()) {
      world_.at(process.thaws_ns, [this, &process] { step(process); });
      return;
    }
    const std::size_t source = world_.draw(kSources);
    if (!is_over_ && world_.chance(0.03)) {
      write_in_block(process, source);
    } else if (!is_over_ && world_.chance(0.1)) {
      invalidate(process, source);
    } else {
      read(process, source);
    }
    if (!process.is_dead) step_later(process);
  }

  // Begins, commits, and ends; or dies before that, and another process takes its place.
  void write_in_block(Process& process, std::size_t source) {
    core::InvalidationLog& log = detail::CacheAccess::engine(process.cache).log();
    const std::string tag = "s:" + std::to_string(source);
    const core::TagPath path = core::TagPath::trusted(tag);
    std::uint64_t token = 0;
    try {
      token = core::begin_write(log, {&path, 1});
    } catch (const HomeUnreachable&) {
      ++refused;
      return;  // nothing is committed
    }
    const std::uint64_t generation = network_.primary->model->set.nonce;
    world_.sleep(world_.between_ms(0, 50));
    if (world_.chance(0.1)) {
      core::cancel_write(log, token, {&path, 1});
      return;
    }
    const std::uint64_t version = ++database_[source];
    world_.sleep(world_.between_ms(0, 50));
    ++invalidations;
    // What another generation has not heard of yet is the one thing that may be lost.
    const bool is_covered = generation == log.home()->status().generation &&
                            generation == network_.primary->model->set.nonce;
    if (world_.chance(0.2) && is_covered && !is_over_) {
      die(process);
      return;
    }
    try {
      core::end_write(log, token, {&path, 1});
      acknowledged_[source].push_back({world_.now_ns(), version});
    } catch (const HomeUnreachable&) {
      ++refused;
    }
    process.declared[source] = std::max(process.declared[source], version);
  }

  void die(Process& process) {
    ++deaths;
    process.is_dead = true;
    process.thaws_ns = INT64_MAX / 2;
    processes_.push_back(std::make_unique<Process>(*this));
    step_later(*processes_.back());
  }

  void invalidate(Process& process, std::size_t source) {
    const std::uint64_t version = ++database_[source];
    ++invalidations;
    bool is_acknowledged = true;
    try {
      if (world_.chance(0.05)) {
        process.cache.clear();
      } else {
        process.cache.invalidate("s:" + std::to_string(source));
      }
    } catch (const HomeUnreachable&) {
      is_acknowledged = false;
      ++refused;
    }
    process.declared[source] = std::max(process.declared[source], version);
    if (is_acknowledged) acknowledged_[source].push_back({world_.now_ns(), version});
  }

  void read(Process& process, std::size_t source) {
    const std::int64_t began_ns = world_.now_ns();
    std::uint64_t least = process.declared[source];
    for (const Acknowledged& one : acknowledged_[source]) {
      if (setting_.faults.has_guard && one.at_ns + kLease <= began_ns) {
        least = std::max(least, one.version);
      }
    }
    const std::size_t before = process.loads;
    if (*(*process.get)(source) < least) {
      note(process.declared[source] == least ? "its own change unseen" : "beyond the lease",
           source);
    }
    ++reads;
    hits += process.loads == before ? 1U : 0U;
  }

  void replicate_later() {
    world_.after(world_.between_ms(1, 400), [this] {
      network_.replicate();
      replicate_later();
    });
  }

  void chaos_later() {
    world_.after(world_.between_ms(50, 3000), [this] {
      if (is_over_) return;
      break_something();
      chaos_later();
    });
  }

  void break_something() {
    Process& process = *processes_[world_.draw(processes_.size())];
    Network::Server& primary = *network_.primary;
    switch (world_.draw(13)) {
      case 0:
      case 1:
        if (!network_.wires.empty()) {
          network_.wires[world_.draw(network_.wires.size())]->disconnect();
        }
        break;
      case 9:
      case 10:
        if (!network_.wires.empty()) {
          network_.wires[world_.draw(network_.wires.size())]->lag(world_.between_ms(200, 1950),
                                                                  world_.between_ms(500, 6000));
        }
        break;
      case 11:
      case 12:
        network_.roll_back();
        break;
      case 2:
        primary.stalled_until_ns = world_.now_ns() + world_.between_ms(1, 3000);
        break;
      case 3:
        network_.crash(true);
        break;
      case 4:
        network_.crash(false);
        break;
      case 5:
        network_.isolate();
        break;
      case 6:
        primary.model->set = ModelServer::Set();  // FLUSHALL
        break;
      case 7:
        if (process.is_dead) break;
        process.thaws_ns =
            world_.now_ns() + world_.between_ms(1, world_.chance(0.2) ? 30000 : 4000);
        break;
      default:
        primary.model->forget_scripts();
        break;
    }
  }

  const Setting setting_;
  World world_;
  Network network_;
  StoragePtr storage_;
  std::array<std::uint64_t, kSources> database_{};
  std::array<std::vector<Acknowledged>, kSources> acknowledged_;
  std::vector<std::unique_ptr<Process>> processes_;
  bool is_over_ = false;
  bool is_gone_ = false;
};

HomeCounters simulate(const Setting& setting, std::size_t seeds) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  seeds = (seeds + 7) / 8;  // all of it is on one thread, and takes its time there
#endif
  HomeCounters checks;
  const std::uint64_t first = test_seed();
  std::size_t reads = 0;
  std::size_t hits = 0;
  std::size_t invalidations = 0;
  std::size_t refused = 0;
  std::size_t deaths = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    Simulation simulation(seed, setting);
    simulation.run(60'000 * kSimMs);
    simulation.settle();
    EXPECT_EQ(simulation.trouble, "") << seed_note(seed);
    if (::testing::Test::HasFailure()) break;
    checks.local_checks += simulation.checks().local_checks;
    checks.server_checks += simulation.checks().server_checks;
    reads += simulation.reads;
    hits += simulation.hits;
    invalidations += simulation.invalidations;
    refused += simulation.refused;
    deaths += simulation.deaths;
  }
  std::printf("%zu reads, %zu hits, %zu invalidations, %zu not acknowledged, %zu deaths\n", reads,
              hits, invalidations, refused, deaths);
  EXPECT_GT(deaths, 0U);
  EXPECT_GT(hits, reads / 10) << "somebody trusts";
  EXPECT_GT(invalidations, refused) << "and is acknowledged";
  return checks;
}

TEST(RedisLogSimulation, NothingGoesWrong) {
  simulate({.faults = {.lost_push = 0, .doubled_push = 0, .slow_push = 0}, .has_chaos = false}, 3);
}

TEST(RedisLogSimulation, MessagesAreLostDoubledAndLate) { simulate({.has_chaos = false}, 10); }

TEST(RedisLogSimulation, EverythingGoesWrong) { simulate({}, 40); }

TEST(RedisLogSimulation, EverythingGoesWrongAndTheLogIsShort) {
  simulate({.faults = {.lost_push = 0.5}, .max_log_tags = 3}, 20);
}

// Then the lease is no bound while a primary is isolated; but nothing is lost.
TEST(RedisLogSimulation, IsolatedPrimariesThatGoOn) {
  simulate({.faults = {.has_guard = false}}, 30);
}

// What others have loaded is checked by what is known here, mostly, and else with the server.
TEST(RedisLogSimulation, SharedValues) {
  const HomeCounters checks = simulate({.has_storage = true, .has_chaos = false}, 10);
  std::printf("%zu local checks, %zu by the server\n", std::size_t{checks.local_checks},
              std::size_t{checks.server_checks});
  EXPECT_GT(checks.local_checks, 10 * checks.server_checks);
}

TEST(RedisLogSimulation, SharedValuesWhenEverythingGoesWrong) {
  simulate({.has_storage = true}, 40);
  simulate({.faults = {.lost_push = 0.5}, .has_storage = true, .max_log_tags = 3}, 20);
}

}  // namespace
}  // namespace zoocache::testing
