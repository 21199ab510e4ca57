// A home: where the invalidation log that several caches share lives. The memory of one process,
// an LMDB file of one machine, a server. The engine sees nothing of it but this.
//
//   call        arrive: is_fresh, or refresh          what was acknowledged is applied to the local
//                                                     log before the call looks at the table
//   invalidate  append, refresh                       acknowledged by the home, then applied here
//
// A home has a clock of its own; its epochs are not the local log's. What it tells is applied to
// the local log as invalidations of now, in its order, so that an entry's `born` and `validated`
// are local epochs always. Interleavings, with H the home's clock and L the local one:
//   (1) a load reads L, then runs its loader. What the home acknowledges later, or had acknowledged
//       and was not yet applied, gets a later L when it is applied: the entry does not survive it.
//   (2) a call compares H with what was applied before it reads L: every invalidation that had
//       returned when the call began is in L (model: in_process.pml, with the apply as the writer).
//   (3) `append` returns after its own change was applied here: rule (2) holds for the writer's own
//       calls without a look at the home.
// Where the home cannot be asked, `refresh` invalidates everything: every call loads, one flight
// for those that came before it began, and nothing stale is served.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/epoch.h"
#include "core/look.h"
#include "core/tag.h"
#include "zoocache/home.h"

namespace zoocache::core {

class InvalidationLog;

// What changed, as a home keeps it: a tag; a function, as its hidden tag; a key of a function, as
// the hidden tag of its stable hash (stable_hash of its canonical bytes), or kAnyKey for "one of
// them"; everything, as "". Processes hash keys in their own ways, so that a key of another process
// is a whole function here.
struct Change {
  Change() = default;
  Change(std::string_view what, bool done_here = false) noexcept  // NOLINT(*-explicit-*)
      : text(what), is_done_here(done_here) {}
  std::string_view text;
  // The caller has done it already, more precisely than the text says: its own log is not told.
  bool is_done_here = false;
};

// How far the local log follows the home: what a load that begins now is born at, there.
struct HomePosition {
  bool trusted = false;  // false: nothing is known; the rest means nothing
  std::uint64_t generation = 0;
  Epoch epoch = 0;
};

// A cache's own connection to a home. Thread-safety: everything from any thread, but that `log` is
// the same in every call.
class LogHome {
 public:
  LogHome() = default;
  virtual ~LogHome() = default;
  LogHome(const LogHome&) = delete;
  LogHome& operator=(const LogHome&) = delete;

  // `log` is the one of all later calls, and outlives the home. Called once, before them. From now
  // on a home that is told of changes may apply them from a thread of its own.
  virtual void attach(InvalidationLog& log) { static_cast<void>(log); }

  // Whether `log` reflects everything that was acknowledged before the call. Every hit asks.
  virtual bool is_fresh() const noexcept = 0;
  // Makes it so: applies what is new, or invalidates everything. Waits for no process that writes.
  virtual void refresh(InvalidationLog& log) noexcept = 0;
  // Whether it may wait for a network now, so that an event loop had better not call it.
  virtual bool refresh_waits() const noexcept { return false; }

  // Declares `changes` at one new epoch, which it returns once the home has acknowledged it and it
  // is applied to `log`. Throws HomeUnreachable, and the changes are applied to `log` all the same:
  // the home may or may not have them.
  // `origin`: the local log's note of where it was declared.
  virtual Epoch append(InvalidationLog& log, std::span<const Change> changes,
                       std::uint32_t origin) = 0;

  // Intents: see intent.h. A home that ends with its only process keeps none: token 0.
  // Throws HomeUnreachable where it is not acknowledged, unless the home keeps what is not.
  virtual std::uint64_t declare_intent(InvalidationLog& log, std::span<const Change> changes) {
    static_cast<void>(log);
    static_cast<void>(changes);
    return 0;
  }
  // As `append`, and takes the intent away in the same step. One that is unknown is no matter.
  virtual Epoch fire_intent(InvalidationLog& log, std::uint64_t token,
                            std::span<const Change> changes, std::uint32_t origin) {
    static_cast<void>(token);
    return append(log, changes, origin);
  }
  // Takes it away; if that cannot be acknowledged now, it is tried again, or fires in the end.
  virtual void drop_intent(InvalidationLog& log, std::uint64_t token) noexcept {
    static_cast<void>(log);
    static_cast<void>(token);
  }

  // Waits until what was declared at `epoch` is applied in every process, or none serves what it
  // killed any more. False: the time is over. Throws HomeUnreachable.
  virtual bool wait_applied(std::uint64_t generation, Epoch epoch,
                            std::chrono::nanoseconds at_most) {
    static_cast<void>(generation);
    static_cast<void>(epoch);
    static_cast<void>(at_most);
    return true;  // for homes that every call looks at
  }

