// Seeded 64-bit hashing of bytes and words.
//
// Folded 64x64->128 multiplication as in wyhash (Wang Yi, public domain); the secrets are drawn
// once per process, so that nobody outside can choose tags that collide. Never stored or sent, but
// for stable_hash.
// Thread-safety: pure functions; the seed is initialised once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace zoocache::core {

struct HashSecret {
  std::uint64_t seed;
  std::uint64_t first;
  std::uint64_t second;
};

// Drawn from the operating system at first use.
const HashSecret& hash_secret();

inline std::uint64_t fold_multiply(std::uint64_t left, std::uint64_t right) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(left) * right;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t hash_word(std::uint64_t word, std::uint64_t seed) noexcept {
  const HashSecret& secret = hash_secret();
  return fold_multiply(word ^ secret.first, seed ^ secret.second);
}

inline std::uint64_t hash_bytes(std::string_view text, std::uint64_t seed) noexcept {
  const HashSecret& secret = hash_secret();
  const auto word_at = [](const char* at) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
  };
  const auto half_at = [](const char* at) {
    std::uint32_t word;
    std::memcpy(&word, at, sizeof word);
    return std::uint64_t{word};
  };
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t hash = seed ^ secret.first;
  for (; left > 16; at += 16, left -= 16) {
    hash = fold_multiply(word_at(at) ^ secret.second, word_at(at + 8) ^ hash);
  }
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (left >= 8) {
    low = word_at(at);
    high = word_at(at + left - 8);  // overlaps: every byte counts at least once
  } else if (left >= 4) {
    low = half_at(at) << 32 | half_at(at + left - 4);
  } else if (left > 0) {  // the first, the middle and the last of one to three
    const auto byte_at = [at](std::size_t index) {
      return std::uint64_t{static_cast<unsigned char>(at[index])};
    };
    low = byte_at(0) << 16 | byte_at(left / 2) << 8 | byte_at(left - 1);
  }
  hash = fold_multiply(low ^ secret.second, high ^ hash);
  return fold_multiply(hash ^ text.size(), secret.first);
}

// Equal in every process and on every machine. Not seeded: for names, not for tables.
inline std::uint64_t stable_hash(std::string_view text, std::uint64_t start) noexcept {
  std::uint64_t hash = start;
  for (const char letter : text) {
    hash = fold_multiply(hash ^ static_cast<unsigned char>(letter), 0xD6E8FEB86659FD93ULL);
    hash += 0xA0761D6478BD642FULL;
  }
  return hash;
}

}  // namespace zoocache::core
