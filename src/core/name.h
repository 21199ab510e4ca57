// Names that users give to logs and values of their own (`prefix`). Thread-safety: no shared state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace zoocache::core {

// At most 64 of A-Z a-z 0-9 . _ -
inline bool is_plain_name(std::string_view name) noexcept {
  constexpr std::size_t kMost = 64;
  return name.size() <= kMost && std::all_of(name.begin(), name.end(), [](char letter) {
           return (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z') ||
                  (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' ||
                  letter == '-';
         });
}

}  // namespace zoocache::core
