#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "lmdb/lmdb_log.h"
#include "zoocache/errors.h"
#include "zoocache/lmdb.h"

namespace zoocache {
namespace {

bool is_plain(char letter) {
  return (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z') ||
         (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' || letter == '-';
}

void check_options(const std::string& path, const LmdbOptions& options) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw InvalidOption("path='' is not allowed: an LMDB home wants a folder, as in './cache'");
  }
  constexpr std::size_t kMost = 64;
  const std::string& prefix = options.prefix;
  const bool plain = std::all_of(prefix.begin(), prefix.end(), &is_plain);
  if (!plain || prefix.size() > kMost || prefix == "." || prefix == "..") {
    throw InvalidOption("prefix='" + prefix.substr(0, 80) +
                        "' is not allowed: 1 to 64 of A-Z a-z 0-9 . _ -, and not '.' or '..'");
  }
  if (options.max_log_tags < 16 || options.max_log_tags > (std::size_t{1} << 24)) {
    throw InvalidOption("max_log_tags=" + std::to_string(options.max_log_tags) +
                        " is not allowed: 2^4 to 2^24");
  }
  constexpr std::size_t kLeast = std::size_t{1} << 20;
  if (options.map_bytes < kLeast || options.map_bytes > (std::size_t{1} << 36)) {
    throw InvalidOption("map_bytes=" + std::to_string(options.map_bytes) +
                        " is not allowed: 2^20 to 2^36 bytes");
  }
  if (!(options.lock_timeout_s > 0) || std::isinf(options.lock_timeout_s)) {
    throw InvalidOption("lock_timeout_s=" + std::to_string(options.lock_timeout_s) +
                        " is not allowed: it is a time in seconds, above 0");
  }
}

class LmdbHome final : public Home {
 public:
  LmdbHome(std::string path, LmdbOptions options)
      : path_(std::move(path)),
        options_(std::move(options)),
        environment_(lmdb::Environment::open(path_, options_.map_bytes, std::chrono::seconds(5))) {}

  std::unique_ptr<core::LogHome> connect() const override {
    return std::make_unique<lmdb::LmdbLog>(path_, options_);
  }

 private:
  const std::string path_;
  const LmdbOptions options_;
  // Caches that come and go find it open.
  const std::shared_ptr<lmdb::Environment> environment_;
};

}  // namespace

HomePtr lmdb_home(const std::string& path, const LmdbOptions& options) {
  check_options(path, options);
  const std::string folder = options.prefix.empty() ? path : path + "/prefix-" + options.prefix;
  return std::make_shared<LmdbHome>(folder, options);
}

}  // namespace zoocache
