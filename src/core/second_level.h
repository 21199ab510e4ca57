// The second level (L2): values that outlast a process and that several share. The engine sees
// nothing of it but this; where it lives (a file, a server) is a library of its own.
//
//   miss      get ── valid by the log ──> value
//              └─ claim ─ mine ── loader ── put (frees the claim) | release
//                   ├──── taken ── wait ── get again
//                   └──── found: somebody stored it meanwhile
//
// An entry says of which generation of its log it is and at which epoch of it its load began; who
// reads it asks the log whether that still holds (LogHome::holds), *after* it has read the entry.
// The order matters: an entry that is written while the log is asked could else be taken for
// checked. The store itself need not know the log: an entry that does not hold is never served.
//
// A claim is one load among processes. It lives as long as its owner does.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/epoch.h"
#include "core/look.h"
#include "zoocache/storage.h"

namespace zoocache::core {

// The value of one call, as it is stored.
struct StoredValue {
  std::uint64_t generation = 0;           // of the log that it is checked by
  Epoch born = 0;                         // that log's epoch before its load began
  std::vector<std::string> dependencies;  // texts of Change; those of tags with all that is above
  std::string payload;                    // the value, in the front door's own encoding
  std::int64_t lives_ns = 0;              // left of its time to live; 0: no bound
};

// Which entry a caller has seen: another one under the same key has another.
struct SeenEntry {
  std::uint64_t generation = 0;
  Epoch born = 0;
  bool operator==(const SeenEntry&) const = default;
};
inline SeenEntry seen_of(const StoredValue& value) noexcept {
  return {value.generation, value.born};
}
// Whether there is a value other than the one that was refused.
inline bool is_news(const std::optional<StoredValue>& there,
                    const std::optional<SeenEntry>& refused) noexcept {
  return there && (!refused || seen_of(*there) != *refused);
}

// StorageCounters while they grow. Thread-safety: everything from any thread, without a lock: the
// one who held it may not exist in a child of fork().
struct StorageTally {
  using Count = std::atomic<std::uint64_t>;
  Count connects{0};
  Count disconnects{0};
  Count errors{0};
  Count rejected{0};
  Count corruptions{0};
  StorageCounters counters() const noexcept;
};

// Keys are any bytes: the function's identity and the arguments. Two keys that differ are never
// taken for each other.
// Thread-safety: everything from any thread. Everything may wait for a file or a network, and is
// called without any lock of the engine. Throws HomeUnreachable where nothing else is said: then
// the call goes on as if nothing were stored.
class SecondLevel {
 public:
  SecondLevel() = default;
  virtual ~SecondLevel() = default;
  SecondLevel(const SecondLevel&) = delete;
  SecondLevel& operator=(const SecondLevel&) = delete;

  // Empty: there is none, or what is there is damaged, foreign or past its time.
  virtual std::optional<StoredValue> get(std::string_view key) = 0;

  struct Claim {
    enum class Kind { kFound, kMine, kTaken };
    Kind kind = Kind::kTaken;
    std::uint64_t token = 0;  // of the claim, mine or the other's; not 0
    StoredValue found;
  };
  // One caller at a time gets the key's claim, until it is freed or its owner is dead. `refused`:
  // the entry that the caller cannot use; another one is found in place of a claim.
  virtual Claim claim(std::string_view key, const std::optional<SeenEntry>& refused) = 0;

  enum class Waited { kEnded, kFailed, kTimedOut };
  // Waits for the end of the claim `token`, at most so long. kFailed: its load failed, and whoever
  // waited loads for itself. The death of its owner is noticed: on its machine within 50 ms,
  // elsewhere once its claim has not been renewed for as long as one lives.
  virtual Waited wait(std::string_view key, std::uint64_t token,
                      std::chrono::nanoseconds at_most) = 0;

  // Stores the value and frees the claim; `token` 0: without one. Throws StorageIsFull, with the
  // claim freed: there is no room, or it is larger than the store takes.
  virtual void put(std::string_view key, std::uint64_t token, const StoredValue& value) = 0;
  // Frees the claim without a value. `failed`: as at wait.
  virtual void release(std::string_view key, std::uint64_t token, bool failed) noexcept = 0;

  // The same for several keys, in as few round trips as one key needs where the store can do so;
  // one after another where it says nothing else.
  virtual std::vector<std::optional<StoredValue>> get_many(std::span<const std::string_view> keys);

  struct Claiming {
    std::string_view key;
    std::optional<SeenEntry> refused;
    std::optional<Claim> claim;  // the answer
  };
  // Where it throws, the answers that are there count: what is claimed has to be freed.
  virtual void claim_many(std::span<Claiming> claims);

  struct Putting {
    std::string_view key;
    std::uint64_t token = 0;
    const StoredValue* value = nullptr;
    bool is_stored = false;  // the answer
    std::string trouble;     // and why it is not
  };
  // Every claim is freed, whatever becomes of the values.
  virtual void put_many(std::span<Putting> puts) noexcept;

  struct Releasing {
    std::string_view key;
    std::uint64_t token = 0;
    bool failed = false;
  };
  virtual void release_many(std::span<const Releasing> releases) noexcept;

  // Asks the storage whether it is there; may wait for it, as everything else here.
  StorageStatus status();

  // For tools (look.h): the next entries, about `most`; `from`: `next` of the page before, or
  // nothing. A storage that has no more than its process has nothing to show.
  virtual LevelPage page(const std::string& from, std::size_t most);
  virtual Facts facts() { return {}; }

 protected:
  virtual const char* kind() const noexcept = 0;
  // Throws HomeUnreachable where the storage does not answer.
  virtual void ask_whether_there() {}

  // Mutable: what looks at an entry counts it.
  mutable StorageTally tally_;
};

// Notes why something was not stored, with the memory that there is.
void note_trouble(const std::exception& error, std::string* trouble) noexcept;

}  // namespace zoocache::core
