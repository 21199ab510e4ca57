// Bytes on their way to a value: what a Codec (codec.h) decodes from.
// Thread-safety: one thread at a time.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <zoocache/errors.h>

namespace zoocache {

// Takes bytes from the front. Everything throws SerializationError if there are not so many.
class ByteReader {
 public:
  static constexpr std::size_t kMaxDepth = 256;  // values inside of each other

  // Of bytes that outlive it.
  explicit ByteReader(std::string_view bytes) noexcept : left_(bytes) {}

  // Bytes that are left.
  std::size_t left() const noexcept { return left_.size(); }
  // They lie where all the bytes lie.
  std::string_view take(std::size_t size);
  // A little endian number.
  template <std::unsigned_integral Number>
  Number number() {
    std::uint64_t taken = 0;
    std::size_t shift = 0;
    for (const char byte : take(sizeof(Number))) {
      taken |= std::uint64_t{static_cast<unsigned char>(byte)} << shift;
      shift += 8;
    }
    return static_cast<Number>(taken);
  }
  // How many items follow, of at least one byte each: never more than there are bytes.
  std::size_t count();
  // Bytes behind their size.
  std::string_view sized() { return take(count()); }
  // REQUIRES: nothing. Throws if something is left.
  void end() const;

  // A value inside of another, while it lives. Throws at kMaxDepth.
  class Inside {
   public:
    // One level deeper, until it dies.
    explicit Inside(ByteReader& reader);
    ~Inside() { --reader_.depth_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    ByteReader& reader_;
  };

 private:
  std::string_view left_;
  std::size_t depth_ = 0;
};

}  // namespace zoocache
