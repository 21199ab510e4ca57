// Codecs of what is made of other values. Not for direct use.
//
//   vector, set, map     count(4) item...         an item without bytes is one zero byte
//   optional             0 | 1 item               pair, tuple, array: the items
//
// Thread-safety: pure functions.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <zoocache/detail/codec_base.h>
#include <zoocache/detail/codec_name.h>
#include <zoocache/detail/codec_scalars.h>

namespace zoocache {
namespace detail {

template <bool kKey, class T>
void put(const T& value, std::string& to) {
  if constexpr (kKey) {
    zoocache::encode_key(value, to);
  } else {
    zoocache::encode(value, to);
  }
}

// One of counted items: at least one byte, so that their number is bounded by the bytes.
template <bool kKey, class T>
void put_item(const T& item, std::string& to) {
  const std::size_t before = to.size();
  put<kKey>(item, to);
  if (to.size() == before) to.push_back('\0');
}

template <class T>
T take_item(ByteReader& from) {
  const std::size_t before = from.left();
  T item = zoocache::decode<T>(from);
  if (from.left() == before && from.number<unsigned char>() != 0) {
    refuse_bytes("an item without bytes is not a zero byte");
  }
  return item;
}

// Numbers that lie in memory as they are stored.
template <class T>
concept Flat = std::endian::native == std::endian::little &&
               (PlainInteger<T> || std::same_as<T, char> || std::same_as<T, float> ||
                std::same_as<T, double>);

// A codec whose parts are arguments where the whole is one: Self has `put<kKey>`.
template <class Self, class T>
struct CodecOfParts {
  static void encode(const T& value, std::string& to) { Self::template put<false>(value, to); }
  static void encode_key(const T& value, std::string& to) { Self::template put<true>(value, to); }
};

// `Self` has `put_one<kKey>` and `take_one`, which is false for one that is there already.
template <class Self, class T, bool kSorted>
struct CodecOfItems : CodecOfParts<Self, T> {
  template <bool kKey>
  static void put(const T& value, std::string& to) {
    put_count(value.size(), to);
    if constexpr (kSorted) {
      for (const auto& item : value) Self::template put_one<kKey>(item, to);
    } else {
      std::vector<std::string> items;
      items.reserve(value.size());
      for (const auto& item : value) Self::template put_one<kKey>(item, items.emplace_back());
      std::sort(items.begin(), items.end());
      for (const std::string& item : items) to += item;
    }
  }
  static T decode(ByteReader& from) {
    T made;
    for (std::size_t count = from.count(); count > 0; --count) {
      if (!Self::take_one(made, from)) refuse_bytes("an item or key is there twice");
    }
    return made;
  }
};

template <class Self, class T, bool kSorted>
struct CodecOfSet : CodecOfItems<Self, T, kSorted> {
  template <bool kKey>
  static void put_one(const typename T::key_type& item, std::string& to) {
    put_item<kKey>(item, to);
  }
  static bool take_one(T& made, ByteReader& from) {
    return made.insert(take_item<typename T::key_type>(from)).second;
  }
};

template <class Self, class T, bool kSorted>
struct CodecOfMap : CodecOfItems<Self, T, kSorted> {
  template <bool kKey>
  static void put_one(const typename T::value_type& item, std::string& to) {
    put_item<kKey>(item.first, to);
    put_item<kKey>(item.second, to);
  }
  static bool take_one(T& made, ByteReader& from) {
    auto key = take_item<typename T::key_type>(from);
    return made.try_emplace(std::move(key), take_item<typename T::mapped_type>(from)).second;
  }
};

}  // namespace detail

template <Storable T, class Allocator>
struct Codec<std::vector<T, Allocator>>
    : detail::CodecOfParts<Codec<std::vector<T, Allocator>>, std::vector<T, Allocator>> {
  using Vector = std::vector<T, Allocator>;
  static constexpr std::string_view name = detail::Composed<"vec", Codec<T>>::name;

  template <bool kKey>
  static void put(const Vector& value, std::string& to) {
    detail::put_count(value.size(), to);
    if constexpr (detail::Flat<T> && !(kKey && std::floating_point<T>)) {
      to.append(reinterpret_cast<const char*>(value.data()), value.size() * sizeof(T));
    } else {
      for (const T& item : value) detail::put_item<kKey>(item, to);
    }
  }
  static Vector decode(ByteReader& from) {
    const std::size_t count = from.count();
    Vector made;
    if constexpr (detail::Flat<T>) {
      const std::string_view bytes = from.take(count * sizeof(T));
      made.resize(count);
      if (count > 0) std::memcpy(made.data(), bytes.data(), bytes.size());
    } else {
      // Items may be larger in memory than their bytes: what is reserved is justified by those.
      if (count > 0) made.reserve(std::min(count, from.left() / sizeof(T) + 1));
      for (std::size_t left = count; left > 0; --left) {
        made.push_back(detail::take_item<T>(from));
      }
    }
    return made;
  }
};

template <Storable T, std::size_t kSize>
requires std::default_initializable<T>
struct Codec<std::array<T, kSize>>
    : detail::CodecOfParts<Codec<std::array<T, kSize>>, std::array<T, kSize>> {
  static constexpr std::string_view name =
      detail::Composed<"array", Codec<T>, detail::Decimal<kSize>>::name;

  template <bool kKey>
  static void put(const std::array<T, kSize>& value, std::string& to) {
    for (const T& item : value) detail::put<kKey>(item, to);
  }
  static std::array<T, kSize> decode(ByteReader& from) {
    std::array<T, kSize> made{};
    for (T& item : made) item = zoocache::decode<T>(from);
    return made;
  }
};

template <Storable T>
struct Codec<std::optional<T>> : detail::CodecOfParts<Codec<std::optional<T>>, std::optional<T>> {
  static constexpr std::string_view name = detail::Composed<"optional", Codec<T>>::name;

