// The Lua scripts of the values on a server, and what their keys look like.
//
//   {PREFIX}:e:HASH   the envelope of an entry (codec/envelope.h); always with a time to live
//   {PREFIX}:f:HASH   NODE:TOKEN   the claim of a load that runs; lives as long as it is renewed.
//                                  Behind it the nodes of those who wait, each behind a space
//                     !TOKEN       that load failed; for a second, so that who waits sees it
//   {PREFIX}:n:NODE   a channel: TOKEN or !TOKEN, when that claim ends in which NODE is noted
//
// HASH is 32 hex digits of the key; the envelope has the key itself. What is there and is nothing
// of ours (another type, another text, a claim that would never end) counts as absent, and is
// overwritten.
//
//   script    flags      does
//   claim                gives the entry if it is another one than the caller refused, else the
//                        claim to the caller, else says who has it
//   put                  stores the entry and ends the claim, if it is still that token's
//   release   allow-oom  ends the claim, or says that it failed, if it is still that token's
//   look      allow-oom  whether a claim has ended; if it has not, notes who wants to be told
//   renew     allow-oom  the claims of one process live on, as far as they are still its own
//
// Every script is harmless when it runs twice. Thread-safety: immutable values.
#pragma once

#include "redis/script.h"

namespace zoocache::redis {

struct LevelScripts {
  LevelScripts();
  const Script claim;
  const Script put;
  const Script release;
  const Script look;
  const Script renew;
};

}  // namespace zoocache::redis
