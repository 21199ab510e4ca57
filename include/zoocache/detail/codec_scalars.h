// Codecs of numbers, texts, enums and spans of time. Not for direct use.
#pragma once

#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>

#include <zoocache/detail/codec_base.h>
#include <zoocache/detail/codec_name.h>

namespace zoocache {
namespace detail {

[[noreturn]] void refuse_bytes(const char* why);

template <std::unsigned_integral Number>
void put_number(Number number, std::string& to) {
  for (std::size_t at = 0; at < sizeof number; ++at) {
    to.push_back(static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * at) & 0xFF));
  }
}

// Throws SerializationError: it does not fit four bytes.
void put_count(std::size_t count, std::string& to);

template <class T>
concept PlainInteger = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                       !std::same_as<T, wchar_t> && sizeof(T) <= sizeof(std::uint64_t);

// Values outside of the enumerators' range are no error then.
template <class T>
concept FixedEnum = std::is_enum_v<T> && requires {
  T{std::underlying_type_t<T>{}};
};

constexpr std::string_view integer_name(std::size_t size, bool is_signed) {
  switch (size) {
    case 1:
      return is_signed ? "i8" : "u8";
    case 2:
      return is_signed ? "i16" : "u16";
    case 4:
      return is_signed ? "i32" : "u32";
    default:
      return is_signed ? "i64" : "u64";
  }
}

}  // namespace detail

template <>
struct Codec<bool> {
  static constexpr std::string_view name = "bool";
  static void encode(bool value, std::string& to) { to.push_back(value ? '\1' : '\0'); }
  static bool decode(ByteReader& from) {
    const auto byte = from.number<std::uint8_t>();
    if (byte > 1) detail::refuse_bytes("a truth value is neither 0 nor 1");
    return byte == 1;
  }
};

// Signed on some machines, unsigned on others.
template <>
struct Codec<char> {
  static constexpr std::string_view name = "char";
  static void encode(char value, std::string& to) { to.push_back(value); }
  static char decode(ByteReader& from) { return from.take(1).front(); }
};

template <detail::PlainInteger T>
struct Codec<T> {
  static constexpr std::string_view name = detail::integer_name(sizeof(T), std::is_signed_v<T>);
  static void encode(T value, std::string& to) {
    detail::put_number(static_cast<std::make_unsigned_t<T>>(value), to);
  }
  static T decode(ByteReader& from) {
    return static_cast<T>(from.number<std::make_unsigned_t<T>>());
  }
};

template <detail::FixedEnum T>
struct Codec<T> {
  using Underlying = std::underlying_type_t<T>;
  static constexpr std::string_view name = detail::Composed<"enum", Codec<Underlying>>::name;
  static void encode(T value, std::string& to) {
    Codec<Underlying>::encode(static_cast<Underlying>(value), to);
  }
  static T decode(ByteReader& from) { return static_cast<T>(Codec<Underlying>::decode(from)); }
};

template <class T>
requires std::same_as<T, float> || std::same_as<T, double>
struct Codec<T> {
  using Bits = std::conditional_t<sizeof(T) == sizeof(std::uint32_t), std::uint32_t, std::uint64_t>;
  static constexpr std::string_view name = sizeof(T) == sizeof(std::uint32_t) ? "f32" : "f64";
  static void encode(T value, std::string& to) {
    detail::put_number(std::bit_cast<Bits>(value), to);
  }
  static void encode_key(T value, std::string& to) { encode(value == 0 ? T{0} : value, to); }
  static T decode(ByteReader& from) { return std::bit_cast<T>(from.number<Bits>()); }
};

template <>
struct Codec<std::string> {
  static constexpr std::string_view name = "string";
  static void encode(const std::string& value, std::string& to) {
    detail::put_count(value.size(), to);
    to += value;
  }
  static std::string decode(ByteReader& from) { return std::string(from.sized()); }
};

template <Storable Rep, std::intmax_t kNum, std::intmax_t kDen>
struct Codec<std::chrono::duration<Rep, std::ratio<kNum, kDen>>> {
  using Duration = std::chrono::duration<Rep, std::ratio<kNum, kDen>>;
  static constexpr std::string_view name =
      detail::Composed<"duration", Codec<Rep>, detail::Decimal<kNum>, detail::Decimal<kDen>>::name;
  static void encode(const Duration& value, std::string& to) {
    zoocache::encode(value.count(), to);
  }
  static void encode_key(const Duration& value, std::string& to) {
    zoocache::encode_key(value.count(), to);
  }
  static Duration decode(ByteReader& from) { return Duration(zoocache::decode<Rep>(from)); }
};

}  // namespace zoocache
