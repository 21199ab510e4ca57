#include "core/inspection.h"

#include <unistd.h>

#include <array>
#include <charconv>

namespace zoocache::core {
namespace {

void add_text(std::string& json, std::string_view text) {
  json += '"';
  for (const char one : text) {
    const auto byte = static_cast<unsigned char>(one);
    if (one == '"' || one == '\\') {
      json += '\\';
      json += one;
    } else if (byte < 0x20) {
      json += "\\u00";
      json += "0123456789abcdef"[byte >> 4];
      json += "0123456789abcdef"[byte & 15];
    } else {
      json += one;
    }
  }
  json += '"';
}

void add_number(std::string& json, std::uint64_t number) { json += std::to_string(number); }

void add_seconds(std::string& json, std::uint64_t span_ns) {
  std::array<char, 32> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), static_cast<double>(span_ns) / 1e9);
  json.append(text.data(), error == std::errc() ? end : text.data());
}

void add_pair(std::string& json, const std::pair<std::string, std::size_t>& pair) {
  json += '[';
  add_text(json, pair.first);
  json += ',';
  add_number(json, pair.second);
  json += ']';
}

void add_function(std::string& json, const FunctionTold& one) {
  json += '[';
  add_text(json, one.name);
  for (const std::uint64_t number : {std::uint64_t{one.entries}, one.totals.hits, one.totals.misses,
                                     one.totals.loads, one.totals.load_errors}) {
    json += ',';
    add_number(json, number);
  }
  json += ',';
  add_seconds(json, one.load_ns);
  json += ']';
}

// As many of the rows as find room; each after a comma but the first.
template <class Rows, class Add>
void add_rows(std::string& json, const Rows& rows, std::size_t most_bytes, Add&& add) {
  json += '[';
  bool is_first = true;
  for (const auto& row : rows) {
    std::string text = is_first ? "" : ",";
    add(text, row);
    if (json.size() + text.size() > most_bytes) break;
    json += text;
    is_first = false;
  }
  json += ']';
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

}  // namespace

std::string to_json(MemoryTold told, std::size_t most_bytes) {
  const auto more_calls = [](const FunctionTold& left, const FunctionTold& right) {
    return left.totals.hits + left.totals.misses > right.totals.hits + right.totals.misses;
  };
  const auto more_entries = [](const auto& left, const auto& right) {
    return left.second > right.second;
  };
  std::stable_sort(told.functions.begin(), told.functions.end(), more_calls);
  std::stable_sort(told.tags.begin(), told.tags.end(), more_entries);

  std::string json = R"({"format":1,"language":)";
  add_text(json, told.language);
  json += R"(,"host":)";
  add_text(json, host_name());
  json += R"(,"pid":)";
  add_number(json, static_cast<std::uint64_t>(getpid()));
  json += R"(,"entries":)";
  add_number(json, told.entries);
  json += R"(,"bytes":)";
  add_number(json, told.bytes);
  json += R"(,"counts":{)";
  bool is_first = true;
  for_each_count(told.totals, [&](const char* name, std::uint64_t number) {
    if (!is_first) json += ',';
    add_text(json, name);
    json += ':';
    add_number(json, number);
    is_first = false;
  });
  json += R"(},"functions_total":)";
  add_number(json, told.functions.size());
  json += R"(,"tags_total":)";
  add_number(json, told.tags_total);
  // What is asked for by name has a share of its own; what remains of it goes to those behind.
  const std::size_t room = most_bytes > json.size() ? most_bytes - json.size() : 0;
  const std::size_t head = json.size();
  json += R"(,"dying":)";
  if (told.dying) {
    std::stable_sort(told.dying->begin(), told.dying->end(), more_entries);
    add_rows(json, *told.dying, head + room / 4, add_pair);
  } else {
    json += "null";
  }
  json += R"(,"functions":)";
  add_rows(json, told.functions, head + room * 5 / 8, add_function);
  json += R"(,"tags":)";
  add_rows(json, told.tags, head + room, add_pair);
  json += '}';
  return json;
}

}  // namespace zoocache::core
