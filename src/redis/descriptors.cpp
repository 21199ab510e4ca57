#include "redis/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace zoocache::redis {
namespace {

constexpr std::size_t kMost = 256;

struct Targets {
  std::array<int, kMost> descriptors;
  std::size_t size = 0;
};

// What an epoll waits for; empty for anything else. Allocates nothing, since a child of fork() of a
// process with threads calls it.
Targets targets_of(int descriptor) {
  Targets targets;
  std::array<char, 64> path;
  std::snprintf(path.data(), path.size(), "/proc/self/fdinfo/%d", descriptor);
  const int file = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return targets;
  // Lines are short; what does not fit in the buffer stays for the next round.
  std::array<char, 4096> buffer;
  std::size_t filled = 0;
  for (;;) {
    const ssize_t got = read(file, buffer.data() + filled, buffer.size() - filled);
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
    char* line = buffer.data();
    char* const end = buffer.data() + filled;
    for (char* stop = nullptr; (stop = std::find(line, end, '\n')) != end; line = stop + 1) {
      *stop = '\0';
      if (std::strncmp(line, "tfd:", 4) != 0 || targets.size == kMost) continue;
      targets.descriptors[targets.size++] = static_cast<int>(std::strtol(line + 4, nullptr, 10));
    }
    filled = static_cast<std::size_t>(end - line);
    std::memmove(buffer.data(), line, filled);
    if (filled == buffer.size()) break;  // no line of the kernel's is as long
  }
  close(file);
  return targets;
}

bool contains(const Targets& targets, int descriptor) {
  const auto* const end = targets.descriptors.begin() + targets.size;
  return std::find(targets.descriptors.begin(), end, descriptor) != end;
}

}  // namespace

Descriptors::Descriptors(int marker) {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return;
  int candidates = 0;
  while (const dirent* const entry = readdir(folder)) {
    const int descriptor = std::atoi(entry->d_name);  // "." and "..": 0, which is no epoll
    std::array<char, 64> path;
    std::array<char, 64> target{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", descriptor);
    if (readlink(path.data(), target.data(), target.size() - 1) <= 0) continue;
    if (std::strcmp(target.data(), "anon_inode:[eventpoll]") != 0) continue;
    if (!contains(targets_of(descriptor), marker)) continue;
    epoll_ = descriptor;
    ++candidates;
  }
  closedir(folder);
  // Another loop may remember a closed descriptor of the same number: better none than a wrong one.
  if (candidates != 1) epoll_ = -1;
}

void Descriptors::close_on_exec() const {
  if (!is_known()) return;
  const Targets targets = targets_of(epoll_);
  for (std::size_t index = 0; index < targets.size; ++index) {
    fcntl(targets.descriptors[index], F_SETFD, FD_CLOEXEC);
  }
}

void Descriptors::close_all() const {
  if (!is_known()) return;
  const Targets targets = targets_of(epoll_);
  for (std::size_t index = 0; index < targets.size; ++index) close(targets.descriptors[index]);
  close(epoll_);
}

int Descriptors::count() const {
  return is_known() ? static_cast<int>(targets_of(epoll_).size) + 1 : 0;
}

}  // namespace zoocache::redis
