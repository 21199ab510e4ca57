#include "redis/settings.h"

#include "core/name.h"
#include "zoocache/errors.h"

namespace zoocache::redis {

void check_prefix(const std::string& prefix) {
  if (prefix.empty() || !core::is_plain_name(prefix)) {
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
