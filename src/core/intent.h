// A write that is about to be committed, and whose invalidation must not be lost with its process.
//
//   begin_write   the tags are held here, and told to the home as an intent
//   (the user's COMMIT)
//   end_write     the intent becomes the invalidation, in one step of the home
//   cancel_write  nothing was committed: the intent is dropped
//
// A process that dies between COMMIT and end_write says nothing any more. Its intent stands in the
// home, and whoever notices that its owner is dead or silent carries the invalidation out (fires):
//
//              declared                 owner dead, or silent: fire
//   (nothing) ---------> open ------------------------------------------> fired
//       ^                 | ^ <------------------------------------------ |
//       |   end, or drop  | |           owner is heard of again           |
//       +-----------------+ +--- older than max_commit_time: fire         |
//       +---------------------------- max_commit_time later: fire --------+
//
// While it is open, other processes store and serve as ever: what was true before COMMIT dies with
// the fire, as it dies with the end. So an intent costs them nothing, and the old value is served
// for no longer than the death takes to be noticed. Interleavings, with C the database's COMMIT:
//   (1) the owner dies before C: the fire kills what was good; it is loaded again.
//   (2) it dies after C: a load that began before the fire is not stored, it was born before it.
//   (3) it dies while C is on its way, and C comes to pass after the fire: the second fire, one
//       max_commit_time later, kills what was loaded in between.
//   (4) two notice at once: the home lets one of them carry out each step. If both do, an
//       invalidation is declared twice, which harms nobody.
//   (5) the owner stands still for longer than that and goes on: it fires meanwhile; the end then
//       invalidates all the same, whether or not the intent is there. It is taken away only when
//       its owner is taken for dead, for a max_commit_time: on a machine that is certain. A server
//       hears no more than silence; an owner that goes on after so long declares its open intents
//       again at its next look, and is not covered if it commits and dies before that.
//   (6) the noticer has a load of its own under way: as (2).
//   (7) a process that begins after the death finds the intent in the home: on a machine before it
//       serves anything; on a server once it has seen its owner silent for a lease.
//   (8) the home loses everything (another generation): all caches are emptied by that, and the
//       owner declares its open intents again as soon as it hears of it. What is loaded between
//       the loss and that is not covered if the owner dies then.
//   (9) the answer to a declaration is lost: HomeUnreachable, and an intent of nobody's may stand.
//       Its owner takes it away by a fire where it finds it, or it fires with the owner's end.
// Model: intent.pml. Thread-safety: functions, from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/epoch.h"
#include "core/home.h"
#include "core/log.h"
#include "core/tag.h"

namespace zoocache::core {

// Holds the tags and declares the intent; its token, for the end. Throws HomeUnreachable, with
// nothing held and nothing declared: the write must not begin.
std::uint64_t begin_write(InvalidationLog& log, std::span<const TagPath> paths);
// Invalidates and lets go of the tags. Throws as InvalidationLog::invalidate, with the same effect.
Epoch end_write(InvalidationLog& log, std::uint64_t token, std::span<const TagPath> paths,
                std::uint32_t origin = 0);
// The same for a write that turned out to change less than was held: invalidates `changed`.
Epoch end_write(InvalidationLog& log, std::uint64_t token, std::span<const TagPath> held,
                std::span<const TagPath> changed, std::uint32_t origin);
// After a rollback: lets go without an invalidation elsewhere. Here what was loaded since the
// beginning is not kept: it may have seen what was rolled back.
void cancel_write(InvalidationLog& log, std::uint64_t token,
                  std::span<const TagPath> paths) noexcept;

// What whoever looks at an intent has to do about it.
enum class IntentStep {
  kNothing,
  kFire,          // and its time begins anew
  kFireAndForget  // and it is gone
};
// `is_alive`: its owner may be. `has_fired`: for this silence of its owner. `is_old`: its time,
// since it was declared or fired last, is over.
constexpr IntentStep next_step(bool is_alive, bool has_fired, bool is_old) noexcept {
  if (is_alive) return is_old ? IntentStep::kFire : IntentStep::kNothing;
  if (!has_fired) return IntentStep::kFire;
  return is_old ? IntentStep::kFireAndForget : IntentStep::kNothing;
}

// The texts of an intent as a home keeps them: of too many tags, one of everything.
inline constexpr std::size_t kMaxIntentTexts = 1000;
inline constexpr std::size_t kMaxIntentBytes = std::size_t{1} << 16;
std::vector<std::string> intent_texts(std::span<const Change> changes);

}  // namespace zoocache::core
