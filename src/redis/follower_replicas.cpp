// Waiting for replicas (replicas_ack): what they have heard of survives a failover.
//
//   control   invalidate ──> epoch e of generation g
//   data      beat ──> g, clock >= e      WAIT n ──> n of them have all that came before
//
// WAIT holds up what comes behind it, so it goes over the data connection, which is otherwise idle
// here. It waits for what its own connection has written: so a heartbeat goes before it, which is a
// write behind the invalidation in the one stream that replicas get. Its reply also says that both
// connections are to the same server and history. A writer has no heartbeat, and nothing that a
// WAIT on its control connection could hold up; there it must be the connection of the
// invalidation.
#include <algorithm>
#include <chrono>
#include <string>

#include "redis/follower.h"
#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// The server answers within that, so that a connection which waits is not taken for a dead one.
constexpr milliseconds kLongestWait{200};

}  // namespace

// Why it is not known that so many replicas have it; empty if they have.
std::string Follower::unreplicated(const Receipt& receipt, std::uint64_t connection) {
  const Link link = options_.is_writer ? Link::kControl : Link::kData;
  const nanoseconds timeout(options_.command_timeout_ns);
  const std::int64_t until_ns = now_ns() + options_.command_timeout_ns;
  if (!transport_->await_connected(link, timeout)) return "no connection to ask for it";
  std::uint64_t first = std::max<std::uint64_t>(connection, 1);
  if (!options_.is_writer) {
    first = connection_of(link);
    const Answer answer = run(*transport_, Link::kData, scripts_.beat, next_beat().call, timeout);
    const auto beat = answer.has_reply() ? parse_beat(answer.reply) : std::nullopt;
    if (!beat) {
      note_trouble(answer);
      return trouble();
    }
    if (beat->nonce != receipt.nonce || beat->clock < receipt.epoch) {
      return "another server, or a new log, has taken its place";
    }
  }
  std::int64_t found = 0;
  do {
    const auto left = std::chrono::ceil<milliseconds>(nanoseconds(until_ns - now_ns()));
    const milliseconds span = std::clamp(left, milliseconds(1), kLongestWait);
    const Command wait =
        Command{"WAIT"}.add(options_.replicas_ack).add(std::to_string(span.count()));
    const Answer told = transport_->execute(link, wait, span + timeout);
    if (!told.has_reply() || !told.reply.integer()) {
      note_trouble(told);
      return trouble();
    }
    found = *told.reply.integer();
    if (found >= static_cast<std::int64_t>(options_.replicas_ack)) break;
  } while (now_ns() < until_ns);
  if (found < static_cast<std::int64_t>(options_.replicas_ack)) {
    return std::to_string(found) + " of " + std::to_string(options_.replicas_ack) +
           " replicas have it";
  }
  // A new connection has written nothing, and has nothing to wait for.
  return connection_of(link) == first ? "" : "the connection was lost meanwhile";
}

std::uint64_t Follower::connection_of(Link link) {
  const std::lock_guard lock(mutex_);
  return link == Link::kControl ? counters_.connects : data_connections_;
}

// False: they have not said so in time, and nobody is to be told. Throws HomeUnreachable.
bool Follower::await_replicas(const Receipt& receipt, std::uint64_t connection) {
  if (options_.replicas_ack == 0) return true;
  const std::string why = unreplicated(receipt, connection);
  if (why.empty()) return true;
  {
    const std::lock_guard lock(mutex_);
    ++counters_.unreplicated;
  }
  if (options_.keeps_silently) return false;
  throw HomeUnreachable("acknowledged by the server, but not by its replicas: " + why);
}

}  // namespace zoocache::redis
