// What tools see of the values in the folder (core/look.h).
#include <algorithm>
#include <cstring>
#include <utility>

#include "codec/stored_value.h"
#include "core/clock.h"
#include "lmdb/lmdb_level.h"
#include "lmdb/location.h"

namespace zoocache::lmdb {

// One snapshot for a page, whose texts are bounded: it keeps pages of the file from being reused.
core::LevelPage LmdbLevel::page(const std::string& from, std::size_t most) {
  constexpr std::size_t kMostPageBytes = std::size_t{4} << 20;
  std::optional<Digest> after;
  if (from.size() == sizeof(Digest)) {
    after.emplace();
    std::memcpy(after->data(), from.data(), from.size());
  }
  const std::shared_ptr<LevelEnvironment> environment = connect(kShortWait);
  const LevelEnvironment::Reading reading(*environment);
  Table table = reading.table();
  core::LevelPage found;
  std::size_t seen = 0;
  std::size_t seen_bytes = 0;
  const bool was_all =
      LevelRows(table).for_each(after, [&](const Digest& digest, std::string_view envelope) {
        found.next.assign(reinterpret_cast<const char*>(digest.data()), digest.size());
        const auto first = envelope.substr(0, core::kMostLookedAtBytes);
        std::int64_t expiry_ns = 0;
        std::size_t wanted_bytes = 0;
        auto entry = codec::outline_of(codec_, first, envelope.size(), &expiry_ns, &wanted_bytes);
        if (entry) {
          entry->name = found.next;
          if (expiry_ns != 0) {
            const std::int64_t left_ns = expiry_ns - core::boot_time_ns();
            entry->lives_ns = left_ns > 0 ? left_ns : -1;
          }
          seen_bytes += entry->key.size();
          for (const std::string& text : entry->dependencies) seen_bytes += text.size();
          found.entries.push_back(std::move(*entry));
        } else {
          ++found.unreadable;
        }
        return ++seen < most && seen_bytes < kMostPageBytes;
      });
  if (was_all) found.next.clear();
  return found;
}

core::Facts LmdbLevel::facts() {
  const std::shared_ptr<LevelEnvironment> environment = connect(kShortWait);
  const std::size_t map_bytes = environment->map_bytes();
  const LevelEnvironment::Reading reading(*environment);
  return {{"values_used_bytes", std::to_string(reading.table().used_bytes())},
          {"values_map_bytes", std::to_string(map_bytes)}};
}

}  // namespace zoocache::lmdb
