// What the values of a cached function depend on: `zoocache::deps(...)`.
//
//   deps("orders:list")                       a constant tag
//   deps("order:{0}", "org:{1}")              templates: {0} is the first argument
//   deps([](int id) { return std::vector<std::string>{...}; })   computed after the load
//
// What a template substitutes is percent-encoded, so that an argument can never climb out of its
// segment or make an invalid tag; one that is too long is replaced by its hash. Arguments must be
// strings, bools, numbers, or have an operator<<.
// Errors: cacheable() throws InvalidTag for a tag that breaks a rule, and InvalidOption for an
// index beyond the function's arguments. What a callable returns is checked at each load:
// InvalidTag reaches the caller, the value is not stored.
// Thread-safety: immutable after construction.
#pragma once

#include <concepts>
#include <cstddef>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoocache {

namespace detail {

std::string encode_segment(const std::string& text);

template <class T>
std::string as_text(const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return std::string(std::string_view(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else {
    std::ostringstream text;
    text << value;
    return std::move(text).str();
  }
}

// "order:{0}:{1}" in pieces: text, argument, text, argument, text.
class TagTemplate {
 public:
  // Throws InvalidOption: braces that make no sense, or an index of `arity` or more.
  TagTemplate(std::string_view text, std::size_t arity);

  // `arguments`: the encoded texts of all arguments.
  std::string render(const std::vector<std::string>& arguments) const;
  // A tag that is valid if every tag of this template is.
  std::string sample() const { return render(std::vector<std::string>(arity_, "x")); }
  bool is_constant() const noexcept { return holes_.empty(); }

 private:
  std::size_t arity_;
  std::vector<std::string> texts_;  // one more than holes
  std::vector<std::size_t> holes_;
};

}  // namespace detail

// Tags and templates; made by deps().
struct TagDeps {
  std::vector<std::string> texts;
};

// A callable of the call's arguments; made by deps().
template <class F>
struct ComputedDeps {
  F compute;
};

struct NoDeps {};

template <class... Texts>
requires(sizeof...(Texts) > 0 && (std::convertible_to<Texts, std::string> && ...)) TagDeps
    deps(Texts&&... texts) {
  return {{std::string(std::forward<Texts>(texts))...}};
}

inline TagDeps deps(std::vector<std::string> texts) { return {std::move(texts)}; }

template <class F>
requires(!std::convertible_to<F, std::string> && !std::convertible_to<F, std::vector<std::string>>)
    ComputedDeps<std::decay_t<F>> deps(F&& compute) {
  return {std::forward<F>(compute)};
}

}  // namespace zoocache
