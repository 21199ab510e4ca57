# Boost.Redis for src/redis: sets zoocache_boost_found, and makes the target zoocache_boost_redis
# where the headers of Boost and OpenSSL are there.
#
# Headers, first that fits: -DZOOCACHE_BOOST_INCLUDE=..., what scripts/fetch_boost unpacked, the
# system's. Before 1.90 a connection does not survive an outage, and a time-out mixes up replies.
#
# Its parser is patched in a copy that comes first among the include folders: a server that sends
# `$\r\n`, `;0\r\n`, or `$?` nested too deep would end the process, and a length near 2^64 wraps
# around. Another version whose parser reads otherwise is refused until somebody has looked at it.
set(ZOOCACHE_BOOST_INCLUDE "" CACHE PATH "Folder of Boost headers, 1.90 or newer")

function(zoocache_boost_version folder result)
  set(${result} 0 PARENT_SCOPE)
  if(EXISTS "${folder}/boost/redis/connection.hpp" AND EXISTS "${folder}/boost/version.hpp")
    file(STRINGS "${folder}/boost/version.hpp" line REGEX "#define BOOST_VERSION [0-9]+")
    if(line MATCHES "BOOST_VERSION ([0-9]+)")
      set(${result} ${CMAKE_MATCH_1} PARENT_SCOPE)
    endif()
  endif()
endfunction()

function(zoocache_find_boost result)
  set(${result} "" PARENT_SCOPE)
  if(ZOOCACHE_BOOST_INCLUDE)
    set(folders "${ZOOCACHE_BOOST_INCLUDE}")
  else()
    set(folders "$ENV{ZOOCACHE_BOOST_DIR}/include" "${PROJECT_SOURCE_DIR}/build/boost/include"
      /usr/local/include /usr/include)
  endif()
  foreach(folder IN LISTS folders)
    zoocache_boost_version("${folder}" version)
    if(version GREATER_EQUAL 109000)
      set(${result} "${folder}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# Replaces `found` in the variable that `text` names.
function(zoocache_patch text found replacement)
  string(FIND "${${text}}" "${found}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR
      "${zoocache_boost}/${zoocache_parser} is not the one that zoocache knows: it lacks\n"
      "${found}\n"
      "Name the headers of Boost 1.90 with -DZOOCACHE_BOOST_INCLUDE, "
      "or leave Redis out with -DZOOCACHE_REDIS=OFF.")
  endif()
  string(REPLACE "${found}" "${replacement}" patched "${${text}}")
  set(${text} "${patched}" PARENT_SCOPE)
endfunction()

zoocache_find_boost(zoocache_boost)
find_package(OpenSSL 1.1.1 QUIET)
set(zoocache_boost_found OFF)
if(NOT zoocache_boost OR NOT OPENSSL_FOUND)
  return()
endif()
set(zoocache_boost_found ON)

set(zoocache_parser boost/redis/resp3/impl/parser.ipp)
file(READ "${zoocache_boost}/${zoocache_parser}" zoocache_parser_text)
zoocache_patch(zoocache_parser_text
"   if (res.ec != std::errc())
      ec = error::not_a_number;"
"   if (res.ec != std::errc() || i > (std::numeric_limits<std::size_t>::max)() / 4)
      ec = error::not_a_number;")
zoocache_patch(zoocache_parser_text
"      case type::streamed_string_part:
      {
"
"      case type::streamed_string_part:
      {
         if (depth_ == 0) {
            ec = error::invalid_data_type;
            return {};
         }
")
zoocache_patch(zoocache_parser_text
"         if (elem.at(0) == '?') {
"
"         if (elem.empty()) {
            ec = error::empty_field;
            return {};
         }
         if (elem.at(0) == '?') {
            if (depth_ == max_embedded_depth) {
               ec = error::exceeeds_max_nested_depth;
               return {};
            }
")
set(zoocache_boost_overlay "${PROJECT_BINARY_DIR}/boost-overlay")
file(CONFIGURE OUTPUT "${zoocache_boost_overlay}/${zoocache_parser}"
  CONTENT "${zoocache_parser_text}" @ONLY)

add_library(zoocache_boost_redis INTERFACE)
target_include_directories(zoocache_boost_redis SYSTEM INTERFACE
  "${zoocache_boost_overlay}" "${zoocache_boost}")
# Coroutines are not used, and not every compiler that zoocache supports has those of Asio.
target_compile_definitions(zoocache_boost_redis INTERFACE BOOST_ASIO_DISABLE_CO_AWAIT)
target_link_libraries(zoocache_boost_redis INTERFACE OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
# ThreadSanitizer does not know Asio's fences. What crosses threads goes through a mutex, too.
if(ZOOCACHE_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(zoocache_boost_redis INTERFACE -Wno-tsan)
endif()
