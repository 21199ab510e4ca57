// Memory straight from the operating system, for tables that grow large: it can be given back in
// parts, and it can lie in huge pages, which spares look-ups at random most of their TLB misses.
// Huge pages are a wish: without them everything works the same, slower.
// Thread-safety: everything may be called from any thread, for memory that nobody else changes.
#pragma once

#include <cstddef>

namespace zoocache::core::pages {

inline constexpr std::size_t kHugeBytes = std::size_t{1} << 21;

// Zeroed, aligned to kHugeBytes; costs nothing until it is touched. Throws bad_alloc.
// `at_once`: all of it will be used soon, so that whole huge pages may come at the first touch.
void* map(std::size_t bytes, bool at_once);
void unmap(void* memory, std::size_t bytes) noexcept;
// Gives the memory back and keeps the addresses: it reads as zeros.
void discard(void* memory, std::size_t bytes) noexcept;
// Moves memory that is in use by now to huge pages, as far as it fills such. Others may use it
// meanwhile.
void gather(void* memory, std::size_t bytes) noexcept;

}  // namespace zoocache::core::pages
