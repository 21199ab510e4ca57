// Many threads: one load for a cold key, a writer that invalidates, a load that uses helper
// threads.
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

// The system of record.
class Stock {
 public:
  int count(const std::string& item) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // a slow database
    const std::lock_guard lock(mutex_);
    return counts_[item];
  }
  void add(const std::string& item, int count) {
    const std::lock_guard lock(mutex_);
    counts_[item] += count;
  }

 private:
  std::mutex mutex_;  // guards counts_
  std::map<std::string, int> counts_;
};

}  // namespace

int main() {
  Stock stock;
  stock.add("lamps", 3);
  stock.add("chairs", 4);

  zoocache::Cache cache;
  std::atomic<int> loads{0};
  const auto count_of = cache.cacheable(
      "count_of",
      [&](const std::string& item) {
        ++loads;
        return stock.count(item);
      },
      zoocache::deps("stock:{0}"));
  // The parts are counted by threads of their own, which carry the load along: the total depends on
  // whatever they read.
  const auto total = cache.cacheable("total", [&] {
    const zoocache::Load load = zoocache::Load::current();
    std::atomic<int> sum{0};
    std::vector<std::thread> helpers;
    for (const char* item : {"lamps", "chairs"}) {
      helpers.emplace_back([&, item] {
        const zoocache::Load::Scope scope(load);
        sum += *count_of(item);
      });
    }
    for (std::thread& helper : helpers) helper.join();
    return sum.load();
  });

  std::vector<std::thread> readers;
  for (int reader = 0; reader < 50; ++reader) {
    readers.emplace_back([&] { total(); });
  }
  for (std::thread& reader : readers) reader.join();
  const int before = *total();
  const bool shared = loads == 2;
  std::printf("50 readers: total %d, %d loads of counts\n", before, loads.load());

  {
    // Nothing that depends on the tag is stored between the write and the end of the block.
    const auto block = cache.invalidating({"stock:lamps"});
    stock.add("lamps", 10);
  }
  const int after = *total();
  std::printf("after the write: total %d, %d loads of counts\n", after, loads.load());
  std::printf("%s\n", cache.explain(total).text().c_str());
  return shared && before == 7 && after == 17 && loads == 3 ? 0 : 1;
}
