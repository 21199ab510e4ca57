// Tags: what a valid one is, and the hash of each prefix on its path.
//
//   "org:acme:user:42"      steps: org | org:acme | org:acme:user | org:acme:user:42
//
// A tag is UTF-8 of 1..64 segments joined by ':'. A segment is not empty and has no ':', '|',
// whitespace or control characters. A hidden tag belongs to the engine itself; its first byte is a
// control character, so no user's tag can equal one.
// Thread-safety: values without shared state; a TagPath refers to text that must outlive it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zoocache::core {

inline constexpr std::size_t kMaxSegments = 64;
inline constexpr std::size_t kMaxTagLengthLimit = 4096;

class TagPath {
 public:
  struct Step {
    std::uint32_t begin;  // the segment is text[begin, end)
    std::uint32_t end;    // the prefix is text[0, end)
    std::uint64_t hash;   // of the whole prefix, seeded per process
  };

  // Throws InvalidTag if `text` breaks a rule; `max_length` counts code points.
  static TagPath parse(std::string_view text, std::size_t max_length);
  // REQUIRES: `text` was accepted by `parse` before.
  static TagPath trusted(std::string_view text) noexcept;

  std::string_view text() const noexcept { return text_; }
  std::size_t size() const noexcept { return count_; }
  const Step& operator[](std::size_t index) const noexcept { return steps_[index]; }
  const Step& back() const noexcept { return steps_[count_ - 1]; }
  std::string_view segment(std::size_t index) const noexcept {
    return text_.substr(steps_[index].begin, steps_[index].end - steps_[index].begin);
  }

 private:
  friend class HiddenTag;
  TagPath() = default;  // leaves `steps_` unset beyond `count_`
  void push(std::size_t begin, std::size_t end) noexcept;

  std::string_view text_;
  std::uint32_t count_ = 0;
  std::array<Step, kMaxSegments> steps_;
};

// The engine's own tags: one node for each function and, below it, one for each of its keys.
class HiddenTag {
 public:
  explicit HiddenTag(std::uint64_t function_id) noexcept;
  HiddenTag(std::uint64_t function_id, std::uint64_t key_hash) noexcept;
  HiddenTag(const HiddenTag&) = delete;
  HiddenTag& operator=(const HiddenTag&) = delete;

  const TagPath& path() const noexcept { return path_; }
  // The function that a hidden tag's text names, alone or with a key; empty for other texts.
  static std::optional<std::uint64_t> function_of(std::string_view text) noexcept;

 private:
  std::array<char, 1 + 2 * sizeof(std::uint64_t)> text_;
  TagPath path_;
};

inline constexpr char kHiddenMark = '\x01';
// In place of a key's hash: any key of the function. Invalidated with each of them in caches that
// have a home, where what is made of a function's values cannot say of which.
inline constexpr std::uint64_t kAnyKey = ~std::uint64_t{0};

// The hash that stands for the root, the ancestor of every tag.
std::uint64_t root_hash() noexcept;

// Throws InvalidTag, as TagPath::parse does.
void check_tag(std::string_view text, std::size_t max_length);

// Makes one segment of any text: ':', '%', '|', whitespace, control characters and bytes that are
// no UTF-8 are percent-encoded; the empty text becomes "%"; one beyond `max_length` code points
// becomes "%~" and its 128-bit hash in hexadecimal. Never throws InvalidTag.
std::string encode_segment(std::string_view text, std::size_t max_length);

}  // namespace zoocache::core
