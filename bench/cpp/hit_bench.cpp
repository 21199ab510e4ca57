// Hits: every key is there. visit and get, keys uniform and by Zipf's law, one and two threads.
//
// A benchmark's argument is the number of entries. items_per_second counts the calls of all
// threads together.
#include <benchmark/benchmark.h>

#include <map>

#include "stores.h"

namespace bench {
namespace {

constexpr std::size_t kCalls = std::size_t{1} << 16;  // keys that a thread goes round in

struct Visit {
  static constexpr const char* kName = "visit";
  template <class Store>
  static void call(Store& store, Key key) {
    store.visit(key, [](const Number& value) { benchmark::DoNotOptimize(value); });
  }
};

struct Get {
  static constexpr const char* kName = "get";
  template <class Store>
  static void call(Store& store, Key key) {
    benchmark::DoNotOptimize(store.get(key));
  }
};

// Filled by the first benchmark that needs it and kept for the repetitions, which are interleaved.
template <class Store>
Store& filled(std::size_t entries) {
  static std::mutex mutex;  // guards: stores
  static std::map<std::size_t, std::unique_ptr<Store>> stores;
  const std::lock_guard lock(mutex);
  std::unique_ptr<Store>& store = stores[entries];
  if (store == nullptr) {
    store = std::make_unique<Store>(entries);
    for (std::size_t number = 0; number < entries; ++number) store->insert(spread(number));
  }
  return *store;
}

template <class Store, class How, Choice kChoice>
void hit(benchmark::State& state) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  Store& store = filled<Store>(entries);
  const std::vector<Key> keys =
      choose_keys(kChoice, entries, kCalls, static_cast<std::uint64_t>(state.thread_index()) + 1);
  std::size_t next = 0;
  for (auto _ : state) {
    How::call(store, keys[next]);
    next = (next + 1) % kCalls;
  }
  state.SetItemsProcessed(state.iterations());
}

template <class Store, class How, Choice kChoice>
void add_one(const char* choice) {
  const std::string name =
      std::string("hit/") + How::kName + "/" + choice + "/" + std::string(Store::kName);
  auto* const made = benchmark::RegisterBenchmark(name.c_str(), &hit<Store, How, kChoice>);
  made->Arg(100'000)->UseRealTime()->Threads(1)->Threads(2);
}

template <class Store, class How>
void add() {
  add_one<Store, How, Choice::kUniform>("uniform");
  add_one<Store, How, Choice::kZipf>("zipf");
}

void add_all() {
  add<ZoocacheStore, Visit>();
  add<ZoocacheStore, Get>();
  auto* const growth = benchmark::RegisterBenchmark("growth/visit/uniform/zoocache",
                                                    &hit<ZoocacheStore, Visit, Choice::kUniform>);
  growth->RangeMultiplier(10)->Range(1'000, 1'000'000)->UseRealTime();
#ifdef ZOOCACHE_BENCH_TBB
  add<TbbStore<Held::kNumber>, Visit>();
  add<TbbStore<Held::kShared>, Get>();
#endif
#ifdef ZOOCACHE_BENCH_BOOST
  add<BoostStore<Held::kNumber>, Visit>();
  add<BoostStore<Held::kShared>, Get>();
#endif
#ifdef ZOOCACHE_BENCH_ABSL
  add<AbslStore<Held::kNumber>, Visit>();
  add<AbslStore<Held::kShared>, Get>();
#endif
}

[[maybe_unused]] const bool kAdded = (add_all(), true);

}  // namespace
}  // namespace bench
