#include "core/tag.h"

#include <cstring>

#include "core/hash.h"
#include "zoocache/errors.h"

namespace zoocache::core {
namespace {

constexpr char32_t kNotUtf8 = 0xFFFFFFFF;

// Decodes one code point and moves `at` behind it; kNotUtf8 (and one byte) for what is malformed.
char32_t next_code_point(std::string_view text, std::size_t& at) noexcept {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || at + length > text.size()) {
    ++at;
    return kNotUtf8;
  }
  char32_t point = lead & (0xFFU >> (length + 1));
  for (std::size_t index = 1; index < length; ++index) {
    if ((byte(at + index) & 0xC0) != 0x80) {
      ++at;
      return kNotUtf8;
    }
    point = (point << 6) | (byte(at + index) & 0x3FU);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (point < kSmallest[length] || point > 0x10FFFF || surrogate) {
    ++at;
    return kNotUtf8;
  }
  at += length;
  return point;
}

bool is_control(char32_t point) noexcept { return point < 0x20 || (point >= 0x7F && point < 0xA0); }

// Unicode's White_Space beyond the control characters.
bool is_whitespace(char32_t point) noexcept {
  return point == ' ' || point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) ||
         point == 0x2028 || point == 0x2029 || point == 0x202F || point == 0x205F ||
         point == 0x3000;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string shown = "'";
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    if (count == kShown) {
      shown += "...";
      break;
    }
    const std::size_t begin = at;
    const char32_t point = next_code_point(text, at);
    if (point == kNotUtf8 || is_control(point)) {
      constexpr char kDigits[] = "0123456789abcdef";
      for (std::size_t index = begin; index < at; ++index) {
        const auto value = static_cast<unsigned char>(text[index]);
        shown += "\\x";
        shown += kDigits[value >> 4];
        shown += kDigits[value & 15];
      }
    } else {
      shown.append(text.substr(begin, at - begin));
    }
  }
  return shown + "'";
}

[[noreturn]] void refuse(std::string_view text, const std::string& rule) {
  throw InvalidTag("invalid tag " + quoted(text) + ": " + rule);
}

// Whether all of it is ASCII that no rule forbids: what nearly every tag is, told without decoding.
bool is_plain_ascii(std::string_view text) noexcept {
  bool other = false;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    other |= byte <= ' ' || byte >= 0x7F || byte == '|';
  }
  return !other;
}

void check_points(std::string_view text, std::size_t max_length) {
  if (text.size() <= max_length && is_plain_ascii(text)) return;
  std::size_t length = 0;
  for (std::size_t at = 0; at < text.size(); ++length) {
    const char32_t point = next_code_point(text, at);
    if (point == kNotUtf8) refuse(text, "it is not UTF-8; encode it first");
    if (is_control(point)) {
      refuse(text, "control characters are not allowed; encode them with tag()");
    }
    if (is_whitespace(point)) refuse(text, "whitespace is not allowed; encode it with tag()");
    if (point == '|') refuse(text, "'|' is not allowed; encode it with tag()");
  }
  if (length > max_length) {
    refuse(text, "it has " + std::to_string(length) + " characters, the limit is " +
                     std::to_string(max_length) +
                     "; shorten it, or raise the option max_tag_length");
  }
}

}  // namespace

void TagPath::push(std::size_t begin, std::size_t end) noexcept {
  const std::uint64_t above = count_ == 0 ? root_hash() : steps_[count_ - 1].hash;
  steps_[count_++] = {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end),
                      hash_bytes(text_.substr(begin, end - begin), above)};
}

TagPath TagPath::parse(std::string_view text, std::size_t max_length) {
  if (text.empty()) refuse(text, "a tag is not empty; name what changed, as in 'user:42'");
  check_points(text, max_length);
  TagPath path;
  path.text_ = text;
  for (std::size_t begin = 0;;) {
    const std::size_t colon = text.find(':', begin);
    const std::size_t end = colon == std::string_view::npos ? text.size() : colon;
    if (end == begin) refuse(text, "empty segments are not allowed; remove the extra ':'");
    if (path.count_ == kMaxSegments) {
      refuse(text, "it has more than " + std::to_string(kMaxSegments) + " segments; join some");
    }
    path.push(begin, end);
    if (colon == std::string_view::npos) return path;
    begin = colon + 1;
  }
}

TagPath TagPath::trusted(std::string_view text) noexcept {
  TagPath path;
  path.text_ = text;
  for (std::size_t begin = 0;;) {
    const std::size_t colon = text.find(':', begin);
    path.push(begin, colon == std::string_view::npos ? text.size() : colon);
    if (colon == std::string_view::npos) return path;
    begin = colon + 1;
  }
}

HiddenTag::HiddenTag(std::uint64_t function_id) noexcept {
  constexpr std::size_t kEnd = 1 + sizeof function_id;
  text_[0] = kHiddenMark;
  std::memcpy(text_.data() + 1, &function_id, sizeof function_id);
  path_.text_ = {text_.data(), kEnd};
  path_.push(0, kEnd);
}

HiddenTag::HiddenTag(std::uint64_t function_id, std::uint64_t key_hash) noexcept
    : HiddenTag(function_id) {
  const std::size_t above = path_.text_.size();
  std::memcpy(text_.data() + above, &key_hash, sizeof key_hash);
  path_.text_ = {text_.data(), text_.size()};
  path_.push(above, text_.size());
}

std::optional<std::uint64_t> HiddenTag::function_of(std::string_view text) noexcept {
  std::uint64_t id;
  const bool sized = text.size() == 1 + sizeof id || text.size() == 1 + 2 * sizeof id;
  if (!sized || text.front() != kHiddenMark) return std::nullopt;
  std::memcpy(&id, text.data() + 1, sizeof id);
  return id;
}

std::uint64_t root_hash() noexcept { return hash_secret().seed; }

void check_tag(std::string_view text, std::size_t max_length) {
  static_cast<void>(TagPath::parse(text, max_length));
}

std::string encode_segment(std::string_view text, std::size_t max_length) {
  if (text.empty()) return "%";
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  std::size_t length = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t point = next_code_point(text, at);
    const bool plain = point != kNotUtf8 && !is_control(point) && !is_whitespace(point) &&
                       point != ':' && point != '%' && point != '|';
    if (plain) {
      encoded.append(text.substr(begin, at - begin));
      length += 1;
      continue;
    }
    for (std::size_t index = begin; index < at; ++index) {
      const auto value = static_cast<unsigned char>(text[index]);
      encoded += '%';
      encoded += kDigits[value >> 4];
      encoded += kDigits[value & 15];
      length += 3;
    }
  }
  if (length <= max_length) return encoded;
  // Two independent streams: 128 bits.
  const std::uint64_t halves[2] = {stable_hash(text, 0x9E3779B97F4A7C15ULL),
                                   stable_hash(text, 0xC2B2AE3D27D4EB4FULL)};
  std::string shortened = "%~";
  for (const std::uint64_t half : halves) {
    for (int shift = 60; shift >= 0; shift -= 4) shortened += kDigits[(half >> shift) & 15];
  }
  return shortened;
}

}  // namespace zoocache::core
