#include "core/log.h"

#include <algorithm>
#include <array>

namespace zoocache::core {

Epoch InvalidationLog::invalidate(std::span<const TagPath> paths, std::uint32_t origin) {
  if (home_ == nullptr) return apply(paths, origin);
  std::vector<Change> changes;
  changes.reserve(paths.size());
  for (const TagPath& path : paths) changes.emplace_back(path.text());
  return home_->append(*this, changes, origin);
}

Epoch InvalidationLog::invalidate_root(std::uint32_t origin) {
  if (home_ == nullptr) return apply_root(origin);
  const Change everything;
  return home_->append(*this, {&everything, 1}, origin);
}

void InvalidationLog::announce(std::string_view first, std::string_view second,
                               std::uint32_t origin) {
  if (home_ == nullptr) return;
  const Change changes[] = {{first, true}, {second, true}};
  home_->append(*this, std::span(changes).first(second.empty() ? 1 : 2), origin);
}

// REQUIRES: the mutex.
void InvalidationLog::publish(Epoch epoch, std::span<const TagPath> paths,
                              InvalidationRing::Note note, Epoch again_of) noexcept {
  if (again_of == 0) {
    recent_.add(epoch, paths, note);
    invalidations_.fetch_add(1, std::memory_order_relaxed);
  } else {
    recent_.add_again(epoch, again_of);
  }
  clock_.store(epoch, std::memory_order_release);  // (4)
}

Epoch InvalidationLog::apply(std::span<const TagPath> paths, std::uint32_t origin,
                             Epoch again_of) noexcept {
  const InvalidationRing::Note note{origin, now_ms()};
  const std::lock_guard lock(mutex_);
  const Epoch epoch = clock_.load(std::memory_order_relaxed) + 1;  // (1)
  for (const TagPath& path : paths) {
    TagNode* node = trie_.root();
    for (std::size_t index = 0; node != nullptr && index < path.size(); ++index) {
      node = trie_.find(node, path, index);
    }
    if (node != nullptr) node->version.store(epoch, std::memory_order_release);  // (2)
    ring_.append(epoch, path.back().hash, note);                                 // (3)
  }
  publish(epoch, paths, note, again_of);
  return epoch;
}

Epoch InvalidationLog::apply_root(std::uint32_t origin, Epoch again_of) noexcept {
  const InvalidationRing::Note note{origin, now_ms()};
  const std::lock_guard lock(mutex_);
  const Epoch epoch = clock_.load(std::memory_order_relaxed) + 1;
  trie_.root()->version.store(epoch, std::memory_order_release);
  ring_.append(epoch, trie_.root()->hash, note);
  publish(epoch, {}, note, again_of);
  return epoch;
}

// A prefix without a node is known from the ring alone; below it there are no nodes either.
Epoch InvalidationLog::newest(const TagPath& path) const noexcept {
  const TagNode* node = trie_.root();
  Epoch newest = node->version.load(std::memory_order_relaxed);
  for (std::size_t index = 0; index < path.size(); ++index) {
    if (node != nullptr) node = trie_.find(node, path, index);
    const Epoch version = node != nullptr ? node->version.load(std::memory_order_relaxed)
                                          : ring_.newest(path[index].hash);
    newest = std::max(newest, version);
  }
  return newest;
}

bool InvalidationLog::is_held(const TagPath& path) const noexcept {
  if (held_.empty()) return false;
  if (held_.contains(root_hash())) return true;
  for (std::size_t index = 0; index < path.size(); ++index) {
    if (held_.contains(path[index].hash)) return true;
  }
  return false;
}

bool InvalidationLog::is_held(const TagNode* node) const noexcept {
  if (held_.empty()) return false;
  for (; node != nullptr; node = node->parent) {
    if (held_.contains(node->hash)) return true;
  }
  return false;
}

InvalidationLog::Standing InvalidationLog::judge(const TagPath& path, Epoch born) const noexcept {
  const TagNode* node = trie_.root();
  bool all_nodes = true;
  for (std::size_t index = 0; index < path.size() && all_nodes; ++index) {
    node = trie_.find(node, path, index);
    all_nodes = node != nullptr;
  }
  if (newest(path) > born) return Standing::kInvalidated;
  if (!all_nodes && ring_.floor() > born) return Standing::kForgotten;
  return is_held(path) ? Standing::kHeld : Standing::kCurrent;
}

InvalidationLog::Standing InvalidationLog::judge(const DepSet& deps, const TagNode* function,
                                                 const TagPath* own_key, Epoch born) const {
  // Nothing was invalidated since: there is nothing to look for.
  if (born == clock_.load(std::memory_order_relaxed) && held_.empty()) return Standing::kCurrent;
  const TagNode* top = function != nullptr ? function : trie_.root();
  if (!is_current(top, born)) return Standing::kInvalidated;
  if (is_held(top)) return Standing::kHeld;
  for (const TagNode* node : deps.nodes()) {
    if (!is_current(node, born)) return Standing::kInvalidated;
    if (is_held(node)) return Standing::kHeld;
  }
  if (own_key != nullptr) {
    const Standing own = judge(*own_key, born);
    if (own != Standing::kCurrent) return own;
  }
  for (const std::string& tag : deps.tags()) {
    const Standing one = judge(TagPath::trusted(tag), born);
    if (one != Standing::kCurrent) return one;
  }
  for (const DepSet::Key& key : deps.keys()) {
    const Standing one = judge(HiddenTag(key.function_id, key.key_hash).path(), born);
    if (one != Standing::kCurrent) return one;
  }
  return Standing::kCurrent;
}

InvalidationLog::Standing InvalidationLog::standing(const DepSet& deps, const TagNode* function,
                                                    const TagPath* own_key, Epoch born) const {
  const std::lock_guard lock(mutex_);
  return judge(deps, function, own_key, born);
}

// A new node starts at the newest position that names it, else at the ring's floor: later stores
// of older loads then find a node that knows what was forgotten (ring.pml, mutant ZERO).
TagNode* InvalidationLog::ensure(const TagPath& path) {
  TagNode* node = trie_.root();
  try {
    for (std::size_t index = 0; index < path.size(); ++index) {
      TagNode* below = trie_.find(node, path, index);
      if (below == nullptr) {
        const Epoch known = ring_.newest(path[index].hash);
        below = trie_.create(node, path, index, std::max(known, ring_.floor()));
      }
      node = below;
    }
  } catch (...) {
    TagTrie::hold(node);
    trie_.release(node);  // takes along what was created above it for nobody
    throw;
  }
  TagTrie::hold(node);
  return node;
}

InvalidationLog::Standing InvalidationLog::bind(const DepSet& deps, const TagNode* function,
                                                const TagPath* own_key, Epoch born,
                                                Dependencies* bound) {
  constexpr std::size_t kFew = 8;  // most loads have no more, and need no memory here
  const std::size_t most = deps.nodes().size() + deps.tags().size() + deps.keys().size();
  std::array<TagNode*, kFew> few;
  std::vector<TagNode*> many(most > kFew ? most : 0);
  TagNode** const nodes = most > kFew ? many.data() : few.data();
  std::size_t count = 0;
  const std::lock_guard lock(mutex_);
  const Standing standing = judge(deps, function, own_key, born);
  if (standing != Standing::kCurrent) return standing;
  try {
    for (TagNode* node : deps.nodes()) {
      TagTrie::hold(node);
      nodes[count++] = node;
    }
    for (const std::string& tag : deps.tags()) nodes[count++] = ensure(TagPath::trusted(tag));
    for (const DepSet::Key& key : deps.keys()) {
      nodes[count++] = ensure(HiddenTag(key.function_id, key.key_hash).path());
    }
    if (count > 1) {
      std::sort(nodes, nodes + count);
      TagNode** const end = std::unique(nodes, nodes + count, [this](TagNode* a, TagNode* b) {
        if (a == b) trie_.release(b);
        return a == b;
      });
      count = static_cast<std::size_t>(end - nodes);
    }
    *bound = Dependencies::of({nodes, count});
  } catch (...) {
    for (TagNode* node : std::span(nodes, count)) trie_.release(node);
    throw;
  }
  return Standing::kCurrent;
}

void InvalidationLog::hold_tags(std::span<const TagPath> paths) {
  const std::lock_guard lock(mutex_);
  std::size_t done = 0;
  try {
    for (; done < paths.size(); ++done) ++held_[paths[done].back().hash];
  } catch (...) {
    release_held(paths.first(done));
    throw;
  }
}

void InvalidationLog::release_tags(std::span<const TagPath> paths) noexcept {
  const std::lock_guard lock(mutex_);
  release_held(paths);
}

void InvalidationLog::hold_root() {
  const std::lock_guard lock(mutex_);
  ++held_[root_hash()];
}

void InvalidationLog::release_root() noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(root_hash());
  if (found != held_.end() && --found->second == 0) held_.erase(found);
}

