// The home of the caches of one process: what other homes keep in a file or on a server, in memory.
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/home.h"
#include "core/log.h"
#include "zoocache/home.h"

namespace zoocache {
namespace {

using core::Change;
using core::Epoch;
using core::InvalidationLog;
using core::TagPath;

// One row for each text, its newest: what a process that comes late has to hear.
struct SharedRows {
  using At = std::pair<Epoch, std::uint32_t>;
  struct Row {
    std::string text;
    std::uint64_t done_by = 0;  // the connection whose log needs not be told; 0: none
  };

  std::mutex mutex;  // guards everything but reads of the clock
  std::atomic<Epoch> clock{0};
  std::map<At, Row> rows;
  std::unordered_map<std::string, At> newest;
  Epoch floor = 0;  // what was newest at or below it may have been forgotten
  std::uint64_t connections = 0;

  static constexpr std::size_t kMaxRows = 1'000'000;
  static constexpr std::size_t kTrimmedAtOnce = 16;
};

class MemoryLogHome final : public core::LogHome {
 public:
  explicit MemoryLogHome(std::shared_ptr<SharedRows> shared) : shared_(std::move(shared)) {
    const std::lock_guard lock(shared_->mutex);
    self_ = ++shared_->connections;
    applied_.store(shared_->clock.load());
  }

  bool is_fresh() const noexcept override {
    return shared_->clock.load(std::memory_order_acquire) <=
           applied_.load(std::memory_order_acquire);
  }

  void refresh(InvalidationLog& log) noexcept override {
    const std::lock_guard lock(shared_->mutex);
    catch_up(log, 0, 0);
  }

  Epoch append(InvalidationLog& log, std::span<const Change> changes,
               std::uint32_t origin) override {
    const std::lock_guard lock(shared_->mutex);
    const Epoch epoch = shared_->clock.load() + 1;
    std::uint32_t index = 0;
    try {
      for (const Change& change : changes) put(change, {epoch, index++});
    } catch (...) {
      shared_->clock.store(epoch, std::memory_order_release);  // of what was put before
      core::apply_changes(log, changes, origin);
      throw;
    }
    trim();
    shared_->clock.store(epoch, std::memory_order_release);
    catch_up(log, epoch, origin);
    return epoch;
  }

  Epoch version(const TagPath& path) override {
    const std::lock_guard lock(shared_->mutex);
    const auto version = [this](std::string_view text) { return version_of(text); };
    return std::max(shared_->floor, core::newest_on_path(path, version));
  }

  HomeStatus status() override {
    const std::lock_guard lock(shared_->mutex);
    return {"memory", true, 0, shared_->clock.load(), applied_.load(), shared_->floor};
  }

  Epoch newest() override { return shared_->clock.load(); }

  core::HomePosition position() noexcept override { return {true, 0, applied_.load()}; }

  bool holds(std::uint64_t generation, Epoch born, std::span<const std::string> texts) override {
    const std::lock_guard lock(shared_->mutex);
    const auto version = [this](std::string_view text) { return version_of(text); };
    return generation == 0 && born >= shared_->floor && core::newest_of(texts, version) <= born;
  }

 private:
  // A row that replaces one which this log has not been told must be told to it after all.
  void put(const Change& change, SharedRows::At at) {
    std::uint64_t done_by = change.is_done_here ? self_ : 0;
    std::string text(change.text);
    const auto [found, is_new] = shared_->newest.try_emplace(text, at);
    if (!is_new) {
      const auto old = shared_->rows.find(found->second);
      if (old != shared_->rows.end()) {
        const bool told = old->first.first <= applied_.load() || old->second.done_by == self_;
        if (!told) done_by = 0;
        shared_->rows.erase(old);
      }
      found->second = at;
    }
    shared_->rows.insert_or_assign(at, SharedRows::Row{std::move(text), done_by});
  }

  void trim() {
    for (std::size_t left = SharedRows::kTrimmedAtOnce;
         left > 0 && shared_->rows.size() > SharedRows::kMaxRows; --left) {
      const auto oldest = shared_->rows.begin();
      shared_->floor = oldest->first.first;
      shared_->newest.erase(oldest->second.text);
      shared_->rows.erase(oldest);
    }
  }

  void catch_up(InvalidationLog& log, Epoch own, std::uint32_t origin) noexcept {
    const Epoch applied = applied_.load();
    if (applied < shared_->floor) log.apply_root();
    try {
      std::vector<Change> together;  // of one epoch
      auto row = shared_->rows.lower_bound({applied + 1, 0});
      while (row != shared_->rows.end()) {
        const Epoch epoch = row->first.first;
        for (; row != shared_->rows.end() && row->first.first == epoch; ++row) {
          together.emplace_back(row->second.text, row->second.done_by == self_);
        }
        core::apply_changes(log, together, epoch == own ? origin : 0);
        together.clear();
      }
    } catch (const std::bad_alloc&) {
      log.apply_root(origin);
    }
    applied_.store(shared_->clock.load(), std::memory_order_release);
  }

  Epoch version_of(std::string_view text) const {
    const auto found = shared_->newest.find(std::string(text));
    return found == shared_->newest.end() ? 0 : found->second.first;
  }

  const std::shared_ptr<SharedRows> shared_;
  std::uint64_t self_ = 0;
  std::atomic<Epoch> applied_{0};
};

class MemoryHome final : public Home {
 public:
  std::unique_ptr<core::LogHome> connect() const override {
    return std::make_unique<MemoryLogHome>(shared_);
  }

 private:
  const std::shared_ptr<SharedRows> shared_ = std::make_shared<SharedRows>();
};

}  // namespace

HomePtr memory_home() { return std::make_shared<MemoryHome>(); }

}  // namespace zoocache
