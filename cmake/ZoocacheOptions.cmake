# Options, and zoocache_own(): what every target of ours is compiled with.
option(ZOOCACHE_LMDB
  "Build the LMDB home and the codec (liblmdb, LZ4, xxHash); the Python extension needs it" ON)
set(ZOOCACHE_REDIS AUTO CACHE STRING
  "Build the Redis home (LZ4, xxHash): ON, OFF, or AUTO for where Boost 1.90 and OpenSSL are there")
option(ZOOCACHE_PYTHON "Build the Python extension module" OFF)
option(ZOOCACHE_TESTS "Build the C++ tests (GoogleTest, RapidCheck)" OFF)
set(ZOOCACHE_TEST_PATTERN "." CACHE STRING "Which of them, by a regular expression of their names")
option(ZOOCACHE_PLAIN_TESTS
  "Do not optimise the programs of those tests that do little: they are mostly templates" OFF)
option(ZOOCACHE_EXAMPLES "Build the C++ examples" OFF)
option(ZOOCACHE_BENCH "Build the C++ benchmarks (Google Benchmark)" OFF)
option(ZOOCACHE_FUZZ "Build the fuzz targets (clang, libFuzzer)" OFF)
option(ZOOCACHE_WERROR "Treat warnings in zoocache's own code as errors" OFF)
option(ZOOCACHE_INSTALL "Create install rules" ${PROJECT_IS_TOP_LEVEL})
option(ZOOCACHE_UNITY "Compile the sources of a library in batches, which is quicker" OFF)
set(ZOOCACHE_SANITIZE "" CACHE STRING
  "Sanitizers, as -fsanitize takes them: address,undefined or thread")

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(ZOOCACHE_CCACHE ccache)
  if(ZOOCACHE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${ZOOCACHE_CCACHE}")
  endif()
endif()
if(ZOOCACHE_SANITIZE)
  add_compile_options(
    -fsanitize=${ZOOCACHE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ZOOCACHE_SANITIZE})
endif()

function(zoocache_own target)
  set_target_properties(${target} PROPERTIES
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  get_target_property(sources ${target} SOURCES)
  list(LENGTH sources count)
  if(ZOOCACHE_UNITY AND count GREATER 1)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
  endif()
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_compile_definitions(${target} PRIVATE ZOOCACHE_VERSION="${PROJECT_VERSION}")
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow $<$<BOOL:${ZOOCACHE_WERROR}>:-Werror>)
endfunction()
