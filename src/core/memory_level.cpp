// The second level of the caches of one process, in memory: for tests of what others keep in a file
// or on a server.
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "core/clock.h"
#include "core/second_level.h"
#include "zoocache/storage.h"

namespace zoocache {
namespace {

using core::SeenEntry;
using core::StoredValue;

class MemoryLevel final : public core::SecondLevel {
 public:
  std::optional<StoredValue> get(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    return find(key);
  }

  Claim claim(std::string_view key, const std::optional<SeenEntry>& refused) override {
    const std::lock_guard lock(mutex_);
    std::optional<StoredValue> there = find(key);
    if (core::is_news(there, refused)) {
      return {Claim::Kind::kFound, 0, std::move(*there)};
    }
    Flight& flight = flights_[std::string(key)];
    if (flight.token != 0 && !flight.has_failed) return {Claim::Kind::kTaken, flight.token, {}};
    flight = {++tokens_, false};
    return {Claim::Kind::kMine, flight.token, {}};
  }

  Waited wait(std::string_view key, std::uint64_t token,
              std::chrono::nanoseconds at_most) override {
    std::unique_lock lock(mutex_);
    Waited outcome = Waited::kTimedOut;
    changed_.wait_for(lock, at_most, [&] {
      const auto flight = flights_.find(key);
      const bool is_it = flight != flights_.end() && flight->second.token == token;
      if (is_it && !flight->second.has_failed) return false;
      outcome = is_it ? Waited::kFailed : Waited::kEnded;
      return true;
    });
    return outcome;
  }

  void put(std::string_view key, std::uint64_t token, const StoredValue& value) override {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[std::string(key)];
    entry.value = value;
    entry.expires_ns = value.lives_ns == 0 ? 0 : core::boot_time_ns() + value.lives_ns;
    end(key, token, false);
  }

  void release(std::string_view key, std::uint64_t token, bool failed) noexcept override {
    const std::lock_guard lock(mutex_);
    end(key, token, failed);
  }

 protected:
  const char* kind() const noexcept override { return "memory"; }

 private:
  struct Entry {
    StoredValue value;
    std::int64_t expires_ns = 0;
  };
  struct Flight {
    std::uint64_t token = 0;
    bool has_failed = false;
  };

  std::optional<StoredValue> find(std::string_view key) {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return std::nullopt;
    StoredValue value = entry->second.value;
    if (entry->second.expires_ns != 0) {
      value.lives_ns = entry->second.expires_ns - core::boot_time_ns();
      if (value.lives_ns <= 0) return std::nullopt;
    }
    return value;
  }

  void end(std::string_view key, std::uint64_t token, bool failed) noexcept {
    const auto flight = flights_.find(key);
    if (token == 0 || flight == flights_.end() || flight->second.token != token) return;
    if (failed) {
      flight->second.has_failed = true;
    } else {
      flights_.erase(flight);
    }
    changed_.notify_all();
  }

  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::map<std::string, Flight, std::less<>> flights_;
  std::uint64_t tokens_ = 0;
};

class MemoryStorage final : public Storage {
 public:
  std::shared_ptr<core::SecondLevel> connect() const override { return level_; }

 private:
  const std::shared_ptr<MemoryLevel> level_ = std::make_shared<MemoryLevel>();
};

}  // namespace

StoragePtr memory_storage() { return std::make_shared<MemoryStorage>(); }

}  // namespace zoocache
