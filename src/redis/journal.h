// What this process has declared: what the home has not acknowledged, and what it acknowledged of
// late and may yet lose.
//
//   declared --acknowledged----------------------------> recent --ten leases--> forgotten
//       |                                                  |
//       +--not acknowledged--> kept --acknowledged-------->+
//                               ^                          |
//                               +-- another generation ----+
//
// Kept texts are sent again, in order, until they are acknowledged. Recent ones are sent again when
// the generation turns out to be another one than the one that acknowledged them: an isolated
// primary may have done so, and its successor never heard of it (model: journal.pml). They are held
// meanwhile: what others keep of the new generation may be older than they are. What is
// forgotten is only counted: if the new generation is older than the youngest text that was
// forgotten, it may lack that one, and everything is declared instead.
// Bounded: too many kept texts become one, everything; too many recent ones are forgotten early.
// Thread-safety: one owner. `InvalidationLog` is told who is held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/home.h"
#include "core/log.h"

namespace zoocache::redis {

class Journal {
 public:
  static constexpr std::size_t kMaxKept = 65'536;
  static constexpr std::size_t kMaxRecent = 65'536;
  static constexpr std::size_t kMostAtOnce = 512;

  Journal(core::InvalidationLog& log, std::int64_t memory_ns) : log_(log), memory_ns_(memory_ns) {}

  // Not acknowledged. Takes over the caller's holds of the changes.
  void keep(std::span<const core::Change> changes);
  bool has_kept() const noexcept { return !kept_.empty(); }
  bool is_empty() const noexcept { return kept_.empty() && recent_.empty(); }

  // The oldest kept texts, to be sent; empty if there are none or some are on their way.
  std::vector<std::string> begin_retry();
  // They were acknowledged by this generation, or not. Their holds end with the first.
  void end_retry(bool is_acknowledged, std::uint64_t nonce, std::int64_t now_ns);

  // Acknowledged at once.
  void acknowledged(std::span<const core::Change> changes, std::uint64_t nonce,
                    std::int64_t now_ns);
  // The generation is this one, and began then. What another acknowledged is kept again.
  void replay(std::uint64_t nonce, std::int64_t began_ns);
  // The home answered at that time: what it acknowledged long before is safe.
  void forget_before(std::int64_t now_ns);

 private:
  struct Kept {
    std::string text;
    std::uint64_t number = 0;
  };
  struct Recent {
    std::string text;
    std::uint64_t nonce = 0;
    std::int64_t at_ns = 0;
  };

  void keep(std::string_view text);  // and takes over a hold of it
  void keep_held(std::string_view text);
  void keep_everything();
  void release(const Kept& one);
  void note(std::string_view text, std::uint64_t nonce, std::int64_t now_ns);
  void forget_oldest();

  core::InvalidationLog& log_;
  const std::int64_t memory_ns_;
  std::deque<Kept> kept_;
  std::unordered_map<std::string, std::uint64_t> kept_numbers_;  // of the newest with that text
  std::uint64_t newest_number_ = 0;
  std::uint64_t sent_number_ = 0;  // up to here kept texts are on their way; 0: none are
  std::deque<Recent> recent_;
  static constexpr std::int64_t kNever = INT64_MIN;
  std::int64_t forgotten_ns_ = kNever;  // when the youngest forgotten one was acknowledged
};

}  // namespace zoocache::redis
