// What one run achieved, and the table of all runs.
// Thread-safety: none; threads collect on their own and hand over between the timed phases.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace departures {

struct Stale {
  double at_s;
  double wrong_s;  // how long the shown value had been wrong, in seconds of the replay
  std::string fact;
};

struct Score {
  std::string name;
  std::vector<std::int64_t> latencies_ns;
  std::vector<double> wrong_s;
  std::vector<std::string> examples;
  std::uint64_t statements = 0;
  double elapsed_s = 0;

  std::size_t answers() const { return latencies_ns.size(); }
  std::size_t stale() const { return wrong_s.size(); }
};

// REQUIRES: `values` is not empty. The value that `share` of them do not exceed.
template <class T>
T percentile(std::vector<T> values, double share) {
  const auto place = std::min(values.size() - 1,
                              static_cast<std::size_t>(share * static_cast<double>(values.size())));
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(place);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  std::array<char, 160> text{};
  const int size = std::snprintf(text.data(), text.size(), pattern, args...);
  return {text.data(), static_cast<std::size_t>(size)};
}

// "48s", "4m 10s", "3h 05m"
inline std::string duration_text(double seconds) {
  const auto whole = std::llround(seconds);
  if (whole < 60) return format("%llds", whole);
  if (whole < 3600) return format("%lldm %02llds", whole / 60, whole % 60);
  return format("%lldh %02lldm", whole / 3600, whole % 3600 / 60);
}

inline std::string latency_text(std::int64_t latency_ns) {
  const double microseconds = static_cast<double>(latency_ns) / 1000;
  if (microseconds >= 1000) return format("%.2f ms", microseconds / 1000);
  return format("%.1f us", microseconds);
}

// 1234567 -> "1,234,567"
inline std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (auto at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

inline std::string label_of(const std::string& mode) {
  if (mode == "none") return "no cache";
  return mode.starts_with("ttl-") ? "TTL " + mode.substr(4) + " s" : mode;
}

// One row for each run; worst and median are how long stale answers had been wrong.
inline void print_table(const std::vector<Score>& scores) {
  const char* const row = "%-10s %9s %9s %10s %10s %15s %8s %8s\n";
  std::printf(row, "", "answers", "queries", "p50", "p99", "stale", "worst", "median");
  for (const Score& score : scores) {
    if (score.answers() == 0) continue;
    std::string stale = "0";
    std::string worst = "-";
    std::string median = "-";
    if (score.stale() != 0) {
      const double share =
          static_cast<double>(score.stale()) / static_cast<double>(score.answers());
      stale = grouped(score.stale()) + format(" %.1f%%", 100 * share);
      worst = duration_text(*std::max_element(score.wrong_s.begin(), score.wrong_s.end()));
      median = duration_text(percentile(score.wrong_s, 0.5));
    }
    std::printf(row, label_of(score.name).c_str(), grouped(score.answers()).c_str(),
                grouped(score.statements).c_str(),
                latency_text(percentile(score.latencies_ns, 0.50)).c_str(),
                latency_text(percentile(score.latencies_ns, 0.99)).c_str(), stale.c_str(),
                worst.c_str(), median.c_str());
  }
}

}  // namespace departures
