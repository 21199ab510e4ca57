// All entries of an engine, in chunks that never move, so that a number is an address.
//
// Free numbers are handed out from the lowest chunk that has one, and a chunk without a live entry
// is given back: memory follows the number of entries down as well as up.
// Thread-safety: `hot` and `cold` of a live number from any thread; the rest under the table lock.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "core/entry.h"

namespace zoocache::core {

class EntrySlab {
 public:
  EntrySlab()
      : chunks_(static_cast<std::atomic<Chunk*>*>(std::calloc(kMaxChunks, sizeof(Chunk*)))) {
    if (chunks_ == nullptr) throw std::bad_alloc();
  }
  ~EntrySlab() {
    for (std::size_t index = 0; index < used_; ++index) delete chunk(index);
    std::free(chunks_);
  }
  EntrySlab(const EntrySlab&) = delete;
  EntrySlab& operator=(const EntrySlab&) = delete;

  HotEntry& hot(EntryId id) const noexcept { return chunk(id / kChunkSize)->hot[id % kChunkSize]; }
  ColdEntry& cold(EntryId id) const noexcept {
    return chunk(id / kChunkSize)->cold[id % kChunkSize];
  }

  // A number whose two records are as new.
  EntryId allocate() {
    const std::size_t index = first_with_room();
    Chunk& home = *chunk(index);
    const EntryId slot = home.free.back();
    if (spare_ == index) spare_ = kNoSpare;
    home.free.pop_back();
    if (home.free.empty()) set_room(index, false);
    ++live_;
    return static_cast<EntryId>(index * kChunkSize + slot);
  }

  // REQUIRES: nobody reads the entry any more.
  void release(EntryId id) noexcept {
    const std::size_t index = id / kChunkSize;
    Chunk& home = *chunk(index);
    ColdEntry& cold = home.cold[id % kChunkSize];
    cold.~ColdEntry();
    new (&cold) ColdEntry;
    home.free.push_back(id % kChunkSize);  // capacity was reserved
    set_room(index, true);
    --live_;
    if (home.free.size() < kChunkSize) return;
    if (spare_ == kNoSpare) {
      spare_ = index;  // one empty chunk stays, so that an entry that comes and goes costs nothing
    } else {
      chunks_[index].store(nullptr, std::memory_order_relaxed);
      delete &home;
    }
  }

  std::size_t live() const noexcept { return live_; }
  // Numbers below it may be live; for sweeps, with `is_live`.
  std::size_t bound() const noexcept { return used_ * kChunkSize; }
  bool has_chunk(EntryId id) const noexcept { return chunk(id / kChunkSize) != nullptr; }
  bool is_live(EntryId id) const noexcept { return cold(id).queue != Queue::kNone; }

  static constexpr std::size_t kChunkSize = 4096;

 private:
  struct Chunk {
    HotEntry hot[kChunkSize];
    ColdEntry cold[kChunkSize];
    std::vector<EntryId> free;
  };
  // 2^20 chunks of 2^12: every 32-bit number but the last chunk's.
  static constexpr std::size_t kMaxChunks = (std::size_t{1} << 20) - 1;

  Chunk* chunk(std::size_t index) const noexcept {
    return chunks_[index].load(std::memory_order_relaxed);
  }

  std::size_t first_with_room() {
    for (std::size_t word = 0; word < room_.size(); ++word) {
      if (room_[word] == 0) continue;
      const std::size_t index = word * 64 + static_cast<std::size_t>(std::countr_zero(room_[word]));
      if (chunk(index) == nullptr) make_chunk(index);
      return index;
    }
    if (used_ == kMaxChunks) throw std::bad_alloc();
    const std::size_t index = used_;
    if (index / 64 == room_.size()) room_.push_back(0);
    make_chunk(index);
    ++used_;
    set_room(index, true);
    return index;
  }

  void make_chunk(std::size_t index) {
    auto made = std::make_unique<Chunk>();
    made->free.reserve(kChunkSize);
    for (std::size_t slot = kChunkSize; slot-- > 0;) {
      made->free.push_back(static_cast<EntryId>(slot));
    }
    chunks_[index].store(made.release(), std::memory_order_relaxed);
  }

  void set_room(std::size_t index, bool room) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    if (room) {
      room_[index / 64] |= bit;
    } else {
      room_[index / 64] &= ~bit;
    }
  }

  std::atomic<Chunk*>* chunks_;
  std::size_t used_ = 0;
  std::size_t live_ = 0;
  static constexpr std::size_t kNoSpare = ~std::size_t{0};
  std::size_t spare_ = kNoSpare;
  std::vector<std::uint64_t> room_;  // a bit for each chunk that has a free number
};

}  // namespace zoocache::core
