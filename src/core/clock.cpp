#include "core/clock.h"

#include <random>

namespace zoocache::core {

double jittered(double ttl_s, double jitter) {
  if (!(jitter > 0)) return ttl_s;
  static thread_local std::minstd_rand random(std::random_device{}());
  return ttl_s * (1 - jitter * std::uniform_real_distribution<double>(0, 1)(random));
}

}  // namespace zoocache::core
