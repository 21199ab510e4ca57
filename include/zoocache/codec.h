// Values and arguments as bytes, for what processes share (Options::storage): Codec<T>.
//
// Built in: bool, integers by their width and sign, enums with a fixed underlying type, float and
// double, std::string, vector, array, optional, pair, tuple, map, set, unordered_map,
// unordered_set, std::chrono::duration. For a type of your own:
//
//   template <>
//   struct zoocache::Codec<User> {
//     static constexpr std::string_view name = "shop.User/1";
//     static void encode(const User& user, std::string& to) {
//       zoocache::encode(user.id, to);
//       zoocache::encode(user.name, to);
//     }
//     static User decode(zoocache::ByteReader& from) {
//       const auto id = zoocache::decode<int>(from);
//       return {id, zoocache::decode<std::string>(from)};
//     }
//   };
//
// `name` names the type and its layout: change it with either. It is printable ASCII without
// spaces; commas stand inside of < and > only. Two types of one name are taken for each other.
// `encode` appends, and throws SerializationError for a value that cannot be kept: it is then
// returned and kept in this process alone. `decode` takes exactly what `encode` appended. It is
// given any bytes whatsoever: what it throws, SerializationError or another std::exception, makes
// the value be loaded. `encode_key(const T&, std::string& to)`, if there is one, encodes an
// argument. REQUIRES: arguments that are equal have equal bytes, others have others. If two that
// are equal differ, invalidating one leaves the other's value in the storage.
//
// Layout: numbers are little endian, floats by their bits (an argument's -0.0 as 0.0), sizes of
// four bytes; what has no order is sorted by its bytes.
// Promises: built-in codecs allocate for the items that are there, whatever sizes the bytes
// declare, and nest no deeper than ByteReader::kMaxDepth. Thread-safety: pure functions; a
// ByteReader by one thread.
#pragma once

#include <zoocache/byte_reader.h>
#include <zoocache/detail/codec_base.h>
#include <zoocache/detail/codec_containers.h>
#include <zoocache/detail/codec_scalars.h>
