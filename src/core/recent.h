// The newest invalidations in words, each with how many entries have been found dead of it so far:
// for people who look at a cache. Nothing depends on them.
//
//   slot = epoch & mask    | epoch | again_of | texts of the tags | origin | time | died |
//
// One that took effect twice (InvalidationLog::apply) has the record of the first time; the second
// has a slot that leads there.
// A death is counted where an entry goes, which may be long after; one whose record was overwritten
// is not counted.
// Thread-safety: `add` and `rows` with the log's mutex; `note_death` from any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "core/epoch.h"
#include "core/invalidation_ring.h"
#include "core/tag.h"

namespace zoocache::core {

struct RecentInvalidation {
  Epoch epoch = 0;
  bool everything = false;               // clear()
  std::vector<std::string> tags;         // users' tags
  std::vector<std::uint64_t> functions;  // whose calls, or one of them, were invalidated
  std::size_t more = 0;                  // of either, which were too many to be remembered
  std::uint64_t died = 0;
  InvalidationRing::Note note;
};

class RecentInvalidations {
 public:
  // Of one invalidation.
  static constexpr std::size_t kMostBytes = 1024;
  static constexpr std::size_t kMostFunctions = 16;

  // As many as the next power of two; 0: none.
  explicit RecentInvalidations(std::size_t capacity)
      : slots_(capacity == 0 ? 0 : std::bit_ceil(capacity)) {}

  // `paths` empty: everything. Without memory for them the texts are among the `more`.
  void add(Epoch epoch, std::span<const TagPath> paths, InvalidationRing::Note note) noexcept {
    if (slots_.empty()) return;
    Slot& slot = emptied(epoch);
    slot.everything = paths.empty();
    slot.note = note;
    for (const TagPath& path : paths) remember(slot, path.text());
    slot.epoch.store(epoch, std::memory_order_release);
  }

  void add_again(Epoch epoch, Epoch again_of) noexcept {
    if (slots_.empty()) return;
    if (slots_.size() > 1) {  // else it is the first one's, which goes on under this epoch
      emptied(epoch).again_of.store(again_of, std::memory_order_relaxed);
    }
    slot_of(epoch).epoch.store(epoch, std::memory_order_release);
  }

  void note_death(Epoch epoch) noexcept {
    if (slots_.empty()) return;
    Slot* slot = &slot_of(epoch);
    if (slot->epoch.load(std::memory_order_acquire) != epoch) return;
    const Epoch first = slot->again_of.load(std::memory_order_relaxed);
    if (first != 0) {
      slot = &slot_of(first);
      if (slot->epoch.load(std::memory_order_acquire) != first) return;
    }
    slot->died.fetch_add(1, std::memory_order_relaxed);
  }

  // The newest first.
  std::vector<RecentInvalidation> rows() const {
    std::vector<RecentInvalidation> rows;
    for (const Slot& slot : slots_) {
      if (slot.epoch.load(std::memory_order_relaxed) == 0) continue;
      if (slot.again_of.load(std::memory_order_relaxed) != 0) continue;
      RecentInvalidation row;
      row.epoch = slot.epoch.load(std::memory_order_relaxed);
      row.everything = slot.everything;
      row.more = slot.more;
      row.died = slot.died.load(std::memory_order_relaxed);
      row.note = slot.note;
      row.functions = slot.functions;
      for (std::size_t begin = 0; begin < slot.texts.size();) {
        const std::size_t end = slot.texts.find('\0', begin);
        const std::string_view text = std::string_view(slot.texts).substr(begin, end - begin);
        begin = end + 1;
        row.tags.emplace_back(text);
      }
      rows.push_back(std::move(row));
    }
    std::sort(rows.begin(), rows.end(),
              [](const auto& left, const auto& right) { return left.epoch > right.epoch; });
    return rows;
  }

 private:
  struct Slot {
    std::atomic<Epoch> epoch{0};
    std::atomic<Epoch> again_of{0};  // 0: the record is here
    std::atomic<std::uint64_t> died{0};
    std::string texts;  // of users' tags, each with a zero behind it, which no tag has
    std::vector<std::uint64_t> functions;
    std::size_t more = 0;
    bool everything = false;
    InvalidationRing::Note note;
  };

  Slot& slot_of(Epoch epoch) noexcept { return slots_[epoch & (slots_.size() - 1)]; }

  Slot& emptied(Epoch epoch) noexcept {
    Slot& slot = slot_of(epoch);
    slot.epoch.store(0, std::memory_order_relaxed);
    slot.again_of.store(0, std::memory_order_relaxed);
    slot.died.store(0, std::memory_order_relaxed);
    slot.texts.clear();
    slot.functions.clear();
    slot.more = 0;
    return slot;
  }

  static void remember(Slot& slot, std::string_view text) noexcept {
    try {
      if (const auto function = HiddenTag::function_of(text)) {
        if (std::find(slot.functions.begin(), slot.functions.end(), *function) !=
            slot.functions.end()) {
          return;  // one of its calls, and any of its calls
        }
        if (slot.functions.size() < kMostFunctions) {
          slot.functions.push_back(*function);
          return;
        }
      } else if (slot.texts.size() + text.size() < kMostBytes) {
        slot.texts.append(text).push_back('\0');
        return;
      }
    } catch (const std::bad_alloc&) {
      slot.texts.resize(slot.texts.rfind('\0') + 1);  // without the part of a text
    }
    ++slot.more;
  }

  std::vector<Slot> slots_;
};

}  // namespace zoocache::core
