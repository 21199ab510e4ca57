// Names of codecs, composed when the program is compiled. Not for direct use.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace zoocache::detail {

// Then a name that is composed of several can be read in one way only.
constexpr bool is_codec_name(std::string_view name) {
  std::size_t open = 0;
  for (const char letter : name) {
    if (letter <= ' ' || letter > '~') return false;
    if (letter == ',' && open == 0) return false;
    if (letter == '<') ++open;
    if (letter == '>' && open-- == 0) return false;
  }
  return !name.empty() && open == 0;
}

template <class Named>
constexpr std::string_view name_of() {
  constexpr std::string_view kName = Named::name;
  static_assert(is_codec_name(kName),
                "a codec's name is printable ASCII without spaces, with commas inside of < > only");
  return kName;
}

// The text of a literal as an argument of a template.
template <std::size_t kSize>
struct Literal {
  // NOLINTNEXTLINE(google-explicit-constructor): "vec" is meant to be one
  constexpr Literal(const char (&literal)[kSize]) { std::copy_n(literal, kSize, text.begin()); }
  constexpr std::string_view view() const { return {text.data(), kSize - 1}; }
  std::array<char, kSize> text{};
};

template <std::uintmax_t kNumber>
struct Decimal {
  static constexpr auto kText = [] {
    std::array<char, 21> digits{};
    std::size_t at = digits.size();
    std::uintmax_t rest = kNumber;
    do {
      digits[--at] = static_cast<char>('0' + rest % 10);
    } while ((rest /= 10) != 0);
    std::rotate(digits.begin(), digits.begin() + static_cast<std::ptrdiff_t>(at), digits.end());
    return digits;
  }();
  static constexpr std::string_view name = kText.data();
};

// "vec<i64>" of "vec" and what has the name "i64".
template <Literal kHead, class... Parts>
struct Composed {
  static constexpr std::size_t kSize = kHead.view().size() + 2 +
                                       (name_of<Parts>().size() + ... + 0) +
                                       (sizeof...(Parts) > 1 ? sizeof...(Parts) - 1 : 0);
  static constexpr auto kText = [] {
    std::array<char, kSize> letters{};
    auto at = letters.begin();
    const auto put = [&](std::string_view one) { at = std::copy(one.begin(), one.end(), at); };
    put(kHead.view());
    char before = '<';
    [[maybe_unused]] const auto put_part = [&](std::string_view one) {
      *at++ = before;
      before = ',';
      put(one);
    };
    (put_part(name_of<Parts>()), ...);
    if (sizeof...(Parts) == 0) *at++ = '<';
    *at = '>';
    return letters;
  }();
  static constexpr std::string_view name{kText.data(), kSize};
};

}  // namespace zoocache::detail
