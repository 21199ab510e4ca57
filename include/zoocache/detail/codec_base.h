// What a codec is, and how codecs of parts are called; see codec.h.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include <zoocache/byte_reader.h>

namespace zoocache {

template <class T>
struct Codec;

template <class T>
concept Storable = requires(const T& value, std::string& to, ByteReader& from) {
  { Codec<T>::name } -> std::convertible_to<std::string_view>;
  Codec<T>::encode(value, to);
  { Codec<T>::decode(from) } -> std::same_as<T>;
};

// For codecs of what has parts.
template <Storable T>
void encode(const T& value, std::string& to) {
  Codec<T>::encode(value, to);
}
template <Storable T>
void encode_key(const T& value, std::string& to) {
  if constexpr (requires { Codec<T>::encode_key(value, to); }) {
    Codec<T>::encode_key(value, to);
  } else {
    Codec<T>::encode(value, to);
  }
}
template <Storable T>
T decode(ByteReader& from) {
  const ByteReader::Inside inside(from);
  return Codec<T>::decode(from);
}

}  // namespace zoocache
