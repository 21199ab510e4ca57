#include "core/dependencies.h"

#include <bit>
#include <cstring>
#include <new>

namespace zoocache::core {
namespace {

constexpr std::size_t kBloomBitsPerHash = 24;
constexpr int kBloomProbes = 6;  // with 24 bits a hash: about one false alarm in 10,000

std::size_t bloom_words(std::size_t hashes) {
  return std::bit_ceil((hashes * kBloomBitsPerHash + 63) / 64);
}

}  // namespace

bool Dependencies::List::may_contain(std::uint64_t hash) noexcept {
  // Kirsch and Mitzenmacher: two halves of one hash make as many probes as needed.
  const std::uint64_t step = (hash >> 32) | 1;
  std::uint64_t probe = hash;
  for (int index = 0; index < kBloomProbes; ++index, probe += step) {
    const std::uint64_t bit = probe * 0x9E3779B97F4A7C15ULL;
    if ((bloom()[(bit >> 8) & bloom_mask] >> (bit >> 58) & 1) == 0) return false;
  }
  return true;
}

void Dependencies::List::insert(std::uint64_t hash) noexcept {
  const std::uint64_t step = (hash >> 32) | 1;
  std::uint64_t probe = hash;
  for (int index = 0; index < kBloomProbes; ++index, probe += step) {
    const std::uint64_t bit = probe * 0x9E3779B97F4A7C15ULL;
    bloom()[(bit >> 8) & bloom_mask] |= std::uint64_t{1} << (bit >> 58);
  }
}

Dependencies Dependencies::of(std::span<TagNode* const> nodes) {
  Dependencies made;
  if (nodes.empty()) return made;
  if (nodes.size() == 1) {
    made.word_ = reinterpret_cast<std::uintptr_t>(nodes[0]);
    return made;
  }
  std::size_t words = 0;
  if (nodes.size() > kBloomAbove) {
    std::size_t hashes = 0;
    for (const TagNode* node : nodes) {
      for (; node->parent != nullptr; node = node->parent) ++hashes;
    }
    words = bloom_words(hashes);
  }
  const std::size_t size =
      sizeof(List) + nodes.size() * sizeof(TagNode*) + words * sizeof(std::uint64_t);
  auto* list = new (::operator new(size)) List;
  list->count = static_cast<std::uint32_t>(nodes.size());
  list->bloom_mask = words == 0 ? 0 : static_cast<std::uint32_t>(words - 1);
  std::memcpy(list->nodes(), nodes.data(), nodes.size_bytes());
  std::memset(list->bloom(), 0, words * sizeof(std::uint64_t));
  if (words != 0) {
    for (const TagNode* node : nodes) {
      for (; node->parent != nullptr; node = node->parent) list->insert(node->hash);
    }
  }
  made.word_ = reinterpret_cast<std::uintptr_t>(list) | 1;
  return made;
}

bool Dependencies::is_current(Epoch born, Epoch validated, Epoch now,
                              const InvalidationRing& ring) const noexcept {
  if ((word_ & 1) != 0 && list()->count > kBloomAbove && now > validated) {
    // The root is no tag's hash in the filter: whoever asks has checked it (Entry validity walks
    // the function's own path first, which ends at the root).
    List* deps = list();
    const auto touches = [deps](std::uint64_t hash) { return deps->may_contain(hash); };
    if (ring.any_since(validated, touches) == InvalidationRing::Answer::kNone) return true;
  }
  for (const TagNode* node : nodes()) {
    if (!core::is_current(node, born)) return false;
  }
  return true;
}

const TagNode* Dependencies::find_killer(Epoch born) const noexcept {
  const TagNode* killer = nullptr;
  Epoch newest = born;
  for (const TagNode* node : nodes()) {
    for (; node != nullptr; node = node->parent) {
      const Epoch version = node->version.load(std::memory_order_acquire);
      if (version > newest) {
        newest = version;
        killer = node;
      }
    }
  }
  return killer;
}

std::size_t Dependencies::size_bytes() const noexcept {
  if ((word_ & 1) == 0) return 0;
  const List& deps = *list();
  const std::size_t words = deps.count > kBloomAbove ? deps.bloom_mask + std::size_t{1} : 0;
  return sizeof(List) + deps.count * sizeof(TagNode*) + words * sizeof(std::uint64_t);
}

void Dependencies::destroy() noexcept {
  if ((word_ & 1) != 0) ::operator delete(list());
  word_ = 0;
}

}  // namespace zoocache::core
