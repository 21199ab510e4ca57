// What tools see of the log on the server (core/look.h). Nothing that a cache goes by is read here,
// and nothing is written: a writer that only looks leaves no trace.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "redis/follower.h"
#include "redis/server_check.h"
#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

using core::Epoch;
using std::chrono::nanoseconds;

constexpr std::size_t kTextsAtOnce = 1000;

std::uint64_t rank_in(const std::string& from) {
  std::uint64_t rank = 0;
  std::from_chars(from.data(), from.data() + from.size(), rank);
  return rank;
}

// What lies behind 0 are our own members.
std::optional<Epoch> epoch_of(const Reply& score) {
  const auto number = parse_score(score);
  if (!number || !(*number > 0)) return std::nullopt;
  return static_cast<Epoch>(*number);
}

std::string line_of(std::string_view info, std::string_view name) {
  const std::size_t at = info.find("\n" + std::string(name) + ":");
  if (at == std::string_view::npos) return {};
  const std::string_view rest = info.substr(at + name.size() + 2);
  return std::string(rest.substr(0, rest.find_first_of("\r\n")));
}

}  // namespace

// Throws HomeUnreachable for an error, too.
Reply Follower::reply_to(const Command& command) {
  const auto send = [&](nanoseconds left) {
    return transport_->execute(Link::kControl, command, left);
  };
  Answer answer = ask(send, now_ns() + options_.first_timeout_ns);
  if (answer.has_reply() && !answer.reply.is_error()) return std::move(answer.reply);
  note_trouble(answer);
  throw HomeUnreachable(trouble());
}

Nodes Follower::ask_nodes() {
  const std::int64_t until_ns = now_ns() + options_.first_timeout_ns;
  const Answer answer = ask(scripts_.nodes, nodes_call(place_, false), until_ns);
  auto found = answer.has_reply() ? parse_nodes(answer.reply) : std::nullopt;
  if (found) return *std::move(found);
  note_trouble(answer);
  throw HomeUnreachable(trouble());
}

core::HomeLook Follower::look(std::span<const std::string> texts) {
  core::HomeLook found;
  found.generation = ask_nodes().nonce;
  found.epochs.reserve(texts.size());
  for (std::size_t at = 0; at == 0 || at < texts.size(); at += kTextsAtOnce) {
    const auto some = texts.subspan(at, std::min(kTextsAtOnce, texts.size() - at));
    Command command{"ZMSCORE", place_.key, kClockMember, kFloorMember};
    for (const std::string& text : some) command.add(text);
    const Reply reply = reply_to(command);
    if (reply.items.size() != some.size() + 2) throw HomeUnreachable("the log makes no sense");
    const auto own = [&reply](std::size_t index) {
      return static_cast<Epoch>(std::max(-parse_score(reply.items[index]).value_or(0), 0.0));
    };
    found.clock = std::max(found.clock, own(0));
    found.floor = std::max(found.floor, own(1));
    for (std::size_t index = 2; index < reply.items.size(); ++index) {
      found.epochs.push_back(epoch_of(reply.items[index]).value_or(0));
    }
  }
  const Reply count = reply_to({"ZCOUNT", place_.key, "(0", "+inf"});
  found.tags = static_cast<std::size_t>(std::max<std::int64_t>(count.integer().value_or(0), 0));
  return found;
}

core::HomeRows Follower::rows(const std::string& from, std::size_t most) {
  const std::uint64_t rank = rank_in(from);
  const Reply reply = reply_to(Command{"ZREVRANGE", place_.key}
                                   .add(rank)
                                   .add(rank + std::max<std::size_t>(most, 1) - 1)
                                   .add("WITHSCORES"));
  core::HomeRows found;
  for (const Reply& pair : reply.items) {
    const auto epoch = pair.items.size() == 2 ? epoch_of(pair.items[1]) : std::nullopt;
    if (!epoch) return found;
    found.rows.push_back({pair.items[0].text, *epoch});
  }
  if (found.rows.size() >= most) found.next = std::to_string(rank + found.rows.size());
  return found;
}

std::vector<core::HomeNode> Follower::nodes() {
  const Nodes found = ask_nodes();
  std::vector<core::HomeNode> nodes;
  nodes.reserve(found.nodes.size());
  for (const NodeRecord& one : found.nodes) {
    nodes.push_back({one.name, one.applied, one.beat, true, false});
  }
  return nodes;
}

// What may not be asked for is not there, but for `settings`, which says why.
core::Facts Follower::facts() {
  core::Facts facts;
  const std::string info = reply_to({"INFO", "server", "replication", "memory"}).text;
  for (const char* const name :
       {"redis_version", "valkey_version", "redis_mode", "role", "connected_slaves", "used_memory",
        "maxmemory", "maxmemory_policy", "uptime_in_seconds"}) {
    if (std::string value = line_of(info, name); !value.empty()) facts.emplace_back(name, value);
  }
  try {
    const Reply settings = reply_to(settings_command());
    for (std::size_t index = 0; index + 1 < settings.items.size(); index += 2) {
      facts.emplace_back(settings.items[index].text, settings.items[index + 1].text);
    }
  } catch (const HomeUnreachable& error) {
    facts.emplace_back("settings", error.what());
  }
  const Reply time = reply_to({"TIME"});
  if (time.items.size() == 2) facts.emplace_back("time_s", time.items[0].text);
  const Nodes nodes = ask_nodes();
  facts.emplace_back("log_version", std::to_string(nodes.needs));
  facts.emplace_back("known_log_version", std::to_string(kLogVersion));
  facts.emplace_back("log_age_ms", std::to_string(nodes.age_ms));
  return facts;
}

}  // namespace zoocache::redis
