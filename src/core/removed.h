// Entries that were taken out of the table, on their way to being dropped outside every lock:
// destructors of keys and values are users' code.
// Thread-safety: none; a local object of whoever changes the table.
#pragma once

#include <new>
#include <utility>
#include <vector>

#include "core/entry.h"
#include "core/function.h"
#include "core/log.h"

namespace zoocache::core {

class Removed {
 public:
  explicit Removed(InvalidationLog& log) noexcept : log_(log) {}
  Removed(const Removed&) = delete;
  Removed& operator=(const Removed&) = delete;
  ~Removed() { flush(); }

  // After it one `add` with as many nodes does not throw.
  void make_room(std::size_t nodes) {
    if (items_.size() == items_.capacity()) items_.reserve(items_.size() * 2 + 4);
    if (nodes_.capacity() - nodes_.size() < nodes) nodes_.reserve((nodes_.size() + nodes) * 2);
  }

  // Takes over everything, or throws bad_alloc and takes nothing.
  void add(DropWords drop, Word key, Word value, std::uint64_t state, Dependencies deps) {
    make_room(deps.nodes().size());
    items_.push_back({drop, key, value, state});
    nodes_.insert(nodes_.end(), deps.nodes().begin(), deps.nodes().end());
    deps.destroy();
  }

  // The same; without memory it drops at once. REQUIRES: no engine lock is held.
  void add_or_drop(DropWords drop, Word key, Word value, std::uint64_t state,
                   Dependencies deps) noexcept {
    try {
      add(drop, key, value, state, deps);
    } catch (const std::bad_alloc&) {
      log_.release(deps.nodes());
      deps.destroy();
      drop(key, value, state);
    }
  }

  // REQUIRES: no engine lock is held.
  void flush() noexcept {
    if (empty()) return;
    if (!nodes_.empty()) log_.release(nodes_);
    nodes_.clear();
    const std::vector<Item> items = std::exchange(items_, {});
    for (const Item& item : items) item.drop(item.key, item.value, item.state);
  }

  bool empty() const noexcept { return items_.empty(); }

 private:
  struct Item {
    DropWords drop;
    Word key;
    Word value;
    std::uint64_t state;
  };
  InvalidationLog& log_;
  std::vector<Item> items_;
  std::vector<TagNode*> nodes_;
};

}  // namespace zoocache::core
