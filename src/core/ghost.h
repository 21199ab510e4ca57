// The hashes of the keys that the small queue gave up lately: a key that comes back soon after
// deserves the main queue at once.
//
// A FIFO of the last hashes, chained by bucket; a chain ends where its sequence number has left the
// window, so expiry costs nothing. How far the window reaches back is said at every use: it follows
// the number of entries, which a bound in bytes does not tell beforehand.
// Thread-safety: under the table lock.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

namespace zoocache::core {

class GhostQueue {
 public:
  // Remembers `hash` among the last `window`. REQUIRES: window <= 2^32.
  void add(std::uint64_t hash, std::size_t window) noexcept {
    if (window == 0) return;
    if (sequence_ >= slots_ && slots_ < window && !grow(std::bit_ceil(window))) return;
    const std::uint64_t sequence = ++sequence_;
    Record& record = records_[sequence & mask_];
    std::uint64_t& head = heads_[hash & mask_];
    record = {hash, head};
    head = sequence;
  }

  // Whether `hash` was among the last `window`; it is forgotten by being asked for.
  bool take(std::uint64_t hash, std::size_t window) noexcept {
    if (slots_ == 0) return false;
    for (std::uint64_t at = heads_[hash & mask_]; in_window(at, window);
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

  bool in_window(std::uint64_t at, std::size_t window) const noexcept {
    return at != 0 && at + window > sequence_ && at + slots_ > sequence_;
  }

  // Doubles until it holds `most`: a bound of a million entries costs nothing before the first
  // eviction, and little while evictions are few. Without memory the window stays short; false if
  // there is none at all.
  bool grow(std::size_t most) noexcept {
    constexpr std::size_t kFirst = 64;
    const std::size_t wanted = slots_ == 0 ? kFirst : slots_ * 2;
    const std::size_t slots = wanted < most ? wanted : most;
    auto records = zeroed<Record>(slots);
    auto heads = zeroed<std::uint64_t>(slots);
    if (records == nullptr || heads == nullptr) return slots_ != 0;
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
    return true;
  }

  template <class T>
  static std::unique_ptr<T[], Free> zeroed(std::size_t count) noexcept {
    return std::unique_ptr<T[], Free>(static_cast<T*>(std::calloc(count, sizeof(T))));
  }

  std::size_t slots_ = 0;
  std::size_t mask_ = 0;
  std::uint64_t sequence_ = 0;
  std::unique_ptr<Record[], Free> records_;
  std::unique_ptr<std::uint64_t[], Free> heads_;
};

}  // namespace zoocache::core
