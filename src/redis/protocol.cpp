#include "redis/protocol.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

#include "redis/scripts.h"

namespace zoocache::redis {
namespace {

constexpr std::size_t kMaxQuestionBytes = 32'768;  // a tag has 4,096 characters at the most

std::optional<std::uint64_t> number(const Reply& reply) {
  const auto value = reply.integer();
  if (!value || *value < 0 || static_cast<std::uint64_t>(*value) > kMaxNumber) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

// The first `count` items as numbers; false if they are none.
bool numbers(const Reply& reply, std::span<std::uint64_t> found) {
  if (reply.type != Type::kArray || reply.items.size() < found.size()) return false;
  for (std::size_t index = 0; index < found.size(); ++index) {
    const auto value = number(reply.items[index]);
    if (!value) return false;
    found[index] = *value;
  }
  return true;
}

// Takes a number and the `end` behind it off the front.
std::optional<std::uint64_t> take_number(std::string_view& text, char end) {
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto size = static_cast<std::size_t>(stop - text.data());
  if (error != std::errc() || size == text.size() || *stop != end || value > kMaxNumber) {
    return std::nullopt;
  }
  text.remove_prefix(size + 1);
  return value;
}

// Takes the name of a node and the space behind it off the front.
std::optional<std::string> take_node(std::string_view& text) {
  constexpr std::size_t kDigits = 16;
  const std::string_view node = text.substr(0, kDigits);
  if (text.size() <= kDigits || text[kDigits] != ' ' ||
      node.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return std::nullopt;
  }
  text.remove_prefix(kDigits + 1);
  return std::string(node);
}

std::string negative(std::uint64_t number) {
  return number == 0 ? "0" : "-" + std::to_string(number);
}

std::string new_nonce() {
  const std::uint64_t drawn = random_number() & kMaxNumber;
  return std::to_string(drawn == 0 ? 1 : drawn);
}

}  // namespace

std::string hex_of(std::uint64_t number) {
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(number >> shift) & 15];
  return text;
}

std::uint64_t random_number() {
  std::random_device source;
  return (std::uint64_t{source()} << 32) | source();
}

std::optional<Beat> parse_beat(const Reply& reply) {
  std::uint64_t found[3];
  if (!numbers(reply, found) || reply.items.size() != 6 || found[0] == 0) return std::nullopt;
  const auto age_ms = reply.items[3].integer();
  const auto intents = number(reply.items[4]);
  const auto needs = number(reply.items[5]);
  if (!age_ms || !intents || !needs) return std::nullopt;
  return Beat{found[0], found[1], found[2], *age_ms, *intents, *needs};
}

std::optional<Page> parse_page(const Reply& reply) {
  std::uint64_t found[5];
  if (numbers(reply, {found, 1}) && reply.items.size() == 1 && found[0] == 0) return Page();
  if (!numbers(reply, found) || found[0] == 0) return std::nullopt;
  Page page{found[0], found[1], found[2], found[3], found[4] != 0, {}};
  for (std::size_t index = 5; index < reply.items.size(); ++index) {
    if (reply.items[index].type != Type::kString) return std::nullopt;
    page.texts.push_back(reply.items[index].text);
  }
  return page;
}

std::optional<Checked> parse_checked(const Reply& reply) {
  std::uint64_t found[3];
  if (numbers(reply, {found, 1}) && reply.items.size() == 1 && found[0] == 0) return Checked();
  if (!numbers(reply, found) || found[0] == 0) return std::nullopt;
  return Checked{found[0], found[1], found[2]};
}

std::optional<Receipt> parse_receipt(const Reply& reply) {
  std::uint64_t found[3];
  if (!numbers(reply, found) || found[0] == 0 || found[1] == 0) return std::nullopt;
  return Receipt{found[0], found[1], found[2]};
}

std::optional<Nodes> parse_nodes(const Reply& reply) {
  std::uint64_t nonce[1];
  if (!numbers(reply, nonce) || reply.items.size() % 3 != 0) return std::nullopt;
  const auto age_ms = reply.items.size() < 3 ? std::nullopt : reply.items[1].integer();
  const auto needs = age_ms ? number(reply.items[2]) : std::nullopt;
  if (!needs) return std::nullopt;
  Nodes found{nonce[0], *age_ms, *needs, {}};
  for (std::size_t index = 3; index < reply.items.size(); index += 3) {
    const auto applied = number(reply.items[index + 1]);
    const auto beat = number(reply.items[index + 2]);
    if (!applied || !beat) return std::nullopt;
    found.nodes.push_back({reply.items[index].text, *applied, *beat});
  }
  return found;
}

std::optional<News> parse_news(std::string_view payload) {
  const auto nonce = take_number(payload, ' ');
  if (!nonce || *nonce == 0) return std::nullopt;
  const auto epoch = take_number(payload, ' ');
  const std::size_t line = payload.find('\n');
  if (!epoch || line == std::string_view::npos) return std::nullopt;
  News news{*nonce, *epoch, std::string(payload.substr(0, line)), {}};
  payload.remove_prefix(line + 1);
  while (!payload.empty()) {
    const auto size = take_number(payload, ':');
    if (!size || *size > payload.size()) return std::nullopt;
    news.texts.emplace_back(payload.substr(0, *size));
    payload.remove_prefix(*size);
  }
  return news;
}

std::optional<double> parse_score(const Reply& reply) {
  if (reply.is_null()) return 0;
  if (reply.type != Type::kDouble && reply.type != Type::kString) return std::nullopt;
  double value = 0;
  const char* const end = reply.text.data() + reply.text.size();
  const auto [stop, error] = std::from_chars(reply.text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  if (std::abs(value) > static_cast<double>(kMaxNumber)) return std::nullopt;
  return value;
}

std::string text_of(const Asked& asked) {
  const core::MemoryQuestion& question = asked.question;
  return "1 " + question.from + " " + std::to_string(question.number) + " " +
         std::to_string(question.most_bytes) + " " + std::to_string(asked.one_in) + "\n" +
         question.tag;
}

// A later version may ask for what this one cannot tell: it gets no answer.
std::optional<Asked> parse_question(std::string_view payload) {
  if (payload.size() > kMaxQuestionBytes || take_number(payload, ' ') != 1) return std::nullopt;
  const auto from = take_node(payload);
  const auto number = take_number(payload, ' ');
  const auto most_bytes = take_number(payload, ' ');
  const auto one_in = take_number(payload, '\n');
  if (!from || !number || !most_bytes || !one_in || *one_in == 0) return std::nullopt;
  const std::uint64_t size = std::clamp<std::uint64_t>(*most_bytes, core::kLeastInspectionBytes,
                                                       core::kMostInspectionBytes);
  if (!payload.empty() && !core::is_tag_text(payload)) return std::nullopt;
  return Asked{{*from, *number, size, std::string(payload)}, *one_in};
}

std::optional<MemoryAnswer> parse_memory_answer(std::string_view payload) {
  const auto node = take_node(payload);
  const auto number = take_number(payload, ' ');
  if (!node || !number || payload.size() > 2 * core::kMostInspectionBytes) return std::nullopt;
  return MemoryAnswer{{*node, std::string(payload)}, *number};
}

Place::Place(std::string_view prefix, int database)
    : key("{" + std::string(prefix) + "}:log"),
      channel(key + ":" + std::to_string(database)),
      node(hex_of(random_number())) {}

ScriptCall beat_call(const Place& place, core::Epoch applied, std::uint64_t beat) {
  return {{place.key}, {new_nonce(), place.node, negative(applied), negative(beat)}};
}

ScriptCall invalidate_call(const Place& place, std::span<const core::Change> changes,
                           std::size_t max_log_tags) {
  ScriptCall call{{place.key},
                  {new_nonce(), place.node, place.channel, std::to_string(max_log_tags)}};
  const std::size_t fixed = call.arguments.size();
  std::size_t bytes = 0;
  bool is_everything = changes.size() > kMaxTexts;
  for (std::size_t index = 0; index < changes.size() && !is_everything; ++index) {
    const std::string_view text = changes[index].text;
    bytes += text.size();
    // No text may pass for a member of the log's own.
    is_everything = bytes > kMaxTextBytes || (!text.empty() && text.front() == kReservedMark);
    call.arguments.emplace_back(text);
  }
  if (is_everything) {
    call.arguments.resize(fixed);
    call.arguments.emplace_back();
  }
  return call;
}

ScriptCall page_call(const Place& place, std::uint64_t nonce, core::Epoch after,
                     std::size_t most_texts) {
  return {{place.key}, {std::to_string(nonce), std::to_string(after), std::to_string(most_texts)}};
}

ScriptCall nodes_call(const Place& place, bool asks) {
  return {{place.key}, {asks ? place.channel : ""}};
}

ScriptCall leave_call(const Place& place, std::string_view node,
                      std::optional<std::uint64_t> beat) {
  return {{place.key}, {std::string(node), beat ? negative(*beat) : ""}};
}

}  // namespace zoocache::redis
