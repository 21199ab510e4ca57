// The dependencies that a load has gathered so far: tags by text, keys of inner functions, and
// nodes that cached inner calls brought along (held).
// Thread-safety: none; a load frame guards it. Destroying it releases its nodes through the log.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
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
  ~DepSet() { clear(); }

  // REQUIRES: TagPath::parse accepts `tag`.
  void add_tag(std::string_view tag);
  void add_key(Key key);
  // Takes a hold of its own on each node. REQUIRES: the caller's entry keeps them alive meanwhile.
  void add_nodes(std::span<TagNode* const> nodes);
  void merge(const DepSet& other);
  // The same, and leaves `other` empty. REQUIRES: both belong to one log.
  void take(DepSet& other);
  void clear() noexcept;

  bool empty() const noexcept { return tags_.empty() && nodes_.empty() && keys_.empty(); }
  const std::vector<std::string>& tags() const noexcept { return tags_; }
  const std::vector<TagNode*>& nodes() const noexcept { return nodes_; }
  const std::vector<Key>& keys() const noexcept { return keys_; }

 private:
  static constexpr std::size_t kFirstLimit = 32;

  // Drops duplicates whenever the size has doubled: a loader may name one tag a million times.
  void drop_duplicates();
  std::size_t size() const noexcept { return tags_.size() + nodes_.size() + keys_.size(); }

  InvalidationLog* log_;
  std::vector<std::string> tags_;
  std::vector<TagNode*> nodes_;
  std::vector<Key> keys_;
  std::size_t limit_ = kFirstLimit;
};

}  // namespace zoocache::core
