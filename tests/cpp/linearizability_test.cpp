// The call rule on the real engine: threads read, write and invalidate; the recorded history is
// checked (history.h). Every scenario runs for a bounded time, ZOOCACHE_LINEARIZABILITY_MS
// milliseconds (default 700), with seeds derived from ZOOCACHE_SEED.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "history.h"

namespace zoocache::testing {
namespace {

constexpr std::uint32_t kSources = 24;
constexpr std::uint32_t kGroups = 4;  // a source belongs to group source % kGroups
constexpr int kReaders = 3;
constexpr int kWriters = 2;

std::uint64_t number_from(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

std::string tag_of(std::uint32_t source) {
  return "g:" + std::to_string(source % kGroups) + ":s:" + std::to_string(source);
}

// The system of record: versions that only rise, and what loaders do to it.
struct Sources {
  std::array<std::atomic<std::uint64_t>, kSources> versions{};
  std::atomic<std::uint64_t> loads{0};
  bool slow = false;
  bool failing = false;

  std::uint64_t load(std::uint32_t source) {
    const std::uint64_t count = loads.fetch_add(1, std::memory_order_relaxed);
    if (slow && count % 4 == 0) std::this_thread::yield();
    const std::uint64_t version = versions[source].load(std::memory_order_seq_cst);
    if (slow) {
      std::this_thread::sleep_for(std::chrono::microseconds(count % 3 == 0 ? 200 : 1));
    }
    return version;
  }
};

// A loader's failure tells the version that it saw: an error may be as stale as a value.
struct Failure : std::runtime_error {
  explicit Failure(std::uint64_t seen) : std::runtime_error("failing loader"), version(seen) {}
  std::uint64_t version;
};

using Random = std::mt19937_64;
using Reader = std::function<void(Random&, Recorder&)>;
using Writer = std::function<void(Random&, Recorder&)>;

struct Scenario {
  Reader read;
  Writer write;
};

void run_scenario(const Scenario& scenario, Sources& sources) {
  const auto span = std::chrono::milliseconds(number_from("ZOOCACHE_LINEARIZABILITY_MS", 700));
  const std::uint64_t seed = number_from("ZOOCACHE_SEED", std::random_device{}());
  SCOPED_TRACE("ZOOCACHE_SEED=" + std::to_string(seed));
  std::atomic<bool> stop{false};
  std::vector<Recorder> recorders(kReaders + kWriters);
  std::vector<std::thread> threads;
  for (int index = 0; index < kReaders + kWriters; ++index) {
    threads.emplace_back([&, index] {
      Random random(seed + static_cast<std::uint64_t>(index));
      Recorder& recorder = recorders[static_cast<std::size_t>(index)];
      constexpr std::size_t kMost = 400'000;
      while (!stop.load(std::memory_order_relaxed) && recorder.reads.size() < kMost) {
        (index < kReaders ? scenario.read : scenario.write)(random, recorder);
      }
    });
  }
  std::this_thread::sleep_for(span);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const Verdict verdict = check(recorders);
  EXPECT_EQ(verdict.stale, 0U) << verdict.first;
  EXPECT_GT(verdict.reads, 100U) << "too little happened to mean anything";
  EXPECT_GT(verdict.invalidations, 20U);
  EXPECT_GT(sources.loads.load(), 0U);
}

std::uint32_t any_source(Random& random) { return static_cast<std::uint32_t>(random() % kSources); }

// Reads one source through `function` and records what came back, a failure too.
template <class Function>
void read_one(const Function& function, Random& random, Recorder& recorder) {
  const std::uint32_t source = any_source(random);
  const std::uint64_t began = tick();
  try {
    recorder.reads.push_back({began, source, *function(source)});
  } catch (const Failure& failure) {
    recorder.reads.push_back({began, source, failure.version});
  }
}

// Raises some sources' versions, invalidates, acknowledges.
void write(Sources& sources, const std::vector<std::uint32_t>& changed,
           const std::function<void()>& invalidate, Recorder& recorder) {
  std::vector<std::uint64_t> versions;
  for (const std::uint32_t source : changed) {
    versions.push_back(sources.versions[source].fetch_add(1, std::memory_order_seq_cst) + 1);
  }
  invalidate();
  const std::uint64_t returned = tick();
  for (std::size_t at = 0; at < changed.size(); ++at) {
    recorder.acknowledged.push_back({returned, changed[at], versions[at]});
  }
}

Writer flat_writer(Cache& cache, Sources& sources) {
  return [&](Random& random, Recorder& recorder) {
    const std::uint32_t source = any_source(random);
    write(
        sources, {source}, [&] { cache.invalidate(tag_of(source)); }, recorder);
    if (random() % 4 == 0) std::this_thread::yield();
  };
}

std::vector<std::uint32_t> group_of(std::uint32_t group) {
  std::vector<std::uint32_t> members;
  for (std::uint32_t source = group; source < kSources; source += kGroups)
    members.push_back(source);
  return members;
}

auto flat_function(Cache& cache, Sources& sources) {
  return cache.cacheable(
      "read", [&](std::uint32_t source) { return sources.load(source); },
      deps([](std::uint32_t source) { return tag_of(source); }));
}

auto template_function(Cache& cache, Sources& sources) {
  return cache.cacheable(
      "read",
      [&](std::uint32_t source) {
        add_deps({"g:" + std::to_string(source % kGroups) + ":s:" + std::to_string(source)});
        return sources.load(source);
      },
      deps("unrelated:{0}"));
}

TEST(Linearizability, FlatTags) {
  Cache cache;
  Sources sources;
  const auto function = template_function(cache, sources);
  run_scenario(
      {[&](Random& r, Recorder& h) { read_one(function, r, h); }, flat_writer(cache, sources)},
      sources);
}

TEST(Linearizability, SlowLoaders) {
  Cache cache;
  Sources sources;
  sources.slow = true;
  const auto function = flat_function(cache, sources);
  run_scenario(
      {[&](Random& r, Recorder& h) { read_one(function, r, h); }, flat_writer(cache, sources)},
      sources);
}

TEST(Linearizability, ParentsKillChildren) {
  Cache cache;
  Sources sources;
  const auto function = flat_function(cache, sources);
  const Writer writer = [&](Random& random, Recorder& recorder) {
    const auto group = static_cast<std::uint32_t>(random() % kGroups);
    const bool all = random() % 8 == 0;
    std::vector<std::uint32_t> changed = group_of(group);
    if (all) {
      changed.clear();
      for (std::uint32_t source = 0; source < kSources; ++source) changed.push_back(source);
    }
    write(
        sources, changed,
        [&] { cache.invalidate(all ? std::string("g") : "g:" + std::to_string(group)); }, recorder);
  };
  run_scenario({[&](Random& r, Recorder& h) { read_one(function, r, h); }, writer}, sources);
}

TEST(Linearizability, SeveralTagsAreOneInvalidation) {
  Cache cache;
  Sources sources;
  const auto function = flat_function(cache, sources);
  const Writer writer = [&](Random& random, Recorder& recorder) {
    const std::vector<std::uint32_t> changed = {any_source(random), any_source(random)};
    const std::string first = tag_of(changed[0]);
    const std::string second = tag_of(changed[1]);
    write(
        sources, changed,
        [&] {
          cache.invalidate({first, "other", second});
        },
        recorder);
  };
  run_scenario({[&](Random& r, Recorder& h) { read_one(function, r, h); }, writer}, sources);
}

// One entry depends on all sources: more than enough for the bloom filter; unrelated invalidations
// move the clock in between, at times by more records than a revalidation looks at.
void run_many_dependencies(Options options) {
  Cache cache(options);
  Sources sources;
  const auto all = cache.cacheable("all", [&](std::uint32_t which) {
    std::vector<std::uint64_t> seen;
    for (std::uint32_t source = 0; source < kSources; ++source) {
      add_deps({tag_of(source)});
      seen.push_back(sources.load(source));
    }
    seen.push_back(which);
    return seen;
  });
  const Reader reader = [&](Random& random, Recorder& recorder) {
    const auto which = static_cast<std::uint32_t>(random() % 4);
    const std::uint64_t began = tick();
    const auto seen = all(which);
    const std::uint32_t source = any_source(random);
    recorder.reads.push_back({began, source, (*seen)[source]});
  };
  const Writer writer = [&](Random& random, Recorder& recorder) {
    const std::uint32_t source = any_source(random);
    const std::uint64_t others = random() % 16 == 0 ? 400 : random() % 8;
    for (std::uint64_t other = 0; other < others; ++other) {
      cache.invalidate("noise:" + std::to_string(random() % 64));
    }
    write(
        sources, {source}, [&] { cache.invalidate(tag_of(source)); }, recorder);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 50));
  };
  run_scenario({reader, writer}, sources);
}

TEST(Linearizability, ManyDependencies) { run_many_dependencies({}); }
TEST(Linearizability, ManyDependenciesAndASmallRing) {
  run_many_dependencies({.ring_records = 64});
}

TEST(Linearizability, NestedLoads) {
  Cache cache;
  Sources sources;
  sources.slow = true;
  const auto inner = flat_function(cache, sources);
  const auto middle = cache.cacheable("middle", [&](std::uint32_t s) { return *inner(s); });
  const auto outer = cache.cacheable("outer", [&](std::uint32_t s) { return *middle(s); });
  const Reader reader = [&](Random& random, Recorder& recorder) {
    if (random() % 4 == 0) {
      read_one(inner, random, recorder);
    } else {
      read_one(outer, random, recorder);
    }
  };
  run_scenario({reader, flat_writer(cache, sources)}, sources);
}

// Keeps every error alive to the end: the last reader would free it inside libstdc++, whose count
// ThreadSanitizer does not see.
class KeptFailures {
 public:
  [[noreturn]] void fail(std::uint64_t version) {
    const std::exception_ptr error = std::make_exception_ptr(Failure(version));
    {
      const std::lock_guard lock(mutex_);
      errors_.push_back(error);
    }
    std::rethrow_exception(error);
  }

