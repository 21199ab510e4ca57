#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "lmdb/level_environment.h"
#include "lmdb/lmdb_level.h"
#include "lmdb/lmdb_log.h"
#include "lmdb/location.h"
#include "zoocache/lmdb.h"

namespace zoocache {
namespace {

// Caches that come and go find the folder open.
constexpr std::chrono::seconds kOpenTimeout{5};

class LmdbHome final : public Home {
 public:
  LmdbHome(std::string path, LmdbOptions options)
      : path_(std::move(path)),
        options_(std::move(options)),
        environment_(lmdb::Environment::open(path_, options_.map_bytes, kOpenTimeout)) {}

  std::unique_ptr<core::LogHome> connect() const override {
    return std::make_unique<lmdb::LmdbLog>(path_, options_);
  }

 private:
  const std::string path_;
  const LmdbOptions options_;
  const std::shared_ptr<lmdb::Environment> environment_;
};

class LmdbStorage final : public Storage {
 public:
  LmdbStorage(const std::string& path, const LmdbStorageOptions& options)
      : level_(std::make_shared<lmdb::LmdbLevel>(
            path, options, lmdb::LevelEnvironment::open(path, kOpenTimeout))) {}

  std::shared_ptr<core::SecondLevel> connect() const override { return level_; }

 private:
  const std::shared_ptr<lmdb::LmdbLevel> level_;
};

}  // namespace

HomePtr lmdb_home(const std::string& path, const LmdbOptions& options) {
  const std::string folder = lmdb::checked_folder(path, options.prefix);
  lmdb::check_size("max_log_tags", options.max_log_tags, 4, 24);
  lmdb::check_size("map_bytes", options.map_bytes, 20, 36);
  lmdb::check_lock_timeout(options.lock_timeout_s);
  lmdb::check_commit_time(options.max_commit_time_s);
  return std::make_shared<LmdbHome>(folder, options);
}

StoragePtr lmdb_storage(const std::string& path, const LmdbStorageOptions& options) {
  const std::string folder = lmdb::checked_folder(path, options.prefix);
  lmdb::check_size("max_bytes", options.max_bytes, 20, 40);
  lmdb::check_size("max_value_bytes", options.max_value_bytes, 0, 30);
  lmdb::check_lock_timeout(options.lock_timeout_s);
  return std::make_shared<LmdbStorage>(folder, options);
}

}  // namespace zoocache
