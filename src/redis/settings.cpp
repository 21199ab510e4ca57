#include "redis/settings.h"

#include <algorithm>
#include <cstddef>

#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

bool is_plain(char letter) {
  return (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z') ||
         (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' || letter == '-';
}

}  // namespace

void check_prefix(const std::string& prefix) {
  constexpr std::size_t kMost = 64;
  if (prefix.empty() || prefix.size() > kMost ||
      !std::all_of(prefix.begin(), prefix.end(), &is_plain)) {
    throw InvalidOption("prefix='" + prefix.substr(0, 80) +
                        "' is not allowed: 1 to 64 of A-Z a-z 0-9 . _ -");
  }
}

void check_seconds(const char* name, double value, double least, double most) {
  if (value >= least && value <= most) return;
  throw InvalidOption(std::string(name) + "=" + std::to_string(value) +
                      " is not allowed: seconds, " + std::to_string(least) + " to " +
                      std::to_string(most));
}

}  // namespace zoocache::redis
