// What the values of a cached function depend on: `zoocache::deps(...)`.
//
//   deps("orders:list")                       a constant tag
//   deps("order:{0}", "org:{1}")              templates: {0} is the first argument
//   deps([](int id) { return std::vector<std::string>{...}; })   computed after the load, as a part
//                                             of it: cached calls there are dependencies as well
//
// What a template substitutes is percent-encoded, so that an argument can never climb out of its
// segment or make an invalid tag: ':' '%' '|', whitespace, control characters and bytes that are
// no UTF-8; the empty text becomes "%". What is too long is replaced by a hash. A writer builds
// the same tag with `tag`:
//
//   cache.invalidate(zoocache::tag("order", id));
//
// Errors: cacheable() throws InvalidTag for a tag that breaks a rule, and InvalidOption for an
// index beyond the function's arguments, or of an argument without a text. What a callable returns
// is checked at each load: InvalidTag reaches the caller, the value is not stored.
// Thread-safety: immutable after construction.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <zoocache/options.h>

namespace zoocache {

namespace detail {

std::string encode_segment(std::string_view text, std::size_t max_length);
// Joins encoded segments into a tag of at most `max_length` characters. Depends on nothing but
// them, so that readers and writers get the same one.
std::string join_segments(const std::vector<std::string>& segments, std::size_t max_length);

// One tag, or a template of one.
template <class T>
concept Text = std::convertible_to<T, std::string> || std::convertible_to<T, std::string_view>;

template <class T>
concept Printable = requires(std::ostream& stream, const T& value) {
  stream << value;
};

// What can stand in a tag.
template <class T>
concept Textual =
    std::is_convertible_v<const T&, std::string_view> || std::is_enum_v<T> || Printable<T>;

// The text of an argument, the same whatever the locale.
template <Textual T>
std::string as_text(const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return std::string(std::string_view(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, char>) {
    return std::string(1, value);
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    std::array<char, 128> text{};  // the shortest that reads back as the same number
    const auto ended = std::to_chars(text.data(), text.data() + text.size(), value);
    return std::string(text.data(), ended.ptr);
  } else if constexpr (Printable<T>) {
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text << value;
    return std::move(text).str();
  } else {
    return std::to_string(static_cast<std::underlying_type_t<T>>(value));
  }
}

// "order:{0}:{1}" in segments, each of texts and arguments.
class TagTemplate {
 public:
  // Throws InvalidOption: braces that make no sense, or an index of `arity` or more.
  TagTemplate(std::string_view text, std::size_t arity);

  // Adds the tags to depend on; `arguments`: the encoded texts, where the template uses them.
  // More than one if the whole is too long: then every prefix that a writer may name is covered.
  void render(const std::vector<std::string>& arguments, std::size_t max_length,
              std::vector<std::string>& tags) const;
  // A tag that is valid if every tag of this template is.
  std::string sample() const;
  bool uses(std::size_t argument) const noexcept;

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  struct Piece {
    std::string text;
    std::size_t argument = kNone;  // kNone: the text itself
  };
  using Segment = std::vector<Piece>;

  void add_text(char letter);
  void add_argument(std::string_view text, std::string_view number, std::size_t arity);

  std::vector<Segment> segments_{1};
};

}  // namespace detail

// The tag of these values, encoded as a template encodes them: tag("user", 42) is "user:42".
// `max_length`: Options::max_tag_length of the cache that the tag is for.
template <detail::Textual... Parts>
requires(sizeof...(Parts) > 0) std::string tag(const Parts&... parts) {
  constexpr std::size_t kLength = kDefaultMaxTagLength;
  return detail::join_segments({detail::encode_segment(detail::as_text(parts), kLength)...},
                               kLength);
}

// Tags and templates; made by deps().
struct TagDeps {
  std::vector<std::string> texts;  // as deps() got them
};

// A callable of the call's arguments, which returns a tag or a range of them; made by deps().
template <class F>
struct ComputedDeps {
  F compute;  // as deps() got it
};

// Nothing but what is declared during the load.
struct NoDeps {};

// Tags and templates of tags.
template <class... Texts>
requires(sizeof...(Texts) > 0 && (detail::Text<Texts> && ...)) TagDeps deps(Texts&&... texts) {
  return {{std::string(std::forward<Texts>(texts))...}};
}

// Tags and templates of tags.
inline TagDeps deps(std::vector<std::string> texts) { return {std::move(texts)}; }

// What the callable returns of the call's arguments: a tag or a range of them.
template <class F>
requires(!detail::Text<F> && !std::convertible_to<F, std::vector<std::string>>)
    ComputedDeps<std::decay_t<F>> deps(F&& compute) {
  return {std::forward<F>(compute)};
}

}  // namespace zoocache
