// The dependencies that a load has gathered so far: tags by text, keys of inner functions, and
// nodes that cached inner calls brought along (held).
// Thread-safety: none; a load frame guards it. Destroying it releases its nodes through the log.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tag_trie.h"

namespace zoocache::core {

class InvalidationLog;

class DepSet {
 public:
  // One key of an inner function: a hidden dependency of the outer load.
  struct Key {
    std::uint64_t function_id;
    std::uint64_t key_hash;
    auto operator<=>(const Key&) const = default;
  };

  explicit DepSet(InvalidationLog& log) : log_(&log) {}
  DepSet(DepSet&& other) noexcept = default;  // leaves `other` empty
  DepSet& operator=(DepSet&&) = delete;
  ~DepSet() {
    if (lists_ != nullptr) clear();
  }

  // REQUIRES: TagPath::parse accepts `tag`.
  void add_tag(std::string_view tag);
  void add_key(Key key);
  // Takes a hold of its own on each node. REQUIRES: the caller's entry keeps them alive meanwhile.
  void add_nodes(std::span<TagNode* const> nodes);
  void merge(const DepSet& other);
  // The same, and leaves `other` empty. REQUIRES: both belong to one log.
  void take(DepSet& other);
  void clear() noexcept;

  bool empty() const noexcept { return lists_ == nullptr; }
  std::span<const std::string> tags() const noexcept {
    return empty() ? std::span<const std::string>() : lists_->tags;
  }
  std::span<TagNode* const> nodes() const noexcept {
    return empty() ? std::span<TagNode* const>() : lists_->nodes;
  }
  std::span<const Key> keys() const noexcept {
    return empty() ? std::span<const Key>() : lists_->keys;
  }

 private:
  static constexpr std::size_t kFirstLimit = 32;

  struct Lists {
    std::vector<std::string> tags;
    std::vector<TagNode*> nodes;
    std::vector<Key> keys;
    std::size_t limit = kFirstLimit;
    std::size_t size() const noexcept { return tags.size() + nodes.size() + keys.size(); }
  };

  // With room for one more dependency.
  Lists& lists();
  void drop_duplicates();

  InvalidationLog* log_;
  std::unique_ptr<Lists> lists_;  // nullptr: nothing, as most loads have
};

}  // namespace zoocache::core
