#include "core/second_level.h"

#include <exception>
#include <new>

#include "zoocache/errors.h"

namespace zoocache::core {

void note_trouble(const std::exception& error, std::string* trouble) noexcept {
  try {
    *trouble = error.what();
  } catch (const std::bad_alloc&) {
    trouble->clear();
  }
}

StorageCounters StorageTally::counters() const noexcept {
  return {.connects = connects.load(),
          .disconnects = disconnects.load(),
          .errors = errors.load(),
          .rejected = rejected.load(),
          .corruptions = corruptions.load()};
}

LevelPage SecondLevel::page(const std::string&, std::size_t) { return {}; }

StorageStatus SecondLevel::status() {
  StorageStatus status{.kind = kind(), .reachable = true};
  try {
    ask_whether_there();
  } catch (const HomeUnreachable& error) {
    status.reachable = false;
    status.trouble = error.what();
  }
  status.counters = tally_.counters();
  return status;
}

std::vector<std::optional<StoredValue>> SecondLevel::get_many(
    std::span<const std::string_view> keys) {
  std::vector<std::optional<StoredValue>> values;
  values.reserve(keys.size());
  for (const std::string_view key : keys) values.push_back(get(key));
  return values;
}

void SecondLevel::claim_many(std::span<Claiming> claims) {
  for (Claiming& one : claims) one.claim = claim(one.key, one.refused);
}

void SecondLevel::put_many(std::span<Putting> puts) noexcept {
  for (Putting& one : puts) {
    try {
      put(one.key, one.token, *one.value);
      one.is_stored = true;
    } catch (const std::exception& error) {
      note_trouble(error, &one.trouble);
      release(one.key, one.token, false);
    }
  }
}

void SecondLevel::release_many(std::span<const Releasing> releases) noexcept {
  for (const Releasing& one : releases) release(one.key, one.token, one.failed);
}

}  // namespace zoocache::core
