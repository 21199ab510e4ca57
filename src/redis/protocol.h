// What goes to the log's scripts and what comes back, as values.
//
// A pushed message:   "NONCE EPOCH ORIGIN\n" and then, for each text, "LENGTH:TEXT"
// Epoch 0 asks everybody to say at once what it has applied.
// All that comes in is hostile until it was parsed: whatever does not fit is no value.
// Thread-safety: plain values; functions without shared state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/epoch.h"
#include "core/home.h"
#include "core/look.h"
#include "redis/script.h"

namespace zoocache::redis {

// Numbers that a score holds exactly; a nonce is none but 0.
inline constexpr std::uint64_t kMaxNumber = (std::uint64_t{1} << 53) - 1;
// One call with more of either is one that invalidates everything.
inline constexpr std::size_t kMaxTexts = 10'000;
inline constexpr std::size_t kMaxTextBytes = std::size_t{4} << 20;

struct Beat {
  std::uint64_t nonce = 0;
  core::Epoch clock = 0;
  core::Epoch floor = 0;
  std::int64_t age_ms = 0;  // of the generation; below 0 if the server's clock was set back
  std::uint64_t intents = 0;
  std::uint64_t needs = 0;  // the least version that may take part, see scripts.h
};

struct Page {
  std::uint64_t nonce = 0;  // 0: it is another generation, and the rest means nothing
  core::Epoch clock = 0;
  core::Epoch floor = 0;
  core::Epoch upto = 0;  // where the next page begins
  bool is_last = false;
  std::vector<std::string> texts;
};

struct Checked {
  std::uint64_t nonce = 0;  // 0: it is another generation, and the rest means nothing
  core::Epoch floor = 0;
  core::Epoch newest = 0;
};

struct Receipt {
  std::uint64_t nonce = 0;
  core::Epoch epoch = 0;
  std::uint64_t needs = 0;
};

struct News {
  std::uint64_t nonce = 0;
  core::Epoch epoch = 0;
  std::string origin;
  std::vector<std::string> texts;
};

struct NodeRecord {
  std::string name;
  core::Epoch applied = 0;
  std::uint64_t beat = 0;
};

struct Nodes {
  std::uint64_t nonce = 0;
  std::int64_t age_ms = 0;
  std::uint64_t needs = 0;
  std::vector<NodeRecord> nodes;
};

// What a tool asks, and of which share of the processes; see inspector.h.
struct Asked {
  core::MemoryQuestion question;
  std::uint64_t one_in = 1;
};

struct MemoryAnswer {
  core::ProcessTold told;
  std::uint64_t number = 0;
};

std::optional<Beat> parse_beat(const Reply& reply);
std::optional<Page> parse_page(const Reply& reply);
std::optional<Checked> parse_checked(const Reply& reply);
std::optional<Receipt> parse_receipt(const Reply& reply);
std::optional<Nodes> parse_nodes(const Reply& reply);
std::optional<News> parse_news(std::string_view payload);
std::optional<Asked> parse_question(std::string_view payload);
std::optional<MemoryAnswer> parse_memory_answer(std::string_view payload);
std::string text_of(const Asked& asked);

// A score: of a reply to ZMSCORE, or its absence. Nothing: it is no number of ours.
std::optional<double> parse_score(const Reply& reply);

// Where the namespace lives, and who we are there.
struct Place {
  Place(std::string_view prefix, int database);
  const std::string key;
  const std::string channel;  // channels are the same in every database of a server
  const std::string node;     // drawn at random
  std::string questions() const { return channel + ":ask"; }
  std::string answers(std::string_view from) const {
    return channel + ":told:" + std::string(from);
  }
};

ScriptCall beat_call(const Place& place, core::Epoch applied, std::uint64_t beat);
ScriptCall invalidate_call(const Place& place, std::span<const core::Change> changes,
                           std::size_t max_log_tags);
ScriptCall page_call(const Place& place, std::uint64_t nonce, core::Epoch after,
                     std::size_t most_texts);
ScriptCall nodes_call(const Place& place, bool asks);
ScriptCall leave_call(const Place& place, std::string_view node, std::optional<std::uint64_t> beat);

// 64 bits, of the system's randomness.
std::uint64_t random_number();
// 16 digits.
std::string hex_of(std::uint64_t number);

}  // namespace zoocache::redis
