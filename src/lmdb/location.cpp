#include "lmdb/location.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "zoocache/errors.h"

namespace zoocache::lmdb {
namespace {

bool is_plain(char letter) {
  return (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z') ||
         (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' || letter == '-';
}

}  // namespace

std::string checked_folder(const std::string& path, const std::string& prefix) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw InvalidOption("path='' is not allowed: an LMDB home wants a folder, as in './cache'");
  }
  constexpr std::size_t kMost = 64;
  const bool plain = std::all_of(prefix.begin(), prefix.end(), &is_plain);
  if (!plain || prefix.size() > kMost || prefix == "." || prefix == "..") {
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
