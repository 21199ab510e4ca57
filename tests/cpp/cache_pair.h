// Caches that stand for processes: they share a home and a storage, and nothing else.
#pragma once

#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace zoocache::testing {

// What the values of the tests' functions are made of, in all processes.
struct Source {
  std::atomic<int> version{0};
  std::atomic<int> loads{0};
  int load(int id) {
    ++loads;
    return id * 1000 + version.load();
  }
};

struct Processes {
  Options options() const { return {.home = home, .storage = storage}; }

  const HomePtr home = memory_home();
  const StoragePtr storage = memory_storage();
  Cache first{options()};
  Cache second{options()};
};

inline void wait_until(const std::function<bool()>& condition) {
  for (int spin = 0; spin < 20'000; ++spin) {
    if (condition()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  FAIL() << "waited for 20 seconds in vain";
}

// Functions of two such caches, over one source.
class Levels : public ::testing::Test {
 protected:
  auto function(Cache& cache, const std::string& name = "get",
                const CacheableOptions<int>& options = {}) {
    return cache.cacheable(
        name, [this](int id) { return source.load(id); }, deps("org:acme:user:{0}"), options);
  }

  Processes processes;
  Cache& first = processes.first;
  Cache& second = processes.second;
  Source source;
};

}  // namespace zoocache::testing
