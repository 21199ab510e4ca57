// Checks of what users say about a server, the same for the log and for the values on it.
// Thread-safety: functions without shared state.
#pragma once

#include <cstdint>
#include <string>

namespace zoocache::redis {

// Throws InvalidOption for a namespace that is not 1 to 64 of A-Z a-z 0-9 . _ -
void check_prefix(const std::string& prefix);
// Throws InvalidOption for what is not within these bounds.
void check_seconds(const char* name, double value, double least, double most);

inline std::int64_t span_ns(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

}  // namespace zoocache::redis
