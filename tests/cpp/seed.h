// The seed of a randomised test: from ZOOCACHE_SEED, else fresh; printed when a test fails.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace zoocache::testing {

inline std::uint64_t test_seed() {
  const char* text = std::getenv("ZOOCACHE_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

inline std::string seed_note(std::uint64_t seed) { return "ZOOCACHE_SEED=" + std::to_string(seed); }

}  // namespace zoocache::testing
