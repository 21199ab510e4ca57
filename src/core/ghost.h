// The hashes of the keys that the small queue gave up lately: a key that comes back soon after
// deserves the main queue at once.
//
// A FIFO of the last `capacity` hashes, chained by bucket; a chain ends where its sequence number
// has left the window, so expiry costs nothing.
// Thread-safety: under the table lock.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

namespace zoocache::core {

class GhostQueue {
 public:
  explicit GhostQueue(std::size_t capacity) noexcept : capacity_(capacity) {}

  void add(std::uint64_t hash) {
    if (capacity_ == 0) return;
    if (sequence_ >= slots_ && slots_ < std::bit_ceil(capacity_)) grow();
    const std::uint64_t sequence = ++sequence_;
    Record& record = records_[sequence & mask_];
    std::uint64_t& head = heads_[hash & mask_];
    record = {hash, head};
    head = sequence;
  }

  // Whether `hash` was among the last `capacity`; it is forgotten by being asked for.
  bool take(std::uint64_t hash) noexcept {
    if (slots_ == 0) return false;
    for (std::uint64_t at = heads_[hash & mask_]; in_window(at);
         at = records_[at & mask_].previous) {
      Record& record = records_[at & mask_];
      if (record.hash == hash) {
        record.hash = ~hash;  // belongs to another bucket: never found again
        return true;
      }
    }
    return false;
  }

  std::size_t size_bytes() const noexcept {
    return slots_ * (sizeof(Record) + sizeof(std::uint64_t));
  }

 private:
  struct Record {
    std::uint64_t hash;
    std::uint64_t previous;
  };
  struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  bool in_window(std::uint64_t at) const noexcept {
    return at != 0 && at + capacity_ > sequence_ && at + slots_ > sequence_;
  }

  // Doubles until it holds `capacity`: a bound of a million entries costs nothing before the
  // first eviction, and little while evictions are few.
  void grow() {
    constexpr std::size_t kFirst = 64;
    const std::size_t most = std::bit_ceil(capacity_);
    const std::size_t wanted = slots_ == 0 ? kFirst : slots_ * 2;
    const std::size_t slots = wanted < most ? wanted : most;
    auto records = zeroed<Record>(slots);
    auto heads = zeroed<std::uint64_t>(slots);
    const std::uint64_t first = sequence_ > slots_ ? sequence_ - slots_ + 1 : 1;
    for (std::uint64_t at = first; at <= sequence_ && slots_ != 0; ++at) {
      const std::uint64_t hash = records_[at & mask_].hash;
      records[at & (slots - 1)] = {hash, heads[hash & (slots - 1)]};
      heads[hash & (slots - 1)] = at;
    }
    records_ = std::move(records);
    heads_ = std::move(heads);
    slots_ = slots;
    mask_ = slots - 1;
  }

  template <class T>
  static std::unique_ptr<T[], Free> zeroed(std::size_t count) {
    void* memory = std::calloc(count, sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    return std::unique_ptr<T[], Free>(static_cast<T*>(memory));
  }

  const std::size_t capacity_;
  std::size_t slots_ = 0;
  std::size_t mask_ = 0;
  std::uint64_t sequence_ = 0;
  std::unique_ptr<Record[], Free> records_;
  std::unique_ptr<std::uint64_t[], Free> heads_;
};

}  // namespace zoocache::core
