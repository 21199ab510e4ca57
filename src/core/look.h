// What a tool sees of a home and of a storage from outside: rows, nodes, stored values, a page at a
// time. Nothing of it is asked on the way of a call, and no value is taken apart.
// All texts may be any bytes: whoever could write to the home could write them.
// Thread-safety: plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/epoch.h"

namespace zoocache::core {

// Of one moment, but for `tags`, which is about right.
struct HomeLook {
  std::uint64_t generation = 0;  // 0: nobody has begun a log there
  Epoch clock = 0;
  Epoch floor = 0;
  std::size_t tags = 0;       // different texts that it remembers
  std::vector<Epoch> epochs;  // of exactly the texts that were asked for; 0: it knows none
};

struct HomeRow {
  std::string text;  // as of Change
  Epoch epoch = 0;
};

// The newest first. A text that is named again meanwhile may come twice.
struct HomeRows {
  std::vector<HomeRow> rows;
  std::string next;  // where the next page begins; empty: there is none
};

// A process that uses the home; Redis: a node, LMDB: a process of this machine.
struct HomeNode {
  std::string name;
  Epoch applied = 0;       // Redis: as it said last
  std::uint64_t beat = 0;  // Redis: how often it was heard
  bool uses_log = false;
  bool uses_values = false;  // LMDB
};

// What is to be known of the place itself, by its own names: settings, sizes, versions.
using Facts = std::vector<std::pair<std::string, std::string>>;

// A stored value, as its envelope says, which is not checked for damage.
struct LevelEntry {
  std::string name;  // one for each entry
  std::uint64_t generation = 0;
  Epoch born = 0;
  std::size_t size_bytes = 0;
  std::int64_t lives_ns = 0;  // 0: no bound; below 0: its time is over
  std::string key;
  std::vector<std::string> dependencies;
};

// In no order. An entry that is written meanwhile may be missing, or come twice.
struct LevelPage {
  std::vector<LevelEntry> entries;
  std::string next;            // as of HomeRows
  std::size_t unreadable = 0;  // that are none of ours, damaged, or too large to be looked at
};

// Asks the processes that use a home what is in their memory (inspection.h).
struct Inspection {
  std::string tag = {};  // what would die with it is counted; empty: not asked for
  // Of all answers; each process has its share, within the bounds below.
  std::size_t most_bytes = 0;
  std::chrono::nanoseconds wait{};  // for answers
};

// One process's answer. Anybody who can write to the home may have made it up.
struct ProcessTold {
  std::string node;  // as of HomeNode
  std::string told;  // JSON, see to_json
};

struct Inspected {
  std::size_t asked = 0;  // processes that the question has reached
  std::vector<ProcessTold> answers;
};

// The same as it has reached a process: `from` and `number` say where the answer belongs.
struct MemoryQuestion {
  std::string from;
  std::uint64_t number = 0;
  std::size_t most_bytes = 0;
  std::string tag;
};

// Of one answer: less does not hold the counts, more holds other messages up.
inline constexpr std::size_t kLeastInspectionBytes = std::size_t{4} << 10;
inline constexpr std::size_t kMostInspectionBytes = std::size_t{64} << 10;

// What of an entry lies before its value: larger ones are not looked at.
inline constexpr std::size_t kMostLookedAtBytes = std::size_t{256} << 10;

}  // namespace zoocache::core
