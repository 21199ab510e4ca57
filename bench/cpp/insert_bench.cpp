// Insertion of keys that were never there, into a store that grows from nothing: for zoocache a
// call that misses, loads and stores.
//
// The argument is the number of keys; items_per_second counts them. With two threads each inserts
// half of them.
#include <benchmark/benchmark.h>

#include <atomic>
#include <thread>

#include "stores.h"

namespace bench {
namespace {

template <class Store>
void insert_part(Store& store, std::size_t from, std::size_t to) {
  for (std::size_t number = from; number < to; ++number) store.insert(spread(number));
}

// Manual time: making and dropping the store is not counted. The threads are our own, since
// Google Benchmark's would have to agree on when the store is new.
template <class Store>
void insert(benchmark::State& state) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  const auto threads = static_cast<std::size_t>(state.range(1));
  for (auto _ : state) {
    // The maps know nothing of the number of entries beforehand, as a cache does not.
    const auto store = std::make_unique<Store>(0);
    std::atomic<std::size_t> ready{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> workers;
    for (std::size_t part = 0; part < threads; ++part) {
      workers.emplace_back([&, part] {
        ++ready;
        while (!go) std::this_thread::yield();
        insert_part(*store, entries * part / threads, entries * (part + 1) / threads);
      });
    }
    while (ready < threads) std::this_thread::yield();
    const auto started = std::chrono::steady_clock::now();
    go = true;
    for (std::thread& worker : workers) worker.join();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
    state.SetIterationTime(taken.count());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

template <class Store>
void add() {
  const std::string name = std::string("insert/") + Store::kName;
  auto* const made = benchmark::RegisterBenchmark(name.c_str(), &insert<Store>);
  made->Args({100'000, 1})->Args({100'000, 2})->UseManualTime();
}

void add_all() {
  add<ZoocacheStore>();
#ifdef ZOOCACHE_BENCH_TBB
  add<TbbStore<Held::kShared>>();
#endif
#ifdef ZOOCACHE_BENCH_BOOST
  add<BoostStore<Held::kShared>>();
#endif
#ifdef ZOOCACHE_BENCH_ABSL
  add<AbslStore<Held::kShared>>();
#endif
}

[[maybe_unused]] const bool kAdded = (add_all(), true);

}  // namespace
}  // namespace bench
