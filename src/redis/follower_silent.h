// Which nodes of a log have been silent, by this process's own clock: those whose beat stood still.
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "redis/follower.h"
#include "redis/protocol.h"

namespace zoocache::redis {

struct Follower::Silent {
  explicit Silent(std::int64_t patience) : patience_ns(patience) {}

  // Who was seen with the same beat all the time, for as long as the patience lasts.
  std::vector<NodeRecord> look(const std::vector<NodeRecord>& nodes, std::int64_t now_ns) {
    std::map<std::string, Seen> next;
    std::vector<NodeRecord> silent;
    for (const NodeRecord& one : nodes) {
      const auto found = seen.find(one.name);
      const bool stood_still = found != seen.end() && found->second.beat == one.beat;
      const Seen now{one.beat, stood_still ? found->second.since_ns : now_ns};
      next.emplace(one.name, now);
      if (now_ns - now.since_ns >= patience_ns) silent.push_back(one);
    }
    seen = std::move(next);
    return silent;
  }

  struct Seen {
    std::uint64_t beat = 0;
    std::int64_t since_ns = 0;
  };
  const std::int64_t patience_ns;
  std::map<std::string, Seen> seen;
  std::int64_t next_look_ns = 0;
};

}  // namespace zoocache::redis
