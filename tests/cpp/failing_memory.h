// Memory that runs out when a test says so. Replaces the program's operator new: for one source
// file of a program.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>

namespace {

// Allocations of this thread that still succeed; < 0: all do.
thread_local long allocations_left = -1;
thread_local bool allocation_failed = false;

void* allocate(std::size_t size) {
  if (allocations_left == 0) {
    allocation_failed = true;
    throw std::bad_alloc();
  }
  if (allocations_left > 0) --allocations_left;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
// Not inlined: g++ 12 would take free() for the wrong partner of what it sees as operator new.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace zoocache::testing {

// Runs `operation` with the first allocation failing, then the second, and so on until it gets by
// with what it has. `prepare` makes a new case, `verify` looks at what is left.
template <class Prepare, class Operation, class Verify>
int fail_every_allocation(Prepare&& prepare, Operation&& operation, Verify&& verify) {
  for (long allowed = 0;; ++allowed) {
    auto cache = prepare();
    allocation_failed = false;
    allocations_left = allowed;
    bool threw = false;
    try {
      operation(*cache);
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    allocations_left = -1;
    SCOPED_TRACE("after " + std::to_string(allowed) + " allocations");
    verify(*cache, threw);
    if (!allocation_failed) return static_cast<int>(allowed);
    if (::testing::Test::HasFailure()) return -1;
  }
}

}  // namespace zoocache::testing
