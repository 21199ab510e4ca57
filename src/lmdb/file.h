// Files as this folder uses them: closed in time, not inherited by other programs, private.
// Thread-safety: as the system calls.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "zoocache/errors.h"

namespace zoocache::lmdb {

// Throws HomeUnreachable: what went wrong and the system's own words.
[[noreturn]] void fail(const std::string& what, int error_number);

class File {
 public:
  File() = default;
  // Mode 0600, close-on-exec. Throws HomeUnreachable.
  static File open(const std::string& path, int flags);
  // The same, but an empty one if it is not there.
  static File open_existing(const std::string& path, int flags);
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~File() { close(); }

  int get() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ >= 0; }
  void close() noexcept;
  // An exclusive lock of this opening, which ends with its last descriptor. False: it is taken.
  bool try_lock() const noexcept;
  // Whether another opening has it; takes nothing, not for a moment.
  bool is_locked() const noexcept;

 private:
  explicit File(int descriptor) noexcept : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

// From the operating system; not 0. Throws HomeUnreachable.
std::uint64_t random_number();

// All of it, at most 4 KiB; empty if there is none. Throws HomeUnreachable.
std::string read_small_file(const std::string& path);
// Replaces it, all or nothing. Throws HomeUnreachable.
void write_small_file(const std::string& path, const std::string& text);

}  // namespace zoocache::lmdb
