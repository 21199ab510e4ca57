# The extension module zoocache._zoocache. Installed as the component "python"; scikit-build-core
# adds the .py files itself, a plain `cmake --install --component python` adds them too, so that its
# prefix can stand on PYTHONPATH.
if(NOT ZOOCACHE_LMDB)
  message(FATAL_ERROR "the Python extension module needs ZOOCACHE_LMDB=ON")
endif()
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
if(NOT nanobind_DIR)
  execute_process(COMMAND "${Python_EXECUTABLE}" -m nanobind --cmake_dir
    OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE nanobind_DIR)
endif()
find_package(nanobind CONFIG REQUIRED)
include(CheckIPOSupported)

file(GLOB python_sources CONFIGURE_DEPENDS src/python/*.cpp)
nanobind_add_module(_zoocache NB_STATIC NB_SUPPRESS_WARNINGS NOMINSIZE ${python_sources})
target_link_libraries(_zoocache PRIVATE zoocache::core zoocache::lmdb)
set(zoocache_own_libraries zoocache_core zoocache_codec zoocache_lmdb)
if(TARGET zoocache_redis)
  list(APPEND zoocache_own_libraries zoocache_redis)
  target_link_libraries(_zoocache PRIVATE zoocache::redis)
  target_compile_definitions(_zoocache PRIVATE ZOOCACHE_HAS_REDIS)
endif()
target_compile_definitions(_zoocache PRIVATE ZOOCACHE_VERSION="${PROJECT_VERSION}")
zoocache_own(_zoocache)
set_target_properties(${zoocache_own_libraries} _zoocache PROPERTIES
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

# The hit path crosses from the module into the core: link-time optimisation lets it be inlined.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT ZOOCACHE_SANITIZE)
  check_ipo_supported(RESULT ZOOCACHE_HAS_LTO OUTPUT unused LANGUAGES CXX)
  if(ZOOCACHE_HAS_LTO)
    # Nothing of Redis is on that path, and it is large.
    list(REMOVE_ITEM zoocache_own_libraries zoocache_redis)
    set_target_properties(${zoocache_own_libraries} _zoocache PROPERTIES
      INTERPROCEDURAL_OPTIMIZATION ON)
  endif()
endif()

install(TARGETS _zoocache LIBRARY DESTINATION zoocache COMPONENT python)
if(NOT SKBUILD)
  install(DIRECTORY python/zoocache python/pytest_zoocache DESTINATION . COMPONENT python
    FILES_MATCHING PATTERN "*.py" PATTERN "*.pyi" PATTERN "py.typed")
endif()