  template <bool kKey>
  static void put(const std::optional<T>& value, std::string& to) {
    zoocache::encode(value.has_value(), to);
    if (value.has_value()) detail::put<kKey>(*value, to);
  }
  static std::optional<T> decode(ByteReader& from) {
    if (!zoocache::decode<bool>(from)) return std::nullopt;
    return zoocache::decode<T>(from);
  }
};

template <Storable First, Storable Second>
struct Codec<std::pair<First, Second>>
    : detail::CodecOfParts<Codec<std::pair<First, Second>>, std::pair<First, Second>> {
  static constexpr std::string_view name =
      detail::Composed<"pair", Codec<First>, Codec<Second>>::name;

  template <bool kKey>
  static void put(const std::pair<First, Second>& value, std::string& to) {
    detail::put<kKey>(value.first, to);
    detail::put<kKey>(value.second, to);
  }
  static std::pair<First, Second> decode(ByteReader& from) {
    return {zoocache::decode<First>(from), zoocache::decode<Second>(from)};  // in this order
  }
};

template <Storable... Parts>
struct Codec<std::tuple<Parts...>>
    : detail::CodecOfParts<Codec<std::tuple<Parts...>>, std::tuple<Parts...>> {
  static constexpr std::string_view name = detail::Composed<"tuple", Codec<Parts>...>::name;

  template <bool kKey>
  static void put(const std::tuple<Parts...>& value, [[maybe_unused]] std::string& to) {
    std::apply([&](const Parts&... parts) { (detail::put<kKey>(parts, to), ...); }, value);
  }
  static std::tuple<Parts...> decode([[maybe_unused]] ByteReader& from) {
    return std::tuple<Parts...>{zoocache::decode<Parts>(from)...};  // in this order
  }
};

template <Storable T, class Less, class Allocator>
struct Codec<std::set<T, Less, Allocator>>
    : detail::CodecOfSet<Codec<std::set<T, Less, Allocator>>, std::set<T, Less, Allocator>, true> {
  static constexpr std::string_view name = detail::Composed<"set", Codec<T>>::name;
};

template <Storable T, class Hash, class Equal, class Allocator>
struct Codec<std::unordered_set<T, Hash, Equal, Allocator>>
    : detail::CodecOfSet<Codec<std::unordered_set<T, Hash, Equal, Allocator>>,
                         std::unordered_set<T, Hash, Equal, Allocator>, false> {
  static constexpr std::string_view name = detail::Composed<"uset", Codec<T>>::name;
};

template <Storable Key, Storable T, class Less, class Allocator>
struct Codec<std::map<Key, T, Less, Allocator>>
    : detail::CodecOfMap<Codec<std::map<Key, T, Less, Allocator>>,
                         std::map<Key, T, Less, Allocator>, true> {
  static constexpr std::string_view name = detail::Composed<"map", Codec<Key>, Codec<T>>::name;
};

template <Storable Key, Storable T, class Hash, class Equal, class Allocator>
struct Codec<std::unordered_map<Key, T, Hash, Equal, Allocator>>
    : detail::CodecOfMap<Codec<std::unordered_map<Key, T, Hash, Equal, Allocator>>,
                         std::unordered_map<Key, T, Hash, Equal, Allocator>, false> {
  static constexpr std::string_view name = detail::Composed<"umap", Codec<Key>, Codec<T>>::name;
};

}  // namespace zoocache
