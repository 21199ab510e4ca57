// What the options of a home and of a storage have in common.
// Thread-safety: functions without shared state.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace zoocache::lmdb {

// How long to wait for others who open the folder just now.
inline constexpr std::chrono::milliseconds kShortWait{50};

// The folder that a path and a prefix name. Throws InvalidOption.
std::string checked_folder(const std::string& path, const std::string& prefix);

// Throw InvalidOption.
void check_lock_timeout(double lock_timeout_s);
void check_commit_time(double max_commit_time_s);
void check_size(const char* name, std::size_t value, unsigned least_bits, unsigned most_bits);

std::chrono::nanoseconds seconds(double span);

}  // namespace zoocache::lmdb
