// The Lua scripts of the log, and what its key looks like.
//
// One sorted set for each namespace, so that whatever takes a part of it away takes all of it:
//
//   member          score                          members of our own begin with a byte that no tag
//   \2nonce         -(random)                      has, and their scores are not above 0: what is
//   \2clock         -(newest epoch)                above 0 is a tag's, and a range of it needs no
//   \2floor         -(newest forgotten epoch)      filter
//   \2began         -(ms, the server's clock)
//   \2life          -(the beginning of the replication id)
//   \2needs         -(the least version that may take part)
//   \2applied:NODE  -(what it has applied)
//   \2beat:NODE     -(how often it was heard)
//   \2intent:...    -(2^60 + 256 * state)          see intents.h; below what any other score is
//   ------------------------------------------ 0
//   user:1          17                             text of a Change -> its newest epoch
//   (empty)         21                             everything
//
// The nonce is the generation. It is drawn anew with the key, and by the first write that finds
// another life of the server than the one that wrote the key: a restart, a replica that was
// promoted. So it says alone whether what a process knows and what the server knows is one history,
// and whatever carries it (replies, pushed messages, born values) carries all of it.
// A set that makes no sense (somebody else wrote to it) is thrown away: a new generation.
//
// A life is the time between the moment at which a server becomes a primary and the moment at which
// it is none any more. Its replication id alone says which one it is: a server draws one at random
// when it starts and when it is promoted, whatever it loads. Replicas have that of their primary,
// and what they know may be old: no script goes on there. The run id would add nothing, and the
// section of INFO that has it, beside this one, makes a heartbeat half as expensive again.
//
//   script      flags      does
//   beat        allow-oom  notes the node; a write, so that a replica or an isolated primary that
//                          must not write cannot answer
//   invalidate  allow-oom  one epoch for all texts, forgets the oldest above the bound, publishes
//   fire        allow-oom  the same for an intent, and takes it away or notes that it was fired
//   declare     allow-oom  adds an intent
//   intents     no-writes  what intents there are, and whether their owners are heard of
//   page        no-writes  what is newer than an epoch, in order; never a part of an epoch
//   check       no-writes  what a stored value needs to know: the newest epoch of texts, the floor
//   nodes       allow-oom  who is registered; may ask everybody to say at once what it has applied
//   leave       allow-oom  takes one node's record away, if its beat is still the one that is named
//
// Versions. A library that writes what older ones would misread raises `needs`, which is a new
// generation: so what carries a nonce says that too, and heartbeats and receipts say which version
// it takes. Who has an older one serves and stores nothing and reads nothing of the log; what it
// declares is accepted, since the newer ones understand it. So these stay what they are in every
// version: the six members that every log has, the three scripts that declare changes, what they
// publish and return, and the heartbeat. An older library never throws a log of a newer one away,
// whatever it makes of it.
//
// Every script is harmless when it runs twice. Numbers stay below 2^53, which a score holds
// exactly. Thread-safety: immutable values.
#pragma once

#include <cstdint>

#include "redis/script.h"

namespace zoocache::redis {

inline constexpr char kReservedMark = '\x02';
inline constexpr const char* kNonceMember = "\002nonce";
inline constexpr const char* kFloorMember = "\002floor";
inline constexpr const char* kClockMember = "\002clock";

inline constexpr const char* kNeedsMember = "\002needs";
inline constexpr std::uint64_t kLogVersion = 1;       // what this library reads
inline constexpr std::uint64_t kLeastLogVersion = 1;  // what can read all that it writes

struct LogScripts {
  LogScripts();
  const Script beat;
  const Script invalidate;
  const Script fire;
  const Script declare;
  const Script intents;
  const Script page;
  const Script check;
  const Script nodes;
  const Script leave;
};

}  // namespace zoocache::redis
