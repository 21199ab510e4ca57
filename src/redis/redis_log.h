// A cache's connection to a log on a Redis server: see core/home.h for what it promises, but for
// this: what other processes declare arrives a network delay after it was acknowledged, and never
// later than the lease. follower.h has the protocol.
//
// In a child of fork() everything begins anew with a follower of the child's own; the parent's is
// left alone, since its thread and its locks do not exist there.
// Thread-safety: as LogHome.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/home.h"
#include "redis/follower.h"
#include "redis/inspector.h"
#include "redis/per_process.h"

namespace zoocache::redis {

class RedisLog final : public core::LogHome {
 public:
  // `make_asking`: for `inspect`; none: nobody is asked.
  RedisLog(FollowerOptions options, MakeTransport make_transport, MakeSubscribed make_asking = {});

  // Begins to connect, and does not wait for it.
  void attach(core::InvalidationLog& log) override;
  bool is_fresh() const noexcept override {
    const Follower* const follower = follower_.peek();
    return follower != nullptr && follower->is_fresh();
  }
  void refresh(core::InvalidationLog& log) noexcept override;
  bool refresh_waits() const noexcept override {
    const Follower* const follower = follower_.peek();
    return follower == nullptr || follower->is_inherited() || follower->refresh_waits();
  }
  core::Epoch append(core::InvalidationLog& log, std::span<const core::Change> changes,
                     std::uint32_t origin) override;
  std::uint64_t declare_intent(core::InvalidationLog& log,
                               std::span<const core::Change> changes) override;
  core::Epoch fire_intent(core::InvalidationLog& log, std::uint64_t token,
                          std::span<const core::Change> changes, std::uint32_t origin) override;
  void drop_intent(core::InvalidationLog& log, std::uint64_t token) noexcept override;
  core::Epoch version(const core::TagPath& path) override;
  HomeStatus status() override;
  core::Epoch newest() override;
  core::HomePosition position() noexcept override;
  bool holds(std::uint64_t generation, core::Epoch born,
             std::span<const std::string> texts) override;
  std::vector<bool> holds_many(std::span<const Question> questions) override;

  core::HomeLook look(std::span<const std::string> texts) override;
  core::HomeRows rows(const std::string& from, std::size_t most) override;
  std::vector<core::HomeNode> nodes() override;
  core::Facts facts() override;
  core::Inspected inspect(const core::Inspection& question) override;
  void tell(const core::MemoryQuestion& question, std::string told) noexcept override;

  // Waits until no process serves what the epoch invalidated: until every one that the home knows
  // has applied it; at the latest one lease. In a generation that is younger than ten leases the
  // home may not know all, and it is the lease. False: the time-out came first.
  // Not from an event loop.
  bool wait_applied(std::uint64_t generation, core::Epoch epoch,
                    std::chrono::nanoseconds timeout) override;

 private:
  // This process's. REQUIRES: it is attached.
  Follower& follower();

  const FollowerOptions options_;
  const MakeTransport make_transport_;
  core::InvalidationLog* log_ = nullptr;
  PerProcess<Follower> follower_;
  const MakeSubscribed make_asking_;
  PerProcess<Inspector> inspector_;
};

}  // namespace zoocache::redis
