# One Google Benchmark program for each bench/cpp/*_bench.cpp, and the replay of traces. What they
# are measured beside is left out where it is missing.
find_package(benchmark REQUIRED)
find_package(TBB QUIET)
find_package(absl QUIET)
set(ZOOCACHE_BENCH_BOOST "" CACHE PATH
  "Folder of Boost headers with boost/unordered/concurrent_flat_map.hpp (1.83 or newer)")

function(zoocache_bench_peers target)
  if(TARGET TBB::tbb)
    target_link_libraries(${target} PRIVATE TBB::tbb)
    target_compile_definitions(${target} PRIVATE ZOOCACHE_BENCH_TBB)
  endif()
  if(TARGET absl::flat_hash_map)
    target_link_libraries(${target} PRIVATE absl::flat_hash_map)
    target_compile_definitions(${target} PRIVATE ZOOCACHE_BENCH_ABSL)
  endif()
  find_path(ZOOCACHE_BENCH_FLAT_MAP boost/unordered/concurrent_flat_map.hpp
    HINTS "${ZOOCACHE_BENCH_BOOST}")
  if(ZOOCACHE_BENCH_FLAT_MAP)
    target_include_directories(${target} SYSTEM PRIVATE "${ZOOCACHE_BENCH_FLAT_MAP}")
    target_compile_definitions(${target} PRIVATE ZOOCACHE_BENCH_BOOST)
  endif()
endfunction()

file(GLOB bench_sources CONFIGURE_DEPENDS bench/cpp/*_bench.cpp)
foreach(source IN LISTS bench_sources)
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${name} "${source}")
  zoocache_own(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
  target_link_libraries(${name} PRIVATE zoocache::core benchmark::benchmark_main)
  zoocache_bench_peers(${name})
endforeach()

add_executable(eviction_replay bench/eviction/replay.cpp)
zoocache_own(eviction_replay)
set_target_properties(eviction_replay PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
target_link_libraries(eviction_replay PRIVATE zoocache::core)
