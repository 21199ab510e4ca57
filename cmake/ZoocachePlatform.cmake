# Stops the configuration on a platform that zoocache does not support, before anything is compiled.
include(CheckCXXSourceCompiles)

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "zoocache supports Linux only; this is ${CMAKE_SYSTEM_NAME}.")
endif()
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64|aarch64|arm64)$")
  message(FATAL_ERROR "zoocache supports x86-64 and aarch64; this is ${CMAKE_SYSTEM_PROCESSOR}.")
endif()
if(NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  message(FATAL_ERROR
    "zoocache needs a 64-bit target; pointers have ${CMAKE_SIZEOF_VOID_P} bytes here.")
endif()

check_cxx_source_compiles("
#include <features.h>
#ifndef __GLIBC__
#error no glibc
#endif
int main() { return 0; }
" ZOOCACHE_HAS_GLIBC)
if(NOT ZOOCACHE_HAS_GLIBC)
  message(FATAL_ERROR "zoocache needs glibc; another C library was found.")
endif()

set(CMAKE_REQUIRED_FLAGS "-std=c++20")
check_cxx_source_compiles("
#include <coroutine>
#include <concepts>
int main() { static_assert(std::integral<int>); return 0; }
" ZOOCACHE_HAS_CXX20)
unset(CMAKE_REQUIRED_FLAGS)
if(NOT ZOOCACHE_HAS_CXX20)
  message(FATAL_ERROR
    "zoocache needs a C++20 compiler and library (g++ 12, clang 14 or newer); "
    "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} "
    "does not compile <coroutine> and <concepts>.")
endif()
