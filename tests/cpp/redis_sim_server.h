// A model of a Redis server that runs the log's scripts, for simulations: what scripts.cpp says in
// Lua, said in C++. redis_log_model_test.cpp compares the two. Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "redis/protocol.h"
#include "redis/reply.h"
#include "redis/scripts.h"

namespace zoocache::testing {

using redis::Command;
using redis::Reply;

inline Reply make_reply(redis::Type type, std::string text) { return {type, std::move(text), {}}; }
inline Reply integer_reply(std::uint64_t number) {
  return make_reply(redis::Type::kInteger, std::to_string(number));
}

class ModelServer {
 public:
  // What is in memory, and what a replica has a copy of.
  struct Set {
    bool exists = false;
    std::uint64_t nonce = 0, clock = 0, floor = 0, life = 0, needs = 0;
    std::int64_t began_ms = 0;
    std::map<std::string, std::uint64_t> texts;
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> nodes;  // applied, beat
    std::map<std::string, std::string> intents;                            // their scores
  };
  using Publish = std::function<void(const std::string& channel, const std::string& payload)>;

  ModelServer(std::uint64_t life, Publish publish) : life_(life), publish_(std::move(publish)) {}

  Set set;
  bool is_writable = true;  // false: a replica, or a primary that lacks its replicas

  void forget_scripts() { loaded_.clear(); }
  // It was a replica for a moment, and is the primary again, with another history.
  void live_again(std::uint64_t life, const Set& other) {
    life_ = life;
    set = other;
  }
  std::uint64_t life() const { return life_; }

  Reply execute(const Command& command, std::int64_t now_ms) {
    const auto& words = command.words();
    if (words[0] == "SCRIPT") {
      loaded_.insert(redis::Script(words[2]).hash());
      return make_reply(redis::Type::kString, "");
    }
    if (words[0] == "CONFIG") return {redis::Type::kMap, "", {}};
    if (words[0] == "ZMSCORE") return scores(words);
    if (words[0] == "ZREM") return integer_reply(set.intents.erase(words[2]));
    if (words[0] != "EVALSHA") return error("ERR unknown command");
    if (loaded_.count(words[1]) == 0) return error("NOSCRIPT No matching script");
    const std::vector<std::string> arguments(words.begin() + 4, words.end());
    if (words[1] == scripts_.page.hash()) return page(arguments);
    if (words[1] == scripts_.intents.hash()) return intents();
    if (words[1] == scripts_.check.hash()) return check(arguments);
    if (!is_writable) return error("NOREPLICAS Not enough good replicas to write");
    if (words[1] == scripts_.beat.hash()) return beat(arguments, now_ms);
    if (words[1] == scripts_.invalidate.hash()) return invalidate(arguments, now_ms);
    if (words[1] == scripts_.fire.hash()) return fire(arguments, now_ms);
    if (words[1] == scripts_.declare.hash()) return declare(arguments, now_ms);
    if (words[1] == scripts_.leave.hash()) return leave(arguments);
    return nodes(arguments, now_ms);
  }

 private:
  static Reply error(const std::string& text) { return make_reply(redis::Type::kError, text); }
  static std::uint64_t number(const std::string& text) {
    return std::stoull(text[0] == '-' ? text.substr(1) : text);
  }
  static Reply array(std::initializer_list<std::uint64_t> numbers) {
    Reply reply{redis::Type::kArray, "", {}};
    for (const std::uint64_t one : numbers) reply.items.push_back(integer_reply(one));
    return reply;
  }

  void begin(const std::string& nonce, std::int64_t now_ms) {
    if (!set.exists) set = Set();
    set.exists = true;
    set.nonce = number(nonce);
    set.began_ms = now_ms;
    set.life = life_;
    set.needs = std::max(set.needs, redis::kLeastLogVersion);
  }
  bool is_living() const {
    return set.exists && set.life == life_ && set.needs >= redis::kLeastLogVersion;
  }
  bool is_readable() const {
    return set.exists && set.life == life_ && set.needs <= redis::kLogVersion;
  }