 private:
  std::mutex mutex_;
  std::vector<std::exception_ptr> errors_;
};

TEST(Linearizability, FailingLoaders) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "libstdc++ counts shared exceptions where ThreadSanitizer does not see it";
#endif
  KeptFailures kept;
  Cache cache;
  Sources sources;
  sources.slow = true;
  const auto function = cache.cacheable(
      "failing",
      [&](std::uint32_t source) {
        const std::uint64_t version = sources.load(source);
        if (version % 3 == 1) kept.fail(version);
        return version;
      },
      deps([](std::uint32_t source) { return tag_of(source); }));
  run_scenario(
      {[&](Random& r, Recorder& h) { read_one(function, r, h); }, flat_writer(cache, sources)},
      sources);
}

TEST(Linearizability, TinyCapacity) {
  Cache cache({.max_entries = 3});
  Sources sources;
  const auto function = flat_function(cache, sources);
  run_scenario(
      {[&](Random& r, Recorder& h) { read_one(function, r, h); }, flat_writer(cache, sources)},
      sources);
}

// Nodes come and go with their entries and the ring forgets quickly: what reclamation must survive.
TEST(Linearizability, TinyCapacityAndATinyRing) {
  Cache cache({.max_entries = 2, .ring_records = 16});
  Sources sources;
  sources.slow = true;
  const auto function = flat_function(cache, sources);
  const Writer writer = [&](Random& random, Recorder& recorder) {
    const std::uint32_t source = any_source(random) % 4;
    write(
        sources, {source}, [&] { cache.invalidate(tag_of(source)); }, recorder);
    for (std::uint64_t noise = random() % 24; noise > 0; --noise) cache.invalidate("noise");
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 100));
  };
  const Reader reader = [&](Random& random, Recorder& recorder) {
    const std::uint32_t source = any_source(random) % 4;
    const std::uint64_t began = tick();
    recorder.reads.push_back({began, source, *function(source)});
  };
  run_scenario({reader, writer}, sources);
}