bool InvalidationLog::has_hold(const TagPath& path) const {
  const std::lock_guard lock(mutex_);
  return is_held(path);
}

void InvalidationLog::release_held(std::span<const TagPath> paths) noexcept {
  for (const TagPath& path : paths) {
    const auto found = held_.find(path.back().hash);
    if (found != held_.end() && --found->second == 0) held_.erase(found);
  }
}

TagNode* InvalidationLog::acquire(const TagPath& path) {
  const std::lock_guard lock(mutex_);
  return ensure(path);
}

void InvalidationLog::hold(std::span<TagNode* const> nodes) noexcept {
  const std::lock_guard lock(mutex_);
  for (TagNode* node : nodes) TagTrie::hold(node);
}

void InvalidationLog::release(std::span<TagNode* const> nodes) noexcept {
  const std::lock_guard lock(mutex_);
  for (TagNode* node : nodes) trie_.release(node);
}

Epoch InvalidationLog::version(const TagPath& path) {
  if (home_ != nullptr) {
    arrive();  // finds out what has become of the home
    return home_->version(path);
  }
  const std::lock_guard lock(mutex_);
  return newest(path);
}

void InvalidationLog::set_teller(MemoryTeller* teller) {
  const std::lock_guard lock(teller_mutex_);
  teller_ = teller;
}

