#include "lmdb/file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace zoocache::lmdb {

void fail(const std::string& what, int error_number) {
  throw HomeUnreachable(what + ": " + std::generic_category().message(error_number));
}

File File::open(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) fail("cannot open " + path, errno);
  return File(descriptor);
}

File File::open_existing(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0 && errno != ENOENT) fail("cannot open " + path, errno);
  return File(descriptor);
}

void File::close() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

namespace {

struct flock whole_file() noexcept {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

bool File::try_lock() const noexcept {
  struct flock lock = whole_file();
  return fcntl(descriptor_, F_OFD_SETLK, &lock) == 0;
}

bool File::is_locked() const noexcept {
  struct flock lock = whole_file();
  return fcntl(descriptor_, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  while (number == 0) {
    if (getrandom(&number, sizeof number, 0) != sizeof number) {
      fail("cannot draw a random number", errno);
    }
  }
  return number;
}

std::string read_small_file(const std::string& path) {
  const File file = File::open_existing(path, O_RDONLY);
  std::string text;
  std::array<char, 4096> buffer;
  while (file) {
    const ssize_t count = read(file.get(), buffer.data(), buffer.size() - text.size());
    if (count < 0 && errno != EINTR) fail("cannot read " + path, errno);
    if (count == 0) break;
    if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() == buffer.size()) break;
  }
  return text;
}

void write_small_file(const std::string& path, const std::string& text) {
  const std::string next = path + ".next";
  {
    const File file = File::open(next, O_WRONLY | O_CREAT | O_TRUNC);
    const ssize_t count = write(file.get(), text.data(), text.size());
    if (count != static_cast<ssize_t>(text.size())) fail("cannot write " + next, errno);
  }
  if (rename(next.c_str(), path.c_str()) != 0) fail("cannot replace " + path, errno);
}

}  // namespace zoocache::lmdb
