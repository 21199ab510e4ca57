// Waiting for what another thread or process does. Headers give it the patience of their own tests.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace zoocache::testing {

inline bool eventually(const std::function<bool()>& is_so, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace zoocache::testing
