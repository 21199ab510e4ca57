#include <bit>
#include <cmath>
#include <string>

#include "core/engine.h"
#include "core/tag.h"
#include "zoocache/errors.h"

namespace zoocache::core {
namespace {

template <class Number>
[[noreturn]] void refuse(const char* name, Number value, const std::string& rule) {
  throw InvalidOption(std::string(name) + "=" + std::to_string(value) + " is not allowed: " + rule);
}

void check_seconds(const char* name, double seconds, bool zero_allowed) {
  const bool good = std::isfinite(seconds) && (zero_allowed ? seconds >= 0 : seconds > 0);
  if (!good) {
    refuse(
        name, seconds,
        zero_allowed ? "it is a time in seconds, 0 or more" : "it is a time in seconds, above 0");
  }
}

}  // namespace

void check_options(const Options& options) {
  if (options.max_entries < 1) refuse("max_entries", options.max_entries, "at least 1");
  if (options.max_bytes < 1) refuse("max_bytes", options.max_bytes, "at least 1");
  check_seconds("default_ttl_s", options.default_ttl_s, true);
  check_seconds("flight_timeout_s", options.flight_timeout_s, false);
  if (options.max_tag_length < 1 || options.max_tag_length > kMaxTagLengthLimit) {
    refuse("max_tag_length", options.max_tag_length,
           "1 to " + std::to_string(kMaxTagLengthLimit) + " characters");
  }
  const std::size_t ring = options.ring_records;
  if (!std::has_single_bit(ring) || ring < 16 || ring > (std::size_t{1} << 24)) {
    refuse("ring_records", ring, "a power of two, 2^4 to 2^24");
  }
  if (options.explain_records > (std::size_t{1} << 20)) {
    refuse("explain_records", options.explain_records, "0 to 2^20");
  }
  if (options.invalidation_records > (std::size_t{1} << 20)) {
    refuse("invalidation_records", options.invalidation_records, "0 to 2^20");
  }
  if (options.storage != nullptr && options.home == nullptr) {
    throw InvalidOption(
        "storage without home is not allowed: a home's log says which stored values still hold");
  }
  const std::string server = options.storage == nullptr ? "" : options.storage->server();
  if (!server.empty() && server != options.home->server()) {
    const std::string other = options.home->server();
    throw InvalidOption("storage on " + server + " with a home on " +
                        (other.empty() ? "no server" : other) +
                        " is not allowed: values on a server need their log on the same one; use "
                        "redis_home with that URL, or keep the values in lmdb_storage");
  }
}

void check_options(const FunctionOptions& options) {
  if (std::isnan(options.ttl_s) || std::isinf(options.ttl_s)) {
    refuse("ttl_s", options.ttl_s, "a time in seconds, 0 for none");
  }
  const AgingOptions& aging = options.aging;
  check_seconds("grace_s", aging.grace_s, true);
  check_seconds("stale_if_error_s", aging.stale_if_error_s, true);
  check_seconds("soft_timeout_s", aging.soft_timeout_s, true);
  check_seconds("refresh_ahead_s", aging.refresh_ahead_s, true);
  if (!(aging.jitter >= 0 && aging.jitter < 1)) refuse("jitter", aging.jitter, "0 to below 1");
  if (aging.grace_s == 0 && (aging.stale_while_revalidate || aging.soft_timeout_s > 0)) {
    refuse("grace_s", aging.grace_s,
           "stale_while_revalidate and soft_timeout_s need a grace, in seconds");
  }
  if (aging.stale_if_error_s == 0 && aging.stale_if_error_invalidated) {
    refuse("stale_if_error_s", aging.stale_if_error_s,
           "stale_if_error_invalidated needs it, in seconds");
  }
}

}  // namespace zoocache::core
