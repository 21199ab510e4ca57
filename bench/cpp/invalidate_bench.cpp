// What it costs to make everything below a parent invalid: one call of zoocache's invalidate, and
// the walk of the maps that have to erase. (tbb::concurrent_hash_map cannot be walked safely while
// others use it, and is absent.)
//
// `invalidate/first`: the entries are all alive; `invalidate/again`: the same tag, right after.
// The argument is the number of entries below the parent.
#include <benchmark/benchmark.h>

#include "stores.h"

namespace bench {
namespace {

template <class Store>
void fill(Store& store, std::size_t entries) {
  for (std::size_t number = 0; number < entries; ++number) store.insert(spread(number));
}

template <class Store>
void first(benchmark::State& state) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    const auto store = std::make_unique<Store>(entries);
    fill(*store, entries);
    const auto started = std::chrono::steady_clock::now();
    store->erase_below();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
    state.SetIterationTime(taken.count());
  }
}

void again(benchmark::State& state) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  TaggedZoocacheStore store(entries);
  fill(store, entries);
  for (auto _ : state) store.erase_below();
}

template <class Store>
void add() {
  const std::string name = std::string("invalidate/first/") + Store::kName;
  auto* const made = benchmark::RegisterBenchmark(name.c_str(), &first<Store>);
  made->RangeMultiplier(10)->Range(1'000, 1'000'000)->UseManualTime()->Iterations(1);
}

void add_all() {
  add<TaggedZoocacheStore>();
#ifdef ZOOCACHE_BENCH_BOOST
  add<BoostStore<Held::kShared>>();
#endif
#ifdef ZOOCACHE_BENCH_ABSL
  add<AbslStore<Held::kShared>>();
#endif
  auto* const made = benchmark::RegisterBenchmark("invalidate/again/zoocache", &again);
  made->RangeMultiplier(10)->Range(1'000, 1'000'000);
}

[[maybe_unused]] const bool kAdded = (add_all(), true);

}  // namespace
}  // namespace bench