  Reply beat(const std::vector<std::string>& arguments, std::int64_t now_ms) {
    if (!is_living()) begin(arguments[0], now_ms);
    set.nodes[arguments[1]] = {number(arguments[2]), number(arguments[3])};
    return array({set.nonce, set.clock, set.floor,
                  static_cast<std::uint64_t>(now_ms - set.began_ms), set.intents.size(),
                  set.needs});
  }

  Reply invalidate(const std::vector<std::string>& arguments, std::int64_t now_ms) {
    if (!is_living()) begin(arguments[0], now_ms);
    return change(arguments);
  }

  Reply declare(const std::vector<std::string>& arguments, std::int64_t now_ms) {
    if (!is_living()) begin(arguments[0], now_ms);
    set.intents.try_emplace(arguments[1], "-1152921504606846976");
    return array({set.nonce, 1, set.needs});
  }

  Reply fire(const std::vector<std::string>& arguments, std::int64_t now_ms) {
    if (!is_living()) begin(arguments[0], now_ms);
    auto intent = set.intents.find(arguments[4]);
    if (!arguments[5].empty()) {
      intent = std::find_if(set.intents.begin(), set.intents.end(), [&](const auto& one) {
        return one.first.substr(0, 40) == arguments[4] && one.second == arguments[5];
      });
      if (intent == set.intents.end()) return array({set.nonce, 0, set.needs});
    }
    const bool is_there = intent != set.intents.end();
    const std::string member = arguments[5].empty() ? arguments[4] : intent->first;
    std::string rest = arguments.size() == 7 ? member.substr(40) : "";
    if (arguments[6].empty()) {
      if (is_there) set.intents.erase(intent);
    } else if (is_there) {
      intent->second = arguments[6];
    }
    std::vector<std::string> made(arguments.begin(), arguments.begin() + 4);
    made.insert(made.end(), arguments.begin() + 7, arguments.end());
    while (!rest.empty()) {
      const std::size_t colon = rest.find(':');
      const std::size_t size = std::stoul(rest.substr(0, colon));
      made.push_back(rest.substr(colon + 1, size));
      rest.erase(0, colon + 1 + size);
    }
    return change(made);
  }

  Reply intents() const {
    if (!is_readable()) return array({0});
    Reply reply = array({set.nonce});
    std::vector<std::pair<std::uint64_t, std::string>> rows;
    for (const auto& [member, score] : set.intents) rows.emplace_back(number(score), member);
    std::sort(rows.begin(), rows.end(), [](const auto& left, const auto& right) {
      return left.first != right.first ? left.first > right.first : left.second < right.second;
    });
    for (const auto& [score, member] : rows) {
      const auto node = set.nodes.find(member.substr(24, 16));
      reply.items.push_back(make_reply(redis::Type::kString, member.substr(0, 40)));
      reply.items.push_back(integer_reply((score - (std::uint64_t{1} << 60)) / 256));
      reply.items.push_back(integer_reply(node == set.nodes.end() ? 0 : node->second.second));
    }
    return reply;
  }

  Reply change(const std::vector<std::string>& arguments) {
    const std::uint64_t epoch = ++set.clock;
    std::string message =
        std::to_string(set.nonce) + " " + std::to_string(epoch) + " " + arguments[1] + "\n";
    for (std::size_t index = 4; index < arguments.size(); ++index) {
      set.texts[arguments[index]] = epoch;
      message += std::to_string(arguments[index].size()) + ":" + arguments[index];
    }
    trim(number(arguments[3]), 16 + 2 * (arguments.size() - 4));
    publish_(arguments[2], message);
    return array({set.nonce, epoch, set.needs});
  }

  std::vector<std::pair<std::uint64_t, std::string>> rows_after(std::uint64_t after) const {
    std::vector<std::pair<std::uint64_t, std::string>> rows;
    for (const auto& [text, epoch] : set.texts) {
      if (epoch > after) rows.emplace_back(epoch, text);
    }
    std::sort(rows.begin(), rows.end());
    return rows;
  }