  // The home's newest epoch that names the tag or an ancestor; 0 if it knows none. Throws
  // HomeUnreachable.
  virtual Epoch version(const TagPath& path) = 0;
  virtual HomeStatus status() = 0;
  // The newest epoch that it has acknowledged; it is asked, and `position` knows its generation
  // then. Throws HomeUnreachable.
  virtual Epoch newest() = 0;

  // For the second level (second_level.h), whose entries are of the home's time. Waits for nobody.
  virtual HomePosition position() noexcept = 0;
  // Whether a value that was loaded from `born` on, in that generation, still holds: nothing that
  // was acknowledged since names one of the texts, or what is above it. False also where that is
  // forgotten, and for a text that is none of Change. Throws HomeUnreachable.
  virtual bool holds(std::uint64_t generation, Epoch born, std::span<const std::string> texts) = 0;

  struct Question {
    std::uint64_t generation = 0;
    Epoch born = 0;
    std::vector<std::string> texts;
  };
  // `holds` of each, in one round trip where the home can do so.
  virtual std::vector<bool> holds_many(std::span<const Question> questions);

  // For tools (look.h): each asks the home, and may wait for it. A page has about `most` rows, and
  // ends between two epochs or within one; `from`: `next` of the page before, or nothing. Throw
  // HomeUnreachable. A home that has no more than its process has nothing to show.
  virtual HomeLook look(std::span<const std::string> texts);
  virtual HomeRows rows(const std::string& from, std::size_t most);
  virtual std::vector<HomeNode> nodes() { return {}; }
  virtual Facts facts() { return {}; }
  // Where processes can be asked: those that answer in time. REQUIRES: not in a call's way.
  virtual Inspected inspect(const Inspection& question);
  // This process's answer to what came to InvalidationLog::inspect; lost, if the home cannot be
  // reached. Waits for nothing.
  virtual void tell(const MemoryQuestion& question, std::string told) noexcept;
};

// Applies changes as a home tells them, as one invalidation, and returns its first epoch here;
// `again_of` as InvalidationLog::apply. Text that is none of them invalidates everything: it may be
// of a later version of this library. 0: all were done here.
Epoch apply_changes(InvalidationLog& log, std::span<const Change> changes, std::uint32_t origin = 0,
                    Epoch again_of = 0) noexcept;

// What is declared and not acknowledged: while changes are held nothing that they name is stored
// (InvalidationLog::hold_tags). Those that were done here as well. All or none.
void hold_changes(InvalidationLog& log, std::span<const Change> changes);
void release_changes(InvalidationLog& log, std::span<const Change> changes) noexcept;
// Whether one of the texts, or what is above it, is held. REQUIRES: they are texts of Change.
bool is_any_held(const InvalidationLog& log, std::span<const std::string> texts);

// The newest of the root's epoch and those of the prefixes of `path`, as `epoch_of(text)` tells.
template <class EpochOf>
Epoch newest_on_path(const TagPath& path, EpochOf&& epoch_of) {
  Epoch newest = epoch_of(std::string_view());
  for (std::size_t index = 0; index < path.size(); ++index) {
    newest = std::max(newest, epoch_of(path.text().substr(0, path[index].end)));
  }
  return newest;
}

// The same for several texts of changes; kForever if one of them is none. A key's function is above
// it.
inline constexpr Epoch kForever = ~Epoch{0};
bool is_tag_text(std::string_view text) noexcept;
template <class EpochOf>
Epoch newest_of(std::span<const std::string> texts, EpochOf&& epoch_of) {
  Epoch newest = epoch_of(std::string_view());
  for (const std::string& text : texts) {
    if (const auto function = HiddenTag::function_of(text)) {
      newest = std::max(newest, epoch_of(HiddenTag(*function).path().text()));
      newest = std::max(newest, epoch_of(std::string_view(text)));
    } else if (is_tag_text(text)) {
      newest = std::max(newest, newest_on_path(TagPath::trusted(text), epoch_of));
    } else {
      return kForever;
    }
  }
  return newest;
}

// Read-your-writes: waits until the log reflects the epoch of that generation of its home, so that
// calls that begin then are no older. At most so long; then everything is invalidated here, which
// comes to the same. kUnknown: the home never acknowledged it.
enum class Reached { kYes, kLate, kUnknown };
Reached reach(InvalidationLog& log, std::uint64_t generation, Epoch epoch,
              std::chrono::nanoseconds at_most);

// The number of a function in every process: of its name.
std::uint64_t shared_function_id(std::string_view name) noexcept;

}  // namespace zoocache::core
