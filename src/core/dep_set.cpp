#include "core/dep_set.h"

#include <algorithm>
#include <utility>

#include "core/log.h"

namespace zoocache::core {

// Drops duplicates whenever the size has doubled: a loader may name one tag a million times.
DepSet::Lists& DepSet::lists() {
  if (lists_ == nullptr) lists_ = std::make_unique<Lists>();
  if (lists_->size() >= lists_->limit) drop_duplicates();
  return *lists_;
}

void DepSet::add_tag(std::string_view tag) {
  if (!tags().empty() && tags().back() == tag) return;
  lists().tags.emplace_back(tag);
}

void DepSet::add_key(Key key) {
  if (!keys().empty() && keys().back() == key) return;
  lists().keys.push_back(key);
}

void DepSet::add_nodes(std::span<TagNode* const> nodes) {
  if (nodes.empty()) return;
  std::vector<TagNode*>& held = lists().nodes;
  held.insert(held.end(), nodes.begin(), nodes.end());
  log_->hold(nodes);
}

void DepSet::merge(const DepSet& other) {
  for (const std::string& tag : other.tags()) add_tag(tag);
  for (const Key& key : other.keys()) add_key(key);
  add_nodes(other.nodes());
}

void DepSet::take(DepSet& other) {
  if (empty()) {
    lists_ = std::move(other.lists_);
  } else {
    merge(other);
    other.clear();
  }
}

void DepSet::clear() noexcept {
  if (!nodes().empty()) log_->release(nodes());
  lists_.reset();
}

void DepSet::drop_duplicates() {
  auto& [tags, nodes, keys, limit] = *lists_;
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::sort(nodes.begin(), nodes.end());
  std::vector<TagNode*> extra;
  for (std::size_t index = 1; index < nodes.size(); ++index) {
    if (nodes[index] == nodes[index - 1]) extra.push_back(nodes[index]);
  }
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  if (!extra.empty()) log_->release(extra);
  limit = std::max(kFirstLimit, 2 * lists_->size());
}

}  // namespace zoocache::core
