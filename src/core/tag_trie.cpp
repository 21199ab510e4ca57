#include "core/tag_trie.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace zoocache::core {
namespace {

constexpr std::size_t kSmallestTable = 16;

}  // namespace

std::string TagNode::text() const {
  std::string reversed;
  for (const TagNode* node = this; node->parent != nullptr; node = node->parent) {
    const std::string_view part = node->segment();
    if (!reversed.empty()) reversed += ':';
    reversed.append(part.rbegin(), part.rend());
  }
  std::reverse(reversed.begin(), reversed.end());
  return reversed;
}

// Below the root; the root itself has none.
const TagNode* TagNode::top() const noexcept {
  const TagNode* node = this;
  while (node->parent != nullptr && node->parent->parent != nullptr) node = node->parent;
  return node->parent != nullptr ? node : nullptr;
}

bool TagNode::hidden() const noexcept {
  const TagNode* const above = top();
  return above != nullptr && above->segment().front() == kHiddenMark;
}

std::uint64_t TagNode::hidden_function() const noexcept {
  return *HiddenTag::function_of(top()->segment());
}

TagTrie::TagTrie() : buckets_(kSmallestTable, nullptr) {
  root_ = new (::operator new(sizeof(TagNode))) TagNode(0, nullptr, root_hash(), 0);
}

TagTrie::~TagTrie() {
  for (TagNode* node : buckets_) {
    while (node != nullptr) {
      TagNode* next = node->next_;
      ::operator delete(node);
      node = next;
    }
  }
  ::operator delete(root_);
}

TagNode* TagTrie::find(const TagNode* parent, const TagPath& path,
                       std::size_t index) const noexcept {
  const std::uint64_t hash = path[index].hash;
  TagNode* node = buckets_[hash & (buckets_.size() - 1)];
  while (node != nullptr && !(node->hash == hash && node->parent == parent &&
                              node->segment() == path.segment(index))) {
    node = node->next_;
  }
  return node;
}

TagNode* TagTrie::create(TagNode* parent, const TagPath& path, std::size_t index, Epoch version) {
  if (size_ >= buckets_.size()) resize(buckets_.size() * 2);
  const std::string_view segment = path.segment(index);
  void* memory = ::operator new(sizeof(TagNode) + segment.size());
  auto* node = new (memory)
      TagNode(version, parent, path[index].hash, static_cast<std::uint32_t>(segment.size()));
  std::memcpy(static_cast<void*>(node + 1), segment.data(), segment.size());
  TagNode*& bucket = buckets_[node->hash & (buckets_.size() - 1)];
  node->next_ = bucket;
  bucket = node;
  ++parent->children_;
  ++size_;
  return node;
}

void TagTrie::release(TagNode* node) noexcept {
  --node->holders_;
  collect(node);
}

void TagTrie::collect(TagNode* node) noexcept {
  while (node != root_ && node->holders_ == 0 && node->children_ == 0) {
    TagNode** link = &buckets_[node->hash & (buckets_.size() - 1)];
    while (*link != node) link = &(*link)->next_;
    *link = node->next_;
    TagNode* parent = node->parent;
    ::operator delete(node);
    --parent->children_;
    --size_;
    node = parent;
  }
  if (buckets_.size() > kSmallestTable && size_ < buckets_.size() / 8) {
    try {
      resize(buckets_.size() / 2);
    } catch (const std::bad_alloc&) {
      return;  // the larger table stays in use
    }
  }
}

void TagTrie::resize(std::size_t bucket_count) {
  std::vector<TagNode*> buckets(bucket_count, nullptr);
  for (TagNode* node : buckets_) {
    while (node != nullptr) {
      TagNode* next = node->next_;
      TagNode*& bucket = buckets[node->hash & (bucket_count - 1)];
      node->next_ = bucket;
      bucket = node;
      node = next;
    }
  }
  buckets_.swap(buckets);
}

}  // namespace zoocache::core
