#include "core/pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <new>

namespace zoocache::core::pages {
namespace {

// Since Linux 6.1; older headers do not name it.
constexpr int kCollapse = 25;

}  // namespace

void* map(std::size_t bytes, bool at_once) {
  // Room for the alignment; what is beside goes back at once.
  const std::size_t room = bytes + kHugeBytes;
  void* const memory = mmap(nullptr, room, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const std::size_t before = (kHugeBytes - address % kHugeBytes) % kHugeBytes;
  auto* const begin = static_cast<std::byte*>(memory) + before;
  if (before != 0) munmap(memory, before);
  munmap(begin + bytes, room - before - bytes);
  if (at_once) madvise(begin, bytes / kHugeBytes * kHugeBytes, MADV_HUGEPAGE);
  return begin;
}

void unmap(void* memory, std::size_t bytes) noexcept { munmap(memory, bytes); }

void discard(void* memory, std::size_t bytes) noexcept { madvise(memory, bytes, MADV_DONTNEED); }

void gather(void* memory, std::size_t bytes) noexcept {
  const std::size_t whole = bytes / kHugeBytes * kHugeBytes;
  // Where the kernel cannot do it at once, it may do so in time. Not both: what was asked for that
  // way grows back to whole huge pages after parts of it were given back.
  if (madvise(memory, whole, kCollapse) != 0 && errno == EINVAL) {
    madvise(memory, whole, MADV_HUGEPAGE);
  }
}

}  // namespace zoocache::core::pages
