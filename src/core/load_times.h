// How long the loads of a function took: a histogram whose bounds are those that monitoring uses.
// Thread-safety: as FunctionCounters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>

namespace zoocache::core {

// Upper bounds of all buckets but the last, which has none.
inline constexpr std::array<double, 14> kLoadBoundsS{
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

// The same as plain numbers.
struct LoadTotals {
  std::array<std::uint64_t, kLoadBoundsS.size() + 1> buckets{};
  std::uint64_t sum_ns = 0;
};

template <class Count>
class LoadTimes {
 public:
  void add(std::int64_t took_ns) noexcept {
    const double took_s = static_cast<double>(took_ns) / 1e9;
    std::size_t bucket = 0;
    while (bucket < kLoadBoundsS.size() && took_s > kLoadBoundsS[bucket]) ++bucket;
    buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_ns_.fetch_add(static_cast<std::uint64_t>(took_ns), std::memory_order_relaxed);
  }
  LoadTotals totals() const noexcept {
    LoadTotals totals;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      totals.buckets[bucket] = buckets_[bucket].load(std::memory_order_relaxed);
    }
    totals.sum_ns = sum_ns_.load(std::memory_order_relaxed);
    return totals;
  }

 private:
  std::array<Count, kLoadBoundsS.size() + 1> buckets_{};
  Count sum_ns_{};
};

// Of a clock that stands still in suspend, as a load does.
inline std::int64_t load_time_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace zoocache::core