TEST(Linearizability, ClearIsTheInvalidationOfEverything) {
  Cache cache;
  Sources sources;
  sources.slow = true;
  const auto function = cache.cacheable("bare", [&](std::uint32_t s) { return sources.load(s); });
  const auto outer = cache.cacheable("outer", [&](std::uint32_t s) { return *function(s); });
  const Writer writer = [&](Random& random, Recorder& recorder) {
    const std::uint32_t source = any_source(random);
    write(
        sources, {source}, [&] { cache.clear(); }, recorder);
  };
  run_scenario({[&](Random& r, Recorder& h) { read_one(outer, r, h); }, writer}, sources);
}

TEST(Linearizability, InvalidatingOneKeyReachesLoadsAndOuterEntries) {
  Cache cache;
  Sources sources;
  sources.slow = true;
  const auto inner = cache.cacheable("inner", [&](std::uint32_t s) { return sources.load(s); });
  const auto outer = cache.cacheable("outer", [&](std::uint32_t s) { return *inner(s); });
  const Writer writer = [&](Random& random, Recorder& recorder) {
    const std::uint32_t source = any_source(random);
    const bool whole = random() % 8 == 0;
    write(
        sources, {source}, [&] { whole ? inner.clear() : inner.invalidate(source); }, recorder);
  };
  const Reader reader = [&](Random& random, Recorder& recorder) {
    if (random() % 2 == 0) {
      read_one(inner, random, recorder);
    } else {
      read_one(outer, random, recorder);
    }
  };
  run_scenario({reader, writer}, sources);
}

