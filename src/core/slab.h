// All entries of an engine, in chunks that never move, so that a number is an address.
//
//   arena, 5 MiB of addresses   | hot records of 16 chunks, 2 MiB | cold records of 16 chunks |
//   chunk, 4,096 entries          128 KiB of the one, and 192 KiB of the other
//
// Free numbers are handed out from the lowest chunk that has one, and a chunk without a live entry
// is given back: memory follows the number of entries down as well as up. Records cost memory from
// their first use; an arena whose chunks are all in use moves to huge pages, where one TLB entry
// reaches all its hot records.
// Thread-safety: `hot` and `cold` of a live number from any thread; the rest under the table lock.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include "core/entry.h"
#include "core/pages.h"

namespace zoocache::core {

class EntrySlab {
 public:
  EntrySlab()
      : arenas_(static_cast<std::atomic<Arena*>*>(std::calloc(kMaxArenas, sizeof(Arena*)))) {
    if (arenas_ == nullptr) throw std::bad_alloc();
  }
  ~EntrySlab() {
    for (std::size_t index = 0; index * kChunksPerArena < chunks_.size(); ++index) {
      if (arena(index) != nullptr) pages::unmap(arena(index), sizeof(Arena));
    }
    std::free(arenas_);
  }
  EntrySlab(const EntrySlab&) = delete;
  EntrySlab& operator=(const EntrySlab&) = delete;

  HotEntry& hot(EntryId id) const noexcept { return arena(id / kArenaSize)->hot[id % kArenaSize]; }
  ColdEntry& cold(EntryId id) const noexcept {
    return arena(id / kArenaSize)->cold[id % kArenaSize];
  }

  // A number whose two records are as new.
  EntryId allocate() {
    const std::size_t index = first_with_room();
    Chunk& home = chunks_[index];
    const bool fresh = home.free == kNoEntry;
    const auto id = fresh ? static_cast<EntryId>(index * kChunkSize + home.used++) : home.free;
    if (!fresh) home.free = cold(id).newer;
    if (spare_ == index) spare_ = kNoSpare;
    if (++home.live == kChunkSize) set_room(index, false);
    ++live_;
    new (&hot(id)) HotEntry;
    new (&cold(id)) ColdEntry;
    return id;
  }

  // REQUIRES: nobody reads the entry any more.
  void release(EntryId id) noexcept {
    const std::size_t index = id / kChunkSize;
    Chunk& home = chunks_[index];
    ColdEntry& free = cold(id);
    free.~ColdEntry();
    new (&free) ColdEntry;
    free.newer = home.free;  // the list of free numbers lies in their own records
    home.free = id;
    set_room(index, true);
    --live_;
    if (--home.live != 0) return;
    if (spare_ == kNoSpare) {
      spare_ = index;  // one empty chunk stays, so that an entry that comes and goes costs nothing
    } else {
      drop_chunk(index);
    }
  }

  std::size_t live() const noexcept { return live_; }
  // Numbers below it may be live; for sweeps, with `is_live`.
  std::size_t bound() const noexcept { return chunks_.size() * kChunkSize; }
  bool has_chunk(EntryId id) const noexcept { return chunks_[id / kChunkSize].present; }
  bool is_live(EntryId id) const noexcept { return cold(id).queue != Queue::kNone; }

  static constexpr std::size_t kChunkSize = 4096;

 private:
  static constexpr std::size_t kChunksPerArena = 16;
  static constexpr std::size_t kArenaSize = kChunksPerArena * kChunkSize;
  // Untouched memory, zeros, is free records.
  struct Arena {
    HotEntry hot[kArenaSize];
    ColdEntry cold[kArenaSize];
  };
  static_assert(sizeof(Arena::hot) == pages::kHugeBytes);
  struct Chunk {
    EntryId free = kNoEntry;  // the number given back last; its record names the next one
    std::uint16_t used = 0;   // numbers that were ever handed out: the first ones
    std::uint16_t live = 0;
    bool present = false;
  };
  // 2^20 chunks of 2^12: every 32-bit number but the last chunk's.
  static constexpr std::size_t kMaxChunks = (std::size_t{1} << 20) - 1;
  static constexpr std::size_t kMaxArenas = kMaxChunks / kChunksPerArena + 1;

  Arena* arena(std::size_t index) const noexcept {
    return arenas_[index].load(std::memory_order_relaxed);
  }

  std::size_t first_with_room() {
    for (std::size_t word = 0; word < room_.size(); ++word) {
      if (room_[word] == 0) continue;
      const std::size_t index = word * 64 + static_cast<std::size_t>(std::countr_zero(room_[word]));
      if (!chunks_[index].present) make_chunk(index);
      return index;
    }
    const std::size_t index = chunks_.size();
    if (index == kMaxChunks) throw std::bad_alloc();
    if (index / 64 == room_.size()) room_.push_back(0);
    chunks_.emplace_back();
    set_room(index, true);
    make_chunk(index);
    return index;
  }

  // Chunks of the arena that are in use.
  std::size_t present_in(std::size_t arena_index) const noexcept {
    std::size_t count = 0;
    const std::size_t first = arena_index * kChunksPerArena;
    for (std::size_t at = first; at < first + kChunksPerArena && at < chunks_.size(); ++at) {
      count += chunks_[at].present ? 1 : 0;
    }
    return count;
  }

  void make_chunk(std::size_t index) {
    std::atomic<Arena*>& home = arenas_[index / kChunksPerArena];
    if (home.load(std::memory_order_relaxed) == nullptr) {
      home.store(static_cast<Arena*>(pages::map(sizeof(Arena), false)), std::memory_order_relaxed);
    }
    chunks_[index] = {.present = true};
    if (present_in(index / kChunksPerArena) == kChunksPerArena) {
      pages::gather(home.load(std::memory_order_relaxed), sizeof(Arena));
    }
  }

  void drop_chunk(std::size_t index) noexcept {
    chunks_[index].present = false;
    std::atomic<Arena*>& home = arenas_[index / kChunksPerArena];
    Arena* const memory = home.load(std::memory_order_relaxed);
    if (present_in(index / kChunksPerArena) == 0) {
      home.store(nullptr, std::memory_order_relaxed);
      pages::unmap(memory, sizeof(Arena));
      return;
    }
    const std::size_t first = index % kChunksPerArena * kChunkSize;
    pages::discard(&memory->hot[first], kChunkSize * sizeof(HotEntry));
    pages::discard(&memory->cold[first], kChunkSize * sizeof(ColdEntry));
  }

  void set_room(std::size_t index, bool room) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    if (room) {
      room_[index / 64] |= bit;
    } else {
      room_[index / 64] &= ~bit;
    }
  }

  std::atomic<Arena*>* arenas_;
  std::vector<Chunk> chunks_;
  std::size_t live_ = 0;
  static constexpr std::size_t kNoSpare = ~std::size_t{0};
  std::size_t spare_ = kNoSpare;
  std::vector<std::uint64_t> room_;  // a bit for each chunk that has a free number
};

}  // namespace zoocache::core
