#include "redis/level_client.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <system_error>
#include <utility>

#include "redis/protocol.h"
#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kRenewedAtOnce = 256;  // by one call of the script

std::string unreachable(const Failure& why) {
  std::string message = "the values on the server cannot be reached: ";
  message += name_of(why.trouble);
  if (!why.detail.empty()) message += ": " + why.detail;
  return message;
}

}  // namespace

std::uint64_t token_in(std::string_view text) noexcept {
  std::uint64_t token = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), token);
  return error == std::errc() && stop == text.data() + text.size() ? token : 0;
}

LevelClient::LevelClient(LevelOptions options, const MakeSubscribed& make_transport,
                         core::StorageTally& tally)
    : options_(std::move(options)),
      tally_(tally),
      node_(hex_of(random_number())),
      channel_("{" + options_.prefix + "}:n:" + node_) {
  watch();
  transport_ = make_transport(channel_, *this);
  connect_until_ns_ = transport_->now_ns() + options_.connect_timeout_ns;
  transport_->call_after(nanoseconds(options_.claim_ms * 1'000'000 / 3), [this] { tick(); });
}

LevelClient::~LevelClient() { unwatch(); }

void LevelClient::await_first_connection() {
  if (transport_->is_connected(Link::kData)) return;
  const nanoseconds left(connect_until_ns_ - transport_->now_ns());
  if (left.count() > 0) transport_->await_connected(Link::kData, left);
}

// The last one knows best: where it was not sent, the others' answers may be still to come.
std::vector<Reply> LevelClient::replies_of(std::vector<Answer> answers) {
  std::vector<Reply> replies;
  const auto demand_reply = [this](const Answer& answer) {
    if (answer.has_reply()) return;
    tally_.errors.fetch_add(1);
    throw HomeUnreachable(unreachable(answer.failure));
  };
  demand_reply(answers.back());
  for (Answer& answer : answers) {
    demand_reply(answer);
    replies.push_back(std::move(answer.reply));
  }
  return replies;
}

Reply LevelClient::ask(const Script& script, const ScriptCall& call) {
  return std::move(ask(script, std::span(&call, 1)).front());
}

std::vector<Reply> LevelClient::ask(const std::vector<Command>& commands) {
  await_first_connection();
  return replies_of(
      execute_all(*transport_, Link::kData, commands, nanoseconds(options_.command_timeout_ns)));
}

std::vector<Reply> LevelClient::ask(const Script& script, std::span<const ScriptCall> calls) {
  await_first_connection();
  return replies_of(
      run_all(*transport_, Link::kData, script, calls, nanoseconds(options_.command_timeout_ns)));
}

void LevelClient::tell(const Script& script, const ScriptCall& call) {
  run(*transport_, Link::kData, script, call, nanoseconds(options_.command_timeout_ns),
      [](const Answer&) {});
}

void LevelClient::hold(std::uint64_t token, const std::string& claim_key) {
  const std::lock_guard lock(mutex_);
  held_.emplace(token, claim_key);
}

void LevelClient::let_go(std::uint64_t token) {
  const std::lock_guard lock(mutex_);
  held_.erase(token);
}

LevelClient::Wait::Wait(LevelClient& client, std::uint64_t token) : client_(client), token_(token) {
  {
    const std::lock_guard lock(client_.mutex_);
    ++client_.waited_[token].callers;
  }
  client_.transport_->open(Link::kControl);
}

LevelClient::Wait::~Wait() {
  const std::lock_guard lock(client_.mutex_);
  const auto found = client_.waited_.find(token_);
  if (--found->second.callers == 0) client_.waited_.erase(found);
}

void LevelClient::Wait::begin_look() {
  const std::lock_guard lock(client_.mutex_);
  subscription_ = client_.is_subscribed_ ? client_.subscriptions_ : 0;
}

// Interleaving (3).
LevelClient::Wait::Outcome LevelClient::Wait::until_told(bool is_noted, nanoseconds pause,
                                                         nanoseconds at_most) {
  std::unique_lock lock(client_.mutex_);
  const Waited& own = client_.waited_.at(token_);
  const auto would_hear = [&] {
    return is_noted && client_.is_subscribed_ && client_.subscriptions_ == subscription_;
  };
  const bool hears = would_hear();
  if (hears) pause = std::chrono::milliseconds(client_.options_.told_pause_ms);
  client_.is_told_.wait_for(lock, std::min(pause, at_most),
                            [&] { return own.outcome || (hears && !would_hear()); });
  return own.outcome;
}

void LevelClient::on_push(const Reply& message) {
  if (message.items.size() < 3 || message.items[1].text != channel_) return;
  std::string_view text = message.items[2].text;
  const bool has_failed = text.starts_with('!');
  if (has_failed) text.remove_prefix(1);
  const std::lock_guard lock(mutex_);
  const auto found = waited_.find(token_in(text));
  if (found == waited_.end() || found->second.outcome) return;
  using core::SecondLevel;
  found->second.outcome = has_failed ? SecondLevel::Waited::kFailed : SecondLevel::Waited::kEnded;
  is_told_.notify_all();
}

void LevelClient::on_lost(Link link, const Failure&) {
  if (link == Link::kData) tally_.disconnects.fetch_add(1);
  if (link != Link::kControl) return;
  const std::lock_guard lock(mutex_);
  is_subscribed_ = false;
  is_told_.notify_all();
}

void LevelClient::on_back(Link link, const Server&) {
  if (link == Link::kData) tally_.connects.fetch_add(1);
  if (link != Link::kControl) return;
  const std::lock_guard lock(mutex_);
  is_subscribed_ = true;
  ++subscriptions_;
}

void LevelClient::tick() {
  // First: should the rest throw, the next one comes all the same.
  transport_->call_after(nanoseconds(options_.claim_ms * 1'000'000 / 3), [this] { tick(); });
  std::map<std::uint64_t, std::string> held;
  {
    const std::lock_guard lock(mutex_);
    held = held_;
  }
  std::vector<std::uint64_t> tokens;
  std::vector<std::string> keys;
  for (const auto& [token, key] : held) {
    tokens.push_back(token);
    keys.push_back(key);
    if (tokens.size() < kRenewedAtOnce) continue;
    renew(tokens, keys);
    tokens.clear();
    keys.clear();
  }
  if (!tokens.empty()) renew(tokens, keys);
}

void LevelClient::renew(const std::vector<std::uint64_t>& tokens,
                        const std::vector<std::string>& keys) {
  ScriptCall call{keys, {std::to_string(options_.claim_ms)}};
  for (const std::uint64_t token : tokens) call.arguments.push_back(std::to_string(token));
  run(*transport_, Link::kData, scripts_.renew, call, nanoseconds(options_.claim_ms * 1'000'000),
      [this, tokens](const Answer& answer) {
        if (!answer.has_reply() || answer.reply.items.size() != tokens.size()) return;
        for (std::size_t index = 0; index < tokens.size(); ++index) {
          if (answer.reply.items[index].integer() == 0) let_go(tokens[index]);
        }
      });
}

}  // namespace zoocache::redis
