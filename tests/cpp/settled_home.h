// A home whose invalidations return when every connection that was made through it has applied
// them. Homes that push what is new promise that after a network delay; tests of what holds then
// need not guess when that is. Thread-safety: as the home's.
#pragma once

#include <gtest/gtest.h>
#include <zoocache/home.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/home.h"

namespace zoocache::testing {

class SettledHome final : public Home {
 public:
  explicit SettledHome(HomePtr home) : home_(std::move(home)) {}

  std::unique_ptr<core::LogHome> connect() const override {
    return std::make_unique<Connected>(home_->connect(), all_);
  }
  std::string server() const override { return home_->server(); }

 private:
  struct All {
    std::mutex mutex;  // a connection does not go while somebody looks at it
    std::vector<core::LogHome*> homes;
  };

  class Connected final : public core::LogHome {
   public:
    Connected(std::unique_ptr<core::LogHome> inner, std::shared_ptr<All> all)
        : all_(std::move(all)), inner_(std::move(inner)) {
      const std::lock_guard lock(all_->mutex);
      all_->homes.push_back(inner_.get());
    }
    ~Connected() override {
      const std::lock_guard lock(all_->mutex);
      std::erase(all_->homes, inner_.get());
    }
    void attach(core::InvalidationLog& log) override { inner_->attach(log); }
    bool is_fresh() const noexcept override { return inner_->is_fresh(); }
    void refresh(core::InvalidationLog& log) noexcept override { inner_->refresh(log); }
    core::Epoch append(core::InvalidationLog& log, std::span<const core::Change> changes,
                       std::uint32_t origin) override {
      const core::Epoch epoch = inner_->append(log, changes, origin);
      settle(epoch);
      return epoch;
    }
    std::uint64_t declare_intent(core::InvalidationLog& log,
                                 std::span<const core::Change> changes) override {
      return inner_->declare_intent(log, changes);
    }
    core::Epoch fire_intent(core::InvalidationLog& log, std::uint64_t token,
                            std::span<const core::Change> changes, std::uint32_t origin) override {
      const core::Epoch epoch = inner_->fire_intent(log, token, changes, origin);
      settle(epoch);
      return epoch;
    }
    void drop_intent(core::InvalidationLog& log, std::uint64_t token) noexcept override {
      inner_->drop_intent(log, token);
    }
    core::Epoch version(const core::TagPath& path) override { return inner_->version(path); }
    HomeStatus status() override { return inner_->status(); }
    core::Epoch newest() override { return inner_->newest(); }
    core::HomePosition position() noexcept override { return inner_->position(); }
    bool holds(std::uint64_t generation, core::Epoch born,
               std::span<const std::string> texts) override {
      return inner_->holds(generation, born, texts);
    }

   private:
    // One that knows no generation yet begins with everything invalidated.
    void settle(core::Epoch epoch) {
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      const std::lock_guard lock(all_->mutex);
      for (core::LogHome* const home : all_->homes) {
        for (;;) {
          const HomeStatus status = home->status();
          if (status.generation == 0 || status.applied >= epoch) break;
          if (std::chrono::steady_clock::now() > until) {
            ADD_FAILURE() << "epoch " << epoch << " did not arrive: " << status.applied << " "
                          << status.trouble;
            return;
          }
          std::this_thread::yield();
        }
      }
    }

    const std::shared_ptr<All> all_;
    const std::unique_ptr<core::LogHome> inner_;
  };

  const HomePtr home_;
  const std::shared_ptr<All> all_ = std::make_shared<All>();
};

}  // namespace zoocache::testing
