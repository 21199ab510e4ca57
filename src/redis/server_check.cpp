#include "redis/server_check.h"

#include <charconv>
#include <string_view>

namespace zoocache::redis {
namespace {

constexpr int kOldestVersion =
    7;  // of Redis; scripts that may run when memory is full came with it

}  // namespace

Command server_command() { return {"INFO", "server", "replication"}; }

Server server_of(const Reply& info) {
  Server server;
  std::string_view rest = info.text;
  while (!rest.empty()) {
    const std::size_t end = rest.find_first_of("\r\n");
    const std::string_view line = rest.substr(0, end);
    const std::size_t colon = line.find(':');
    const auto value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    const std::string_view name = line.substr(0, colon);
    if (name == "run_id") server.run_id = value;
    if (name == "master_replid") server.replication_id = value;
    if (name == "role") server.role = value;
    if (name == "redis_version") server.version = value;
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return server;
}

std::string refusal_of(const Server& server) {
  int major = kOldestVersion;
  std::from_chars(server.version.data(), server.version.data() + server.version.size(), major);
  if (major < kOldestVersion) {
    return "the server is Redis " + server.version.substr(0, 20) +
           "; zoocache needs Redis 7.0, Valkey 7.2 or newer";
  }
  if (!server.role.empty() && server.role != "master") {
    return "the server is a replica; name the primary, or sentinels that know it";
  }
  return "";
}

Command eviction_command() { return {"CONFIG", "GET", "maxmemory-policy", "maxmemory"}; }

Eviction eviction_of(const Reply& reply) {
  std::string policy;
  std::string most;
  for (std::size_t index = 0; index + 1 < reply.items.size(); index += 2) {
    if (reply.items[index].text == "maxmemory-policy") policy = reply.items[index + 1].text;
    if (reply.items[index].text == "maxmemory") most = reply.items[index + 1].text;
  }
  Eviction found;
  if (policy.starts_with("allkeys-")) {
    found.refusal = "the server evicts any key (maxmemory-policy " + policy.substr(0, 20) +
                    "), the log too; set a volatile- policy, or the option allow_eviction";
  }
  if (policy == "noeviction" && !most.empty() && most != "0") {
    found.warning =
        "the server evicts nothing (maxmemory-policy noeviction): when its memory is "
        "full nothing new is stored; volatile-lru is better";
  }
  return found;
}

}  // namespace zoocache::redis
