// Tests whose children of fork() start threads. ThreadSanitizer has no threads in a child of
// threads, and the allocator of AddressSanitizer may be locked there for good.
#pragma once

#include <gtest/gtest.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define NEEDS_THREADS_AFTER_FORK() GTEST_SKIP() << "sanitizers know no threads in a forked child"
#else
#define NEEDS_THREADS_AFTER_FORK() static_cast<void>(0)
#endif
