// The intents (core/intent.h) of a log on a server: those of this process, and what it has seen of
// the others'.
//
//   member   \2intent: TOKEN(16) NODE(16) { LENGTH:TEXT }*      score   -(2^60 + 256 * state)
//
// They live in the log's own key, below every other score, so that they go when it goes, and a
// count of them costs a heartbeat nothing. Who is told that there are any looks at them: each third
// of a lease, and its own process while it has open blocks.
//   An owner is dead if its record is gone, or if its beat stood still for a lease, by the looker's
//   own clock: so a process notices that has lived for a lease itself.
//   Who looks is told of names, not of texts: those are read on the server, when it fires.
//   The state says how it was fired last: 0 never, else an odd number of the beat that its owner
//   had fallen silent at, or an even one of the beat at which it was too old. Whoever fires names
//   the state that it has seen: of several only one does it, and the time begins anew for all. An
//   owner that is heard of again has another beat; its next silence counts as one. So does it that
//   the log forgets a silent one: that intent fires once more than it had to.
//   One of the own node that is not open here is the rest of a lost reply: it fires, and goes.
//   An open one that is not there was lost with a generation, or never arrived: it is declared.
// Pure logic: time is a number that the caller passes. Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/home.h"
#include "redis/protocol.h"
#include "redis/script.h"

namespace zoocache::redis {

inline constexpr std::size_t kMostIntents = 4096;  // that are looked at at once

struct IntentRecord {
  std::string name;  // what its member begins with
  std::uint64_t state = 0;
  std::uint64_t beat = 0;  // of its owner; 0: not registered
  std::string_view node() const noexcept;
};

struct IntentList {
  std::uint64_t nonce = 0;  // 0: it is another generation, and the rest means nothing
  std::vector<IntentRecord> intents;
};
std::optional<IntentList> parse_intents(const Reply& reply);

// What is to be fired: its name, and its state as it was seen. No next state: it goes.
struct Firing {
  std::string name;
  std::uint64_t state = 0;
  std::optional<std::uint64_t> next;
};

// Mark, token and node: what is enough to tell it from all others.
std::string_view intent_name(std::string_view member) noexcept;
std::string intent_member(const Place& place, std::uint64_t token,
                          std::span<const std::string> texts);
ScriptCall declare_call(const Place& place, std::string_view member);
ScriptCall intents_call(const Place& place);
ScriptCall fire_call(const Place& place, const Firing& firing, std::size_t max_log_tags);
// At the end of a block: whatever its state, with these changes.
ScriptCall end_call(const Place& place, std::string_view member,
                    std::span<const core::Change> changes, std::size_t max_log_tags);

class Intents {
 public:
  Intents(std::int64_t lease_ns, std::int64_t max_commit_ns)
      : lease_ns_(lease_ns), max_commit_ns_(max_commit_ns) {}

  void begin(std::uint64_t token, std::string member);
  // Its member, if it is open: it ends now, and is not declared again.
  std::optional<std::string> begin_end(std::uint64_t token);
  // What became of that is known, or nobody knows.
  void forget(std::uint64_t token);

  // What the newest heartbeat told.
  void note_count(std::size_t standing) { standing_ = standing; }
  std::size_t standing() const noexcept { return standing_; }
  bool must_look() const noexcept { return standing_ != 0 || !open_.empty(); }

  struct Work {
    std::vector<Firing> fire;
    std::vector<std::string> declare;
  };
  // `node`: this process's own.
  Work look(const IntentList& list, std::string_view node, std::int64_t now_ns);

 private:
  struct Open {
    std::string member;
    bool is_ending = false;
  };
  struct Seen {
    std::uint64_t what = 0;  // the state of an intent, the beat of a node
    std::int64_t since_ns = 0;
  };
  using SeenBy = std::map<std::string, Seen, std::less<>>;

  static std::int64_t still_ns(const SeenBy& before, SeenBy& now, std::string_view name,
                               std::uint64_t what, std::int64_t now_ns);
  std::optional<Firing> judge(const IntentRecord& one, bool is_alive, std::int64_t age_ns) const;

  const std::int64_t lease_ns_;
  const std::int64_t max_commit_ns_;
  std::map<std::uint64_t, Open> open_;
  std::size_t standing_ = 0;
  SeenBy states_;
  SeenBy beats_;
};

}  // namespace zoocache::redis
