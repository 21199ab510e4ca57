#include "core/hash.h"

#include <random>

namespace zoocache::core {

const HashSecret& hash_secret() {
  static const HashSecret secret = [] {
    std::random_device device;
    const auto draw = [&device] {
      return (static_cast<std::uint64_t>(device()) << 32) | static_cast<std::uint64_t>(device());
    };
    // Odd multiplicands keep the folded product from losing low bits.
    return HashSecret{draw(), draw() | 1, draw() | 1};
  }();
  return secret;
}

}  // namespace zoocache::core