void InvalidationLog::inspect(const MemoryQuestion& question) noexcept {
  const std::lock_guard lock(teller_mutex_);
  if (teller_ != nullptr) teller_->inspect(question);
}

std::vector<InvalidationLog::TagRow> InvalidationLog::rows(std::string_view prefix) const {
  std::vector<TagRow> rows;
  const std::lock_guard lock(mutex_);
  trie_.for_each([&](const TagNode& node) {
    if (node.hidden()) return;
    std::string tag = node.text();
    const bool below = tag.starts_with(prefix) &&
                       (prefix.empty() || tag.size() == prefix.size() || tag[prefix.size()] == ':');
    if (below) {
      rows.push_back(
          {std::move(tag), node.version.load(std::memory_order_relaxed), node.holders()});
    }
  });
  std::sort(rows.begin(), rows.end(),
            [](const TagRow& left, const TagRow& right) { return left.tag < right.tag; });
  return rows;
}

std::size_t InvalidationLog::tag_count() const {
  const std::lock_guard lock(mutex_);
  return trie_.size();
}

std::size_t InvalidationLog::visible_tag_count() const {
  std::size_t visible = 0;
  const std::lock_guard lock(mutex_);
  trie_.for_each([&visible](const TagNode& node) { visible += node.hidden() ? 0 : 1; });
  return visible;
}

std::vector<RecentInvalidation> InvalidationLog::recent() const {
  const std::lock_guard lock(mutex_);
  return recent_.rows();
}

InvalidationRing::Note InvalidationLog::note(Epoch epoch, std::uint64_t hash) const {
  const std::lock_guard lock(mutex_);
  const InvalidationRing::Note* found = ring_.find(epoch, hash);
  return found == nullptr ? InvalidationRing::Note{} : *found;
}

}  // namespace zoocache::core
