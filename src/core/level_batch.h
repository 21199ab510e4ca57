// Many calls' dealings with the second level at once: LevelCall's, step by step for all of them.
//
//   look     (1) L  (2) get all  (3) ask the home about all that are there  (4) claim what has no
//            value that holds. For each call then kValue, kNothing (load it) or kTimedOut (another
//            process loads it)
//   finish   (1) ask the home about all that were kept  (2) put those that hold  (3) release the
//            other claims
//
// The order is level_call.h's, for every call: its interleavings (1) and (2) are those of the
// batch, whose L and H are read before all of it. (3) is here: a batch waits for no claim. It would
// hold others meanwhile, and two batches that claim the same keys crosswise would wait for each
// other. Thread-safety: one thread at a time, and none uses the calls meanwhile. All of it may wait
// for a file or a network; no lock may be held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/level_call.h"

namespace zoocache::core {

class LevelBatch {
 public:
  LevelBatch(InvalidationLog& log, std::shared_ptr<SecondLevel> level);
  // Lets go of the claims that `finish` did not.
  ~LevelBatch();
  LevelBatch(const LevelBatch&) = delete;
  LevelBatch& operator=(const LevelBatch&) = delete;

  // Of two calls with the same key, one finds that the other loads it.
  // REQUIRES: the call is of this log and level, and outlives the batch.
  void add(LevelCall& call);
  std::size_t size() const noexcept { return parts_.size(); }

  // LevelCall::look of each, which waits for nobody. Without `claims`, kNothing claims nothing.
  void look(bool claims) noexcept;
  LevelCall::Found found(std::size_t index) const noexcept { return parts_[index].found; }

  // LevelCall::finish of each.
  void finish() noexcept;
  bool is_stored(std::size_t index) const noexcept { return parts_[index].is_stored; }
  const std::string& trouble(std::size_t index) const noexcept { return parts_[index].trouble; }

 private:
  struct Part {
    explicit Part(LevelCall& one) : call(&one) {}
    LevelCall* call;
    LevelCall::Found found = LevelCall::Found::kNothing;
    std::optional<StoredValue> there;  // to be looked at
    bool is_open = false;              // not decided yet
    bool is_stored = false;
    std::string trouble;
  };

  void look_or_throw(bool claims);
  void get_all();
  void take_what_holds();
  void claim_rest();
  void put_what_holds();
  void release_claims() noexcept;

  InvalidationLog& log_;
  const std::shared_ptr<SecondLevel> level_;
  std::vector<Part> parts_;
};

}  // namespace zoocache::core
