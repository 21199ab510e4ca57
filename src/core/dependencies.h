// What one entry depends on, bound to nodes of the trie: one word in the entry's record.
//
//   0                 nothing
//   node              one dependency
//   list | 1          { count, bloom_mask, nodes[count], bloom[bloom_mask + 1] }
//
// Entries with more than kBloomAbove dependencies carry a bloom filter of all hashes on their
// paths, so that a moved clock costs a look at the new invalidations instead of a walk
// (model: bloom.pml).
// Thread-safety: immutable after construction; `is_current` may run in any thread as long as the
// entry is protected from reclamation. The nodes are held: InvalidationLog::release drops them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/epoch.h"
#include "core/invalidation_ring.h"
#include "core/tag_trie.h"

namespace zoocache::core {

class Dependencies {
 public:
  static constexpr std::size_t kBloomAbove = 8;

  Dependencies() = default;
  // Takes over one hold on each node.
  static Dependencies of(std::span<TagNode* const> nodes);

  std::span<TagNode* const> nodes() const noexcept {
    if (word_ == 0) return {};
    if ((word_ & 1) == 0) return {reinterpret_cast<TagNode* const*>(&word_), 1};
    return {list()->nodes(), list()->count};
  }

  // Whether no invalidation after `born` named a dependency or an ancestor of one. `validated`:
  // an epoch at which this was true; `now`: the clock, loaded before.
  bool is_current(Epoch born, Epoch validated, Epoch now,
                  const InvalidationRing& ring) const noexcept;

  // The node that made the entry invalid: the highest one with a version after `born`.
  const TagNode* find_killer(Epoch born) const noexcept;

  std::size_t size_bytes() const noexcept;  // beyond the word itself
  // Frees the memory, not the holds. The object is empty afterwards.
  void destroy() noexcept;

 private:
  struct List {
    std::uint32_t count;
    std::uint32_t bloom_mask;  // words - 1; meaningless when count <= kBloomAbove
    TagNode** nodes() noexcept { return reinterpret_cast<TagNode**>(this + 1); }
    std::uint64_t* bloom() noexcept { return reinterpret_cast<std::uint64_t*>(nodes() + count); }
    bool may_contain(std::uint64_t hash) noexcept;
    void insert(std::uint64_t hash) noexcept;
  };
  List* list() const noexcept { return reinterpret_cast<List*>(word_ & ~std::uintptr_t{1}); }

  std::uintptr_t word_ = 0;
};

}  // namespace zoocache::core
