// Second levels on a server, for tests of waiting for claims. Thread-safety: plain values.
#pragma once

#include <cstdint>

#include "redis/level_client.h"

namespace zoocache::testing {

inline constexpr std::int64_t kNeverMs = 3'600'000;

inline redis::LevelOptions options_with(std::int64_t told_pause_ms) {
  redis::LevelOptions options;
  options.prefix = "p";
  options.command_timeout_ns = options.connect_timeout_ns = 10'000'000'000;
  options.ttl_ms = options.claim_ms = 60'000;
  options.told_pause_ms = told_pause_ms;
  options.max_value_bytes = 1000;
  return options;
}

}  // namespace zoocache::testing
