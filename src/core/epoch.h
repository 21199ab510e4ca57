// A position in the invalidation log.
#pragma once

#include <cstdint>

namespace zoocache::core {

// 0 is before everything; the first invalidation gets 1. Hot entries keep 56 bits of it, which
// lasts two thousand years at a million invalidations a second.
using Epoch = std::uint64_t;

}  // namespace zoocache::core
