// The bytes of a value as they are written and read: numbers, sizes, runs of bytes.
//
// Promises: a writer never grows beyond its limit, a reader never goes beyond its end; after the
// first failure a writer stays failed. Neither touches Python objects, so that a thread which the
// interpreter unwinds by force at its exit only frees memory.
// Thread-safety: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace zoocache::python {

class ByteWriter {
 public:
  explicit ByteWriter(std::size_t limit) : limit_(limit) {}
  ~ByteWriter() { std::free(bytes_); }
  ByteWriter(const ByteWriter&) = delete;
  ByteWriter& operator=(const ByteWriter&) = delete;

  const char* data() const { return bytes_; }
  std::size_t size() const { return size_; }
  // Why a write failed: the bytes would be beyond the limit, or there is no memory.
  bool is_too_large() const { return is_too_large_; }

  bool append(const void* from, std::size_t count) {
    if (count > room_ - size_ && !grow(count)) return false;
    if (count > 0) std::memcpy(bytes_ + size_, from, count);
    size_ += count;
    return true;
  }

  template <class Number>
  bool number(Number number) {
    static_assert(sizeof number <= sizeof(std::uint64_t));
    unsigned char little[sizeof number];
    for (std::size_t at = 0; at < sizeof number; ++at) {
      little[at] = static_cast<unsigned char>(static_cast<std::uint64_t>(number) >> (8 * at));
    }
    return append(little, sizeof little);
  }

  bool byte(std::uint8_t value) { return append(&value, 1); }

  bool real(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return number(bits);
  }

  bool count(std::size_t count) {
    unsigned char groups[10];
    std::size_t used = 0;
    do {
      const std::size_t rest = count >> 7;
      groups[used++] = static_cast<unsigned char>((count & 0x7F) | (rest != 0 ? 0x80 : 0));
      count = rest;
    } while (count != 0);
    return append(groups, used);
  }

  // A mark that holds small counts itself.
  bool marked_count(std::uint8_t short_mark, std::size_t shorts, std::uint8_t mark,
                    std::size_t number) {
    if (number < shorts) return byte(static_cast<std::uint8_t>(short_mark + number));
    return byte(mark) && count(number);
  }

  // Replaces what was written since `start`. REQUIRES: as many bytes as there are.
  void rewrite(std::size_t start, const char* from) {
    if (size_ > start) std::memcpy(bytes_ + start, from, size_ - start);
  }

 private:
  bool grow(std::size_t count) {
    if (count > limit_ - size_) {
      is_too_large_ = true;
      return false;
    }
    std::size_t room = 2 * room_ + kLeastRoom;
    if (room < size_ + count) room = size_ + count;
    if (room > limit_) room = limit_;
    auto* bytes = static_cast<char*>(std::realloc(bytes_, room));
    if (bytes == nullptr) return false;
    bytes_ = bytes;
    room_ = room;
    return true;
  }

  static constexpr std::size_t kLeastRoom = 256;
  const std::size_t limit_;
  char* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::size_t room_ = 0;
  bool is_too_large_ = false;
};

class ByteReader {
 public:
  ByteReader(const char* bytes, std::size_t size) : begin_(bytes), at_(bytes), end_(bytes + size) {}

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  std::size_t position() const { return static_cast<std::size_t>(at_ - begin_); }

  // False, in all of them: the bytes end too early.
  bool take(std::size_t count, const char** bytes) {
    if (count > left()) return false;
    *bytes = at_;
    at_ += count;
    return true;
  }

  bool byte(std::uint8_t* value) {
    if (at_ == end_) return false;
    *value = static_cast<std::uint8_t>(*at_++);
    return true;
  }

  template <class Number>
  bool number(Number* number) {
    const char* bytes;
    if (!take(sizeof *number, &bytes)) return false;
    std::uint64_t taken = 0;
    for (std::size_t at = 0; at < sizeof *number; ++at) {
      taken |= std::uint64_t{static_cast<unsigned char>(bytes[at])} << (8 * at);
    }
    *number = static_cast<Number>(taken);
    return true;
  }

  bool real(double* value) {
    std::uint64_t bits;
    if (!number(&bits)) return false;
    std::memcpy(value, &bits, sizeof bits);
    return true;
  }

  // False also for a count that no size can have.
  bool count(std::size_t* count) {
    std::size_t taken = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      std::uint8_t group;
      if (!byte(&group)) return false;
      taken |= std::size_t{group & 0x7FU} << shift;
      if ((group & 0x80) == 0) {
        *count = taken;
        return true;
      }
    }
    return false;
  }

 private:
  const char* begin_;
  const char* at_;
  const char* end_;
};

}  // namespace zoocache::python