  void trim(std::uint64_t most, std::size_t at_once) {
    if (set.texts.size() <= most) return;
    const auto rows = rows_after(0);
    const std::size_t count = std::min<std::size_t>(set.texts.size() - most, at_once);
    for (std::size_t index = 0; index < count; ++index) {
      set.texts.erase(rows[index].second);
      set.floor = rows[index].first;
    }
  }

  Reply page(const std::vector<std::string>& arguments) const {
    if (!is_readable() || set.nonce != number(arguments[0])) return array({0});
    const std::size_t most = number(arguments[2]);
    auto rows = rows_after(number(arguments[1]));
    bool is_last = true;
    std::uint64_t upto = set.clock;
    if (rows.size() > most) {
      is_last = false;
      const std::uint64_t cut = rows[most].first;
      const auto is_before = [&](const auto& row) { return row.first < cut; };
      const auto end = std::partition_point(rows.begin(), rows.end(), is_before);
      if (end != rows.begin()) {
        rows.erase(end, rows.end());
      } else {
        rows.erase(std::partition_point(rows.begin(), rows.end(),
                                        [&](const auto& row) { return row.first <= cut; }),
                   rows.end());
      }
      upto = rows.back().first;
    }
    Reply reply = array({set.nonce, set.clock, set.floor, upto, is_last ? 1U : 0U});
    for (const auto& row : rows) {
      reply.items.push_back(make_reply(redis::Type::kString, row.second));
    }
    return reply;
  }

  Reply check(const std::vector<std::string>& arguments) const {
    if (!is_readable() || set.nonce != number(arguments[0])) return array({0});
    std::uint64_t newest = 0;
    for (std::size_t index = 1; index < arguments.size(); ++index) {
      const auto found = set.texts.find(arguments[index]);
      if (found != set.texts.end()) newest = std::max(newest, found->second);
    }
    return array({set.nonce, set.floor, newest});
  }

  Reply nodes(const std::vector<std::string>& arguments, std::int64_t now_ms) const {
    if (!set.exists || set.life != life_) return array({0, 0, 0});
    if (!arguments[0].empty()) publish_(arguments[0], std::to_string(set.nonce) + " 0 -\n");
    Reply reply = array({set.nonce, static_cast<std::uint64_t>(now_ms - set.began_ms), set.needs});
    for (const auto& [name, record] : set.nodes) {
      reply.items.push_back(make_reply(redis::Type::kString, name));
      reply.items.push_back(integer_reply(record.first));
      reply.items.push_back(integer_reply(record.second));
    }
    return reply;
  }

  Reply leave(const std::vector<std::string>& arguments) {
    const auto found = set.nodes.find(arguments[0]);
    if (found == set.nodes.end()) return integer_reply(0);
    if (!arguments[1].empty() && found->second.second != number(arguments[1])) {
      return integer_reply(0);
    }
    set.nodes.erase(found);
    return integer_reply(2);
  }

  Reply scores(const std::vector<std::string>& words) const {
    Reply reply{redis::Type::kArray, "", {}};
    for (std::size_t index = 2; index < words.size(); ++index) {
      if (words[index] == redis::kNonceMember || words[index] == redis::kFloorMember) {
        const std::uint64_t value = words[index] == redis::kNonceMember ? set.nonce : set.floor;
        reply.items.push_back(make_reply(redis::Type::kDouble, "-" + std::to_string(value)));
        continue;
      }
      const auto found = set.texts.find(words[index]);
      reply.items.push_back(found == set.texts.end()
                                ? Reply()
                                : make_reply(redis::Type::kDouble, std::to_string(found->second)));
    }
    return reply;
  }

  std::uint64_t life_;
  const Publish publish_;
  const redis::LogScripts scripts_;
  std::set<std::string> loaded_;
};

}  // namespace zoocache::testing
