// Values for the second level in LMDB, and a look at its file. Thread-safety: functions without
// shared state.
#pragma once

#include <lmdb.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "core/second_level.h"
#include "lmdb/level_environment.h"

namespace zoocache::testing {

inline constexpr std::size_t kMegabyte = std::size_t{1} << 20;

using core::StoredValue;

inline StoredValue value_of(std::string payload) {
  StoredValue value;
  value.generation = 7;
  value.born = 1;
  value.dependencies = {"user:1"};
  value.payload = std::move(payload);
  return value;
}

// Bytes that do not get smaller, different for each number.
inline std::string noise(std::uint64_t number, std::size_t size) {
  std::mt19937_64 random(number);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

inline std::string key_of(std::uint64_t number) { return "key " + std::to_string(number); }

inline std::string payload_of(core::SecondLevel& level, const std::string& key) {
  const std::optional<StoredValue> value = level.get(key);
  return value ? value->payload : "(none)";
}

// The entries' file as LMDB holds it.
template <class Look>
void look_at(const std::string& folder, Look&& look) {
  const auto environment = lmdb::LevelEnvironment::open(folder, std::chrono::seconds(5));
  const lmdb::LevelEnvironment::Reading reading(*environment);
  look(reading.table());
}

inline std::size_t rows_in(const std::string& folder, char mark) {
  std::size_t rows = 0;
  look_at(folder, [&](const lmdb::Table& table) {
    lmdb::Table::Cursor cursor(table);
    MDB_val key{1, &mark};
    MDB_val value;
    for (bool found = cursor.seek(&key, &value); found; found = cursor.next(&key, &value)) {
      if (static_cast<const char*>(key.mv_data)[0] != mark) break;
      ++rows;
    }
  });
  return rows;
}

inline std::size_t map_bytes_of(const std::string& folder) {
  return lmdb::LevelEnvironment::open(folder, std::chrono::seconds(5))->map_bytes();
}

}  // namespace zoocache::testing
