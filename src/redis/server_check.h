// Which servers a log may live on. Thread-safety: functions without shared state.
#pragma once

#include <string>

#include "redis/reply.h"
#include "redis/transport.h"

namespace zoocache::redis {

// Which server this is, as it says itself. What is missing there is empty.
Command server_command();
Server server_of(const Reply& info);

// Why not on this one; empty if it may. What the server does not say is taken for good.
std::string refusal_of(const Server& server);

// How the server makes room, as CONFIG GET maxmemory-policy maxmemory says.
struct Eviction {
  std::string refusal;  // the log would be evicted
  std::string warning;
};
Command eviction_command();
Eviction eviction_of(const Reply& reply);

}  // namespace zoocache::redis
