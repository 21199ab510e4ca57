// What a process tells of its own memory to a tool that asks through the home. Nobody keeps it up
// to date: it is counted when it is asked for, by whoever owns the engine, away from the home's
// thread; and it has a bound in bytes.
//
//   tool --question--> home --> InvalidationLog::inspect --> MemoryTeller --thread--> LogHome::tell
//
// Told are names of functions, tags and counts; no argument, key or value.
// Thread-safety: plain values; functions without shared state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/function.h"
#include "core/log.h"
#include "core/tag.h"

namespace zoocache::core {

// More tags are not listed, and more entries not looked at: both hold others up.
inline constexpr std::size_t kMostTagsInspected = 200'000;
inline constexpr std::size_t kMostEntriesInspected = 1'000'000;

struct FunctionTold {
  std::string name;
  std::size_t entries = 0;
  FunctionTotals totals = {};
  std::uint64_t load_ns = 0;  // of all loads
};

struct MemoryTold {
  std::string language;  // of the front door
  std::size_t entries = 0;
  std::size_t bytes = 0;
  std::size_t tags_total = 0;  // where they are too many to be listed, those above them included
  FunctionTotals totals;
  std::vector<FunctionTold> functions;
  std::vector<std::pair<std::string, std::size_t>> tags;  // and the entries that depend on it
  // By function, what an invalidation of the tag that was asked for would kill. Nothing: none was
  // asked for, or there are too many entries.
  std::optional<std::vector<std::pair<std::string, std::size_t>>> dying;
};

// One line of JSON, of about `most_bytes` at the most: the functions that are called most, and the
// tags with the most entries, come first. Numbers are ints, `load_s` excepted; texts are UTF-8
// where the program's own are.
//   {"format": 1, "language", "host", "pid", "entries", "bytes", "counts": {...},
//    "functions_total", "tags_total", "dying": [[function, entries]...] or null,
//    "functions": [[name, entries, hits, misses, loads, load_errors, load_s]...],
//    "tags": [[tag, entries]...]}
std::string to_json(MemoryTold told, std::size_t most_bytes);

// `name_of`: how its front door shows a function's name. REQUIRES: as `reports` of the engine.
template <class Engine, class NameOf>
MemoryTold memory_of(Engine& engine, std::string language, const std::string& tag,
                     NameOf&& name_of) {
  MemoryTold told;
  told.language = std::move(language);
  told.entries = engine.entries();
  told.bytes = engine.bytes();
  told.totals = engine.totals();
  std::map<std::uint64_t, std::string> names;
  for (auto& report : engine.reports()) {
    std::string name = name_of(std::move(report.name));
    names.emplace(report.id, name);
    told.functions.push_back({std::move(name), report.entries, report.totals, report.loads.sum_ns});
  }
  told.tags_total = engine.log().visible_tag_count();
  if (told.tags_total <= kMostTagsInspected) {
    for (auto& row : engine.log().rows({})) {
      if (row.holders > 0) told.tags.emplace_back(std::move(row.tag), row.holders);
    }
    told.tags_total = told.tags.size();
  }
  if (!tag.empty() && told.entries <= kMostEntriesInspected) {
    told.dying.emplace();
    const TagPath path = TagPath::parse(tag, engine.options().max_tag_length);
    for (const auto& [id, entries] : engine.entries_below(path)) {
      told.dying->emplace_back(names[id], entries);
    }
  }
  return told;
}

}  // namespace zoocache::core