TEST(Linearizability, WritesInsideInvalidatingBlocks) {
  Cache cache;
  Sources sources;
  sources.slow = true;
  const auto function = flat_function(cache, sources);
  const Writer writer = [&](Random& random, Recorder& recorder) {
    const std::uint32_t source = any_source(random);
    std::uint64_t version = 0;
    {
      const Invalidating block = cache.invalidating({tag_of(source)});
      version = sources.versions[source].fetch_add(1, std::memory_order_seq_cst) + 1;
    }
    recorder.acknowledged.push_back({tick(), source, version});
  };
  run_scenario({[&](Random& r, Recorder& h) { read_one(function, r, h); }, writer}, sources);
}

// What a hit hands out must be the value of that key, whatever is replaced and freed meanwhile.
TEST(Linearizability, AHitIsTheValueOfItsKey) {
  Cache cache({.max_entries = 16});
  Sources sources;
  struct Pair {
    std::uint32_t source;
    std::uint64_t version;
  };
  std::atomic<std::uint64_t> wrong{0};
  const auto function = cache.cacheable(
      "pair",
      [&](std::uint32_t source) {
        return Pair{source, sources.load(source)};
      },
      deps([](std::uint32_t source) { return tag_of(source); }));
  const Reader reader = [&](Random& random, Recorder& recorder) {
    const std::uint32_t source = any_source(random);
    const std::uint64_t began = tick();
    const Pair pair = function.visit(source, [](const Pair& found) { return found; });
    if (pair.source != source) ++wrong;
    recorder.reads.push_back({began, source, pair.version});
  };
  run_scenario({reader, flat_writer(cache, sources)}, sources);
  EXPECT_EQ(wrong.load(), 0U);
}

}  // namespace
}  // namespace zoocache::testing
