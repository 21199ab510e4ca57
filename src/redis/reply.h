// What a server answered: a tree of RESP3 values. An error reply is a value as any other.
// Thread-safety: plain values.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoocache::redis {

enum class Type {
  kNull,
  kString,
  kInteger,
  kDouble,
  kBoolean,
  kBigNumber,
  kArray,
  kMap,
  kSet,
  kPush,
  kError,
};

struct Reply {
  Type type = Type::kNull;
  std::string text;          // of everything but aggregates, as sent; of an error: "WRONGTYPE ..."
  std::vector<Reply> items;  // of aggregates; of a map key, value, key, value

  bool is_null() const noexcept { return type == Type::kNull; }
  bool is_error() const noexcept { return type == Type::kError; }
  // Whether it is an error of this kind: its first word.
  bool is_error(std::string_view kind) const noexcept {
    const std::string_view all = text;
    return is_error() && all.substr(0, all.find(' ')) == kind;
  }
  // The number that an integer or a string is, all of it.
  std::optional<std::int64_t> integer() const noexcept {
    if (type != Type::kInteger && type != Type::kString) return std::nullopt;
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
    return value;
  }
};

// Makes the tree out of its values in the order of the wire, each with its depth.
class ReplyBuilder {
 public:
  void clear() {
    root_ = Reply();
    path_.clear();
  }
  // False if no aggregate is open at that depth.
  bool add(Type type, std::size_t depth, std::string_view text) {
    if (depth > path_.size() || (depth == 0 && !path_.empty())) return false;
    path_.resize(depth);  // what was deeper is complete
    Reply* place = &root_;
    if (depth != 0) place = &path_.back()->items.emplace_back();
    place->type = type;
    place->text = text;
    path_.push_back(place);
    return true;
  }
  Reply take() {
    path_.clear();
    return std::exchange(root_, Reply());
  }

 private:
  Reply root_;
  std::vector<Reply*> path_;  // the newest value of each depth
};

}  // namespace zoocache::redis
