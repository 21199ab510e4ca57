#include "core/dep_set.h"

#include <algorithm>
#include <utility>

#include "core/log.h"

namespace zoocache::core {

void DepSet::add_tag(std::string_view tag) {
  if (!tags_.empty() && tags_.back() == tag) return;
  if (size() >= limit_) drop_duplicates();
  tags_.emplace_back(tag);
}

void DepSet::add_key(Key key) {
  if (!keys_.empty() && keys_.back() == key) return;
  if (size() >= limit_) drop_duplicates();
  keys_.push_back(key);
}

void DepSet::add_nodes(std::span<TagNode* const> nodes) {
  if (nodes.empty()) return;
  if (size() >= limit_) drop_duplicates();
  nodes_.insert(nodes_.end(), nodes.begin(), nodes.end());
  log_->hold(nodes);
}

void DepSet::merge(const DepSet& other) {
  for (const std::string& tag : other.tags_) add_tag(tag);
  for (const Key& key : other.keys_) add_key(key);
  add_nodes(other.nodes_);
}

void DepSet::take(DepSet& other) {
  if (empty()) {
    tags_.swap(other.tags_);
    nodes_.swap(other.nodes_);
    keys_.swap(other.keys_);
    std::swap(limit_, other.limit_);
  } else {
    merge(other);
    other.clear();
  }
}

void DepSet::clear() noexcept {
  if (!nodes_.empty()) log_->release(nodes_);
  nodes_.clear();
  tags_.clear();
  keys_.clear();
}

void DepSet::drop_duplicates() {
  std::sort(tags_.begin(), tags_.end());
  tags_.erase(std::unique(tags_.begin(), tags_.end()), tags_.end());
  std::sort(keys_.begin(), keys_.end());
  keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
  std::sort(nodes_.begin(), nodes_.end());
  std::vector<TagNode*> extra;
  for (std::size_t index = 1; index < nodes_.size(); ++index) {
    if (nodes_[index] == nodes_[index - 1]) extra.push_back(nodes_[index]);
  }
  nodes_.erase(std::unique(nodes_.begin(), nodes_.end()), nodes_.end());
  if (!extra.empty()) log_->release(extra);
  limit_ = std::max(kFirstLimit, 2 * size());
}

}  // namespace zoocache::core
