#include "core/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <new>

namespace zoocache::core::pages {
namespace {

std::size_t to_whole_pages(std::size_t bytes) noexcept {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

void ask_for_huge([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef MADV_HUGEPAGE
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

}  // namespace

void* map(std::size_t bytes, bool at_once) {
  // Room for the alignment; what is beside goes back at once.
  const std::size_t whole = to_whole_pages(bytes);
  const std::size_t room = whole + kHugeBytes;
  void* const memory = mmap(nullptr, room, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const std::size_t before = (kHugeBytes - address % kHugeBytes) % kHugeBytes;
  auto* const begin = static_cast<std::byte*>(memory) + before;
  if (before != 0) munmap(memory, before);
  munmap(begin + whole, room - before - whole);
  if (at_once) ask_for_huge(begin, bytes / kHugeBytes * kHugeBytes);
  return begin;
}

void unmap(void* memory, std::size_t bytes) noexcept { munmap(memory, to_whole_pages(bytes)); }

void discard(void* memory, std::size_t bytes) noexcept { madvise(memory, bytes, MADV_DONTNEED); }

void gather(void* memory, std::size_t bytes) noexcept {
  const std::size_t whole = bytes / kHugeBytes * kHugeBytes;
  // Where the kernel cannot do it at once, it may do so in time. Not both: what was asked for that
  // way grows back to whole huge pages after parts of it were given back.
#ifdef __linux__
  constexpr int kCollapse = 25;  // since Linux 6.1; older headers do not name it
  if (madvise(memory, whole, kCollapse) == 0 || errno != EINVAL) return;
#endif
  ask_for_huge(memory, whole);
}

}  // namespace zoocache::core::pages
