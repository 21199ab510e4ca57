#include "lmdb/location.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/name.h"
#include "zoocache/errors.h"

namespace zoocache::lmdb {

std::string checked_folder(const std::string& path, const std::string& prefix) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw InvalidOption("path='' is not allowed: an LMDB home wants a folder, as in './cache'");
  }
  if (!core::is_plain_name(prefix) || prefix == "." || prefix == "..") {
    throw InvalidOption("prefix='" + prefix.substr(0, 80) +
                        "' is not allowed: 1 to 64 of A-Z a-z 0-9 . _ -, and not '.' or '..'");
  }
  return prefix.empty() ? path : path + "/prefix-" + prefix;
}

void check_lock_timeout(double lock_timeout_s) {
  if (lock_timeout_s > 0 && !std::isinf(lock_timeout_s)) return;
  throw InvalidOption("lock_timeout_s=" + std::to_string(lock_timeout_s) +
                      " is not allowed: it is a time in seconds, above 0");
}

void check_commit_time(double max_commit_time_s) {
  if (max_commit_time_s >= 0.01 && max_commit_time_s <= 86'400) return;
  throw InvalidOption("max_commit_time_s=" + std::to_string(max_commit_time_s) +
                      " is not allowed: it is a time in seconds, 0.01 to 86,400");
}

void check_size(const char* name, std::size_t value, unsigned least_bits, unsigned most_bits) {
  const auto power = [](unsigned bits) { return std::size_t{1} << bits; };
  if (value >= power(least_bits) && value <= power(most_bits)) return;
  throw InvalidOption(std::string(name) + "=" + std::to_string(value) + " is not allowed: 2^" +
                      std::to_string(least_bits) + " to 2^" + std::to_string(most_bits));
}

std::chrono::nanoseconds seconds(double span) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(span, 1e9) * 1e9));
}

}  // namespace zoocache::lmdb
