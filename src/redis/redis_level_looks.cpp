// What tools see of the values on the server (core/look.h): the first bytes of each.
#include <algorithm>
#include <string>
#include <utility>

#include "codec/stored_value.h"
#include "redis/redis_level.h"
#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

constexpr std::size_t kFirstBytes = 4096;  // most entries' dependencies and key are within

Command first_bytes_of(const std::string& key, std::size_t count) {
  return Command{"GETRANGE", key, "0"}.add(count - 1);
}

}  // namespace

// A page is what one SCAN gives, and two round trips more at the most. SCAN looks at all keys of
// the database, `most` at a time: a page may have none of ours.
core::LevelPage RedisLevel::page(const std::string& from, std::size_t most) {
  LevelClient& own = client();
  const Command scan =
      Command{"SCAN", from.empty() ? "0" : from, "MATCH", "{" + options_.prefix + "}:e:*", "COUNT"}
          .add(most);
  const Reply scanned = own.ask({scan}).front();
  if (scanned.is_error()) {
    throw HomeUnreachable("the server refuses to list its keys: " + scanned.text.substr(0, 200));
  }
  if (scanned.items.size() != 2) throw HomeUnreachable("the server's SCAN makes no sense");
  core::LevelPage found;
  if (scanned.items[0].text != "0") found.next = scanned.items[0].text;
  std::vector<Command> commands;
  commands.reserve(3 * scanned.items[1].items.size());
  for (const Reply& key : scanned.items[1].items) {
    commands.push_back({"STRLEN", key.text});
    commands.push_back({"PTTL", key.text});
    commands.push_back(first_bytes_of(key.text, kFirstBytes));
  }
  if (commands.empty()) return found;
  const std::vector<Reply> replies = own.ask(commands);
  for (std::size_t index = 0; index < scanned.items[1].items.size(); ++index) {
    const std::string& key = scanned.items[1].items[index].text;
    const std::span<const Reply> about(replies.data() + 3 * index, 3);
    const auto size =
        static_cast<std::size_t>(std::max<std::int64_t>(about[0].integer().value_or(0), 0));
    if (size == 0 && !about[0].is_error()) continue;  // it went meanwhile
    std::int64_t expiry_ns = 0;
    std::size_t wanted_bytes = 0;
    auto entry = codec::outline_of(codec_, about[2].text, size, &expiry_ns, &wanted_bytes);
    if (!entry && wanted_bytes > kFirstBytes && wanted_bytes <= core::kMostLookedAtBytes) {
      const Reply more = own.ask({first_bytes_of(key, wanted_bytes)}).front();
      entry = codec::outline_of(codec_, more.text, size, &expiry_ns, &wanted_bytes);
    }
    if (!entry) {
      ++found.unreadable;
      continue;
    }
    entry->name = key;
    const std::int64_t lives_ms = about[1].integer().value_or(-2);
    entry->lives_ns = lives_ms > 0 ? lives_ms * kMillisecondNs : lives_ms == -1 ? 0 : -1;
    found.entries.push_back(std::move(*entry));
  }
  return found;
}

}  // namespace zoocache::redis
