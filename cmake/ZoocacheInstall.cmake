# cmake --install: headers, library, CMake package (find_package(zoocache)) and pkg-config file.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(zoocache_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/zoocache")
install(DIRECTORY include/zoocache DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT cpp
  FILES_MATCHING PATTERN "*.h")
set(zoocache_targets zoocache_core)
set(zoocache_has_codec OFF)
set(zoocache_has_openssl OFF)
set(zoocache_crypto_flag "")
if(TARGET zoocache_codec)
  set(zoocache_has_codec ON)
  if(OPENSSL_FOUND)
    set(zoocache_has_openssl ON)
    set(zoocache_crypto_flag "-lcrypto ")
  endif()
  list(APPEND zoocache_targets zoocache_codec)
  install(FILES cmake/FindLZ4.cmake DESTINATION "${zoocache_cmake_dir}" COMPONENT cpp)
endif()
if(ZOOCACHE_LMDB)
  list(APPEND zoocache_targets zoocache_lmdb)
  install(FILES cmake/FindLMDB.cmake DESTINATION "${zoocache_cmake_dir}" COMPONENT cpp)
endif()
set(zoocache_has_redis OFF)
if(TARGET zoocache_redis)
  set(zoocache_has_redis ON)
  list(APPEND zoocache_targets zoocache_redis)
endif()
install(TARGETS ${zoocache_targets} EXPORT zoocache-targets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT cpp
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT zoocache-targets NAMESPACE zoocache:: FILE zoocacheTargets.cmake
  DESTINATION "${zoocache_cmake_dir}" COMPONENT cpp)

configure_package_config_file(cmake/zoocacheConfig.cmake.in zoocacheConfig.cmake
  INSTALL_DESTINATION "${zoocache_cmake_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(zoocacheConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/zoocacheConfig.cmake"
  "${PROJECT_BINARY_DIR}/zoocacheConfigVersion.cmake"
  DESTINATION "${zoocache_cmake_dir}" COMPONENT cpp)

# The file finds its prefix from where it lies, so that an installed tree can be moved.
file(RELATIVE_PATH zoocache_pc_to_prefix
  "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" zoocache_pc_to_prefix "${zoocache_pc_to_prefix}")
configure_file(cmake/zoocache.pc.in zoocache.pc @ONLY)
set(zoocache_pc_files "${PROJECT_BINARY_DIR}/zoocache.pc")
if(ZOOCACHE_LMDB)
  configure_file(cmake/zoocache-lmdb.pc.in zoocache-lmdb.pc @ONLY)
  list(APPEND zoocache_pc_files "${PROJECT_BINARY_DIR}/zoocache-lmdb.pc")
endif()
if(zoocache_has_redis)
  configure_file(cmake/zoocache-redis.pc.in zoocache-redis.pc @ONLY)
  list(APPEND zoocache_pc_files "${PROJECT_BINARY_DIR}/zoocache-redis.pc")
endif()
install(FILES ${zoocache_pc_files}
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT cpp)
