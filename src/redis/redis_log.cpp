#include "redis/redis_log.h"

#include <exception>
#include <utility>

namespace zoocache::redis {

using core::Change;
using core::Epoch;
using core::InvalidationLog;

RedisLog::RedisLog(FollowerOptions options, MakeTransport make_transport,
                   MakeSubscribed make_asking)
    : options_(std::move(options)),
      make_transport_(std::move(make_transport)),
      make_asking_(std::move(make_asking)) {}

void RedisLog::attach(InvalidationLog& log) {
  log_ = &log;
  try {
    follower();
  } catch (const std::exception&) {
    return;  // no thread, say: the first call tries again
  }
}

Follower& RedisLog::follower() {
  return follower_.get(
      [this] { return std::make_unique<Follower>(options_, make_transport_, *log_); });
}

void RedisLog::refresh(InvalidationLog& log) noexcept {
  try {
    follower().refresh();
  } catch (const std::exception&) {  // no thread or no memory for a connection
    log.apply_root();
  }
}

Epoch RedisLog::append(InvalidationLog&, std::span<const Change> changes, std::uint32_t origin) {
  return follower().append(changes, origin);
}

std::uint64_t RedisLog::declare_intent(InvalidationLog&, std::span<const Change> changes) {
  return follower().declare_intent(changes);
}

Epoch RedisLog::fire_intent(InvalidationLog&, std::uint64_t token, std::span<const Change> changes,
                            std::uint32_t origin) {
  return follower().fire_intent(token, changes, origin);
}

void RedisLog::drop_intent(InvalidationLog&, std::uint64_t token) noexcept {
  try {
    follower().drop_intent(token);
  } catch (const std::exception&) {
    return;  // no follower, no intent of its own
  }
}

Epoch RedisLog::version(const core::TagPath& path) { return follower().version(path); }

HomeStatus RedisLog::status() { return follower().status(); }

Epoch RedisLog::newest() { return follower().newest(); }

core::HomePosition RedisLog::position() noexcept {
  try {
    return follower().position();
  } catch (const std::exception&) {
    return {};
  }
}

bool RedisLog::holds(std::uint64_t generation, Epoch born, std::span<const std::string> texts) {
  return follower().holds(generation, born, texts);
}

std::vector<bool> RedisLog::holds_many(std::span<const Question> questions) {
  return follower().holds_many(questions);
}

core::HomeLook RedisLog::look(std::span<const std::string> texts) { return follower().look(texts); }

core::HomeRows RedisLog::rows(const std::string& from, std::size_t most) {
  return follower().rows(from, most);
}

std::vector<core::HomeNode> RedisLog::nodes() { return follower().nodes(); }

core::Facts RedisLog::facts() { return follower().facts(); }

core::Inspected RedisLog::inspect(const core::Inspection& question) {
  if (!make_asking_) return {};
  Inspector& inspector = inspector_.get([this] {
    return std::make_unique<Inspector>(Place(options_.prefix, options_.database), make_asking_);
  });
  return inspector.ask(question);
}

void RedisLog::tell(const core::MemoryQuestion& question, std::string told) noexcept {
  Follower* const follower = follower_.peek();
  if (follower != nullptr && !follower->is_inherited()) follower->tell(question, told);
}

bool RedisLog::wait_applied(std::uint64_t generation, Epoch epoch,
                            std::chrono::nanoseconds timeout) {
  return follower().wait_applied(generation, epoch, timeout);
}

}  // namespace zoocache::redis
