# Each examples/cpp/*.cpp is a program; a folder examples/* with its own CMakeLists.txt is added as
# it is.
find_package(SQLite3 QUIET)
find_path(ZOOCACHE_ASIO_INCLUDE asio.hpp)

file(GLOB example_sources CONFIGURE_DEPENDS examples/cpp/*.cpp)
foreach(source IN LISTS example_sources)
  get_filename_component(name "${source}" NAME_WE)
  file(READ "${source}" text)
  if(text MATCHES "#include <sqlite3.h>" AND NOT SQLite3_FOUND)
    message(STATUS "example ${name} is left out: SQLite's header was not found")
    continue()
  endif()
  if(text MATCHES "asio" AND NOT ZOOCACHE_ASIO_INCLUDE)
    message(STATUS "example ${name} is left out: Asio's header was not found")
    continue()
  endif()
  # Asio asks clang before 16 for <experimental/coroutine>, which libstdc++ does not have.
  if(text MATCHES "asio" AND CMAKE_CXX_COMPILER_ID MATCHES "Clang"
      AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 16)
    message(STATUS "example ${name} is left out: Asio has no coroutines with this compiler")
    continue()
  endif()
  add_executable(example_${name} "${source}")
  zoocache_own(example_${name})
  set_target_properties(example_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  target_link_libraries(example_${name} PRIVATE zoocache::core
    $<$<BOOL:${SQLite3_FOUND}>:SQLite::SQLite3>)
endforeach()

file(GLOB example_projects CONFIGURE_DEPENDS examples/*/CMakeLists.txt)
foreach(project_file IN LISTS example_projects)
  get_filename_component(folder "${project_file}" DIRECTORY)
  add_subdirectory("${folder}")
endforeach()
