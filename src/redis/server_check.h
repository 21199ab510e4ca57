// Which servers a log may live on. Thread-safety: functions without shared state.
#pragma once

#include <cstddef>
#include <string>

#include "redis/reply.h"
#include "redis/transport.h"

namespace zoocache::redis {

// Which server this is, as it says itself. What is missing there is empty.
Command server_command();
Server server_of(const Reply& info);

// Why not on this one; empty if it may. What the server does not say is taken for good.
std::string refusal_of(const Server& server);

// What its settings say of it: how it makes room, and what becomes of a failover. A server that
// does not let them be read (an error reply) is taken for good.
struct Judgement {
  std::string refusal;  // the log would be evicted
  std::string warning;  // what should be changed
};
Command settings_command();
Judgement judgement_of(const Server& server, const Reply& settings, std::size_t replicas_ack);

}  // namespace zoocache::redis
