#include <algorithm>
#include <charconv>
#include <utility>

#include "core/tag.h"
#include "zoocache/deps.h"
#include "zoocache/detail/boundary.h"
#include "zoocache/errors.h"

namespace zoocache::detail {
namespace {

constexpr std::size_t kHashLength = 34;  // "%~" and 128 bits in hexadecimal

[[noreturn]] void refuse(std::string_view text, const std::string& rule) {
  throw InvalidOption("deps template '" + std::string(text.substr(0, 80)) + "': " + rule);
}

// Code points; what is no UTF-8 was encoded before, or is refused later.
std::size_t length_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

// The hash that encode_segment puts in the place of what is too long for it.
std::string hashed(std::string_view text) { return core::encode_segment(text, 0); }

std::string joined(const std::vector<std::string>& segments) {
  std::string tag;
  for (const std::string& segment : segments) {
    if (&segment != &segments.front()) tag += ':';
    tag += segment;
  }
  return tag;
}

bool is_below(const std::string& tag, const std::string& parent) {
  return tag == parent || tag.starts_with(parent + ":");
}

}  // namespace

std::string join_segments(const std::vector<std::string>& segments, std::size_t max_length) {
  std::string tag = joined(segments);
  if (length_of(tag) <= max_length) return tag;
  std::vector<std::string> shortened;
  shortened.reserve(segments.size());
  for (const std::string& segment : segments) {
    shortened.push_back(length_of(segment) <= kHashLength ? segment : hashed(segment));
  }
  const std::string shorter = joined(shortened);
  return length_of(shorter) <= max_length ? shorter : hashed(tag);
}

TagTemplate::TagTemplate(std::string_view text, std::size_t arity) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    const bool doubled = at + 1 < text.size() && text[at + 1] == letter;
    if ((letter == '{' || letter == '}') && doubled) {
      add_text(letter);  // {{ and }} are braces
      ++at;
    } else if (letter == '{') {
      const std::size_t close = text.find('}', at);
      if (close == std::string_view::npos) refuse(text, "a '{' is not closed; '{{' is a brace");
      add_argument(text, text.substr(at + 1, close - at - 1), arity);
      at = close;
    } else if (letter == '}') {
      refuse(text, "a '}' closes nothing; '}}' is a brace");
    } else if (letter == ':') {
      segments_.emplace_back();
    } else {
      add_text(letter);
    }
  }
}

void TagTemplate::add_text(char letter) {
  Segment& segment = segments_.back();
  if (segment.empty() || segment.back().argument != kNone) segment.emplace_back();
  segment.back().text += letter;
}

void TagTemplate::add_argument(std::string_view text, std::string_view number, std::size_t arity) {
  std::size_t index = 0;
  const char* const last = number.data() + number.size();
  const auto [end, error] = std::from_chars(number.data(), last, index);
  if (error != std::errc() || end != last) {
    refuse(text, "between braces goes an argument's number, as in {0}");
  }
  if (index >= arity) {
    refuse(text, "{" + std::string(number) + "} is beyond the function's " + std::to_string(arity) +
                     " arguments, which count from {0}");
  }
  segments_.back().push_back({"", index});
}

void TagTemplate::render(const std::vector<std::string>& arguments, std::size_t max_length,
                         std::vector<std::string>& tags) const {
  std::vector<std::string> segments;
  for (const Segment& segment : segments_) {
    std::string& text = segments.emplace_back();
    for (const Piece& piece : segment) {
      text += piece.argument == kNone ? piece.text : arguments[piece.argument];
    }
  }
  std::string whole = joined(segments);
  if (length_of(whole) <= max_length) {
    tags.push_back(std::move(whole));
    return;
  }
  const std::size_t begin = tags.size();
  for (; !segments.empty(); segments.pop_back()) {
    const std::string tag = join_segments(segments, max_length);
    const auto covers = [&](const std::string& other) { return is_below(other, tag); };
    const auto first = tags.begin() + static_cast<std::ptrdiff_t>(begin);
    if (std::none_of(first, tags.end(), covers)) tags.push_back(tag);
  }
}

std::string TagTemplate::sample() const {
  std::vector<std::string> segments;
  for (const Segment& segment : segments_) {
    std::string& text = segments.emplace_back();
    for (const Piece& piece : segment) text += piece.argument == kNone ? piece.text : "%";
  }
  return joined(segments);
}

bool TagTemplate::uses(std::size_t argument) const noexcept {
  for (const Segment& segment : segments_) {
    for (const Piece& piece : segment) {
      if (piece.argument == argument) return true;
    }
  }
  return false;
}

void refuse_argument(std::size_t argument) {
  throw InvalidOption("deps template: argument {" + std::to_string(argument) +
                      "} has no text; give its type an operator<<, or compute the tags");
}

}  // namespace zoocache::detail
