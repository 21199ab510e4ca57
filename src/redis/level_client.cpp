#include "redis/level_client.h"

#include <chrono>
#include <utility>

#include "redis/protocol.h"
#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kRenewedAtOnce = 256;  // by one call of the script

[[noreturn]] void throw_unreachable(const Failure& why) {
  std::string message = "the values on the server cannot be reached: ";
  message += name_of(why.trouble);
  if (!why.detail.empty()) message += ": " + why.detail;
  throw HomeUnreachable(message);
}

// The last one knows best: where it was not sent, the others' answers may be still to come.
std::vector<Reply> replies_of(std::vector<Answer> answers) {
  std::vector<Reply> replies;
  if (!answers.back().has_reply()) throw_unreachable(answers.back().failure);
  for (Answer& answer : answers) {
    if (!answer.has_reply()) throw_unreachable(answer.failure);
    replies.push_back(std::move(answer.reply));
  }
  return replies;
}

}  // namespace

LevelClient::LevelClient(LevelOptions options, const MakeLevelTransport& make_transport)
    : options_(std::move(options)), node_(hex_of(random_number())) {
  watch();
  transport_ = make_transport(*this);
  connect_until_ns_ = transport_->now_ns() + options_.connect_timeout_ns;
  transport_->call_after(nanoseconds(options_.claim_ms * 1'000'000 / 3), [this] { tick(); });
}

LevelClient::~LevelClient() { unwatch(); }

void LevelClient::await_first_connection() {
  if (transport_->is_connected(Link::kData)) return;
  const nanoseconds left(connect_until_ns_ - transport_->now_ns());
  if (left.count() > 0) transport_->await_connected(Link::kData, left);
}

Reply LevelClient::ask(const Script& script, const ScriptCall& call) {
  await_first_connection();
  Answer answer =
      run(*transport_, Link::kData, script, call, nanoseconds(options_.command_timeout_ns));
  if (!answer.has_reply()) throw_unreachable(answer.failure);
  return std::move(answer.reply);
}

std::vector<Reply> LevelClient::ask(const std::vector<Command>& commands) {
  await_first_connection();
  return replies_of(
      execute_all(*transport_, Link::kData, commands, nanoseconds(options_.command_timeout_ns)));
}

std::vector<Reply> LevelClient::ask(const Script& script, const std::vector<ScriptCall>& calls) {
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
