// The tags that somebody depends on, as a tree by segment.
//
//   root ── org ── org:acme ── org:acme:user ── org:acme:user:42
//            ^ version: newest invalidation that named exactly this tag
//
// A node lives while an entry, a load or a child refers to it. Nodes are found by the hash of the
// whole tag; equality is exact by induction: same parent node and same segment text.
// Thread-safety: everything needs the log's mutex, except `version`, `parent` and `hash` of a node
// that the caller holds a reference to: any thread may read them at any time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/epoch.h"
#include "core/tag.h"

namespace zoocache::core {

class TagNode {
 public:
  std::atomic<Epoch> version;
  TagNode* const parent;  // nullptr at the root
  const std::uint64_t hash;

  std::string_view segment() const noexcept {
    return {reinterpret_cast<const char*>(this + 1), segment_size_};
  }
  std::string text() const;  // the whole tag
  bool hidden() const noexcept;
  // REQUIRES: hidden().
  std::uint64_t hidden_function() const noexcept;
  std::size_t holders() const noexcept { return holders_; }  // entries and loads, no children

 private:
  friend class TagTrie;
  const TagNode* top() const noexcept;
  TagNode(Epoch start, TagNode* above, std::uint64_t tag_hash, std::uint32_t segment_size)
      : version(start), parent(above), hash(tag_hash), segment_size_(segment_size) {}

  TagNode* next_ = nullptr;  // in the bucket
  std::uint32_t holders_ = 0;
  std::uint32_t children_ = 0;
  const std::uint32_t segment_size_;  // the segment's bytes follow the node
};

// True iff no invalidation after `born` named the node or an ancestor of it.
inline bool is_current(const TagNode* node, Epoch born) noexcept {
  for (; node != nullptr; node = node->parent) {
    if (node->version.load(std::memory_order_acquire) > born) return false;
  }
  return true;
}

class TagTrie {
 public:
  TagTrie();
  ~TagTrie();
  TagTrie(const TagTrie&) = delete;
  TagTrie& operator=(const TagTrie&) = delete;

  TagNode* root() const noexcept { return root_; }
  // The node of the prefix path[0..index] below `parent`; nullptr if there is none.
  TagNode* find(const TagNode* parent, const TagPath& path, std::size_t index) const noexcept;
  // REQUIRES: `find` gave nullptr for the same arguments. Starts without a holder: hold it, or
  // give it a child, before the mutex is released.
  TagNode* create(TagNode* parent, const TagPath& path, std::size_t index, Epoch version);

  static void hold(TagNode* node) noexcept { ++node->holders_; }
  // Drops one holder; frees the node, and ancestors that nobody needs, with the last.
  void release(TagNode* node) noexcept;

  // Nodes but the root, hidden ones included.
  std::size_t size() const noexcept { return size_; }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (TagNode* node : buckets_) {
      for (; node != nullptr; node = node->next_) visit(*node);
    }
  }

 private:
  void collect(TagNode* node) noexcept;
  void resize(std::size_t bucket_count);

  std::vector<TagNode*> buckets_;
  std::size_t size_ = 0;
  TagNode* root_;
};

}  // namespace zoocache::core
