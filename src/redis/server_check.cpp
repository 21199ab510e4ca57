#include "redis/server_check.h"

#include <charconv>
#include <string_view>
#include <system_error>

namespace zoocache::redis {
namespace {

constexpr int kOldestVersion =
    7;  // of Redis; scripts that may run when memory is full came with it

// 0 for what is none.
std::size_t whole(std::string_view text) {
  std::size_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size() ? value : 0;
}

// Why an invalidation that was acknowledged may be lost when another server takes over; empty if it
// may not. A primary that is cut off goes on acknowledging what its successor never hears of.
std::string failover_warning(const Server& server, const std::string& least,
                             const std::string& lag_s) {
  const std::size_t wanted = (server.replicas + 1) / 2;
  if (server.replicas == 0 || least.empty()) return "";  // or it may not be asked
  const bool is_off = lag_s == "0";  // then the server looks at no lag, and takes all replicas
  if (whole(least) >= wanted && !is_off) return "";
  return "the server has " + std::to_string(server.replicas) +
         " replicas and min-replicas-to-write " + least.substr(0, 20) +
         (is_off ? ", min-replicas-max-lag 0" : "") +
         ": cut off from them it goes on acknowledging invalidations, which a failover loses; set "
         "min-replicas-to-write " +
         std::to_string(wanted) + " and min-replicas-max-lag below what a failover takes to begin";
}

void add(std::string* text, const std::string& more) {
  if (!text->empty() && !more.empty()) *text += "; ";
  *text += more;
}

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
    if (name == "connected_slaves") server.replicas = whole(value);
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

Command settings_command() {
  return {"CONFIG",
          "GET",
          "maxmemory-policy",
          "maxmemory",
          "min-replicas-to-write",
          "min-replicas-max-lag"};
}

Judgement judgement_of(const Server& server, const Reply& settings, std::size_t replicas_ack) {
  const auto setting = [&settings](std::string_view name) {
    std::string value;
    for (std::size_t index = 0; index + 1 < settings.items.size(); index += 2) {
      if (settings.items[index].text == name) value = settings.items[index + 1].text;
    }
    return value;
  };
  const std::string policy = setting("maxmemory-policy");
  const std::string most = setting("maxmemory");
  Judgement found;
  if (policy.starts_with("allkeys-")) {
    found.refusal = "the server evicts any key (maxmemory-policy " + policy.substr(0, 20) +
                    "), the log too; set a volatile- policy, or the option allow_eviction";
  }
  if (policy == "noeviction" && !most.empty() && most != "0") {
    found.warning =
        "the server evicts nothing (maxmemory-policy noeviction): when its memory is "
        "full nothing new is stored; volatile-lru is better";
  }
  add(&found.warning,
      failover_warning(server, setting("min-replicas-to-write"), setting("min-replicas-max-lag")));
  if (replicas_ack > server.replicas) {
    add(&found.warning, "replicas_ack=" + std::to_string(replicas_ack) + ", but the server has " +
                            std::to_string(server.replicas) + " replicas");
  }
  return found;
}

}  // namespace zoocache::redis
