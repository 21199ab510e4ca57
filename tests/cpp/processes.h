// Child processes of a test, and memory that they share with it. Thread-safety: one owner.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <new>
#include <vector>

namespace zoocache::testing {

// One object, zeroed at first, in the memory of this process and of those that it forks.
template <class Shared>
class SharedMemory {
 public:
  SharedMemory() {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    shared_ = new (memory) Shared{};
  }
  ~SharedMemory() { munmap(shared_, sizeof(Shared)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  Shared* operator->() const { return shared_; }
  Shared& operator*() const { return *shared_; }

 private:
  Shared* shared_;
};

// Children that end with the test, whatever happens.
class Children {
 public:
  Children() = default;
  ~Children() {
    while (!pids_.empty()) end(pids_.back(), SIGKILL);
  }
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  pid_t start(const std::function<int()>& work) {
    std::fflush(stdout);  // else what is in its buffer is printed by every child
    const pid_t pid = fork();
    if (pid == 0) {
      int status = 70;
      try {
        status = work();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
      }
      _exit(status);
    }
    pids_.push_back(pid);
    return pid;
  }
  // The exit status; -1 if a signal ended it.
  int end(pid_t pid, int signal_number = 0) {
    if (signal_number != 0) kill(pid, signal_number);
    int status = 0;
    waitpid(pid, &status, 0);
    std::erase(pids_, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  std::vector<pid_t> pids_;
};

inline void pause_for(std::chrono::microseconds span) {
  const timespec time{span.count() / 1'000'000, (span.count() % 1'000'000) * 1000};
  nanosleep(&time, nullptr);
}

// Whether the condition comes true in time.
template <class Condition>
bool comes_true(Condition&& condition, std::chrono::seconds within = std::chrono::seconds(20)) {
  const auto until = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    pause_for(std::chrono::microseconds(500));
  }
  return true;
}

inline std::chrono::milliseconds span_from(const char* name, int fallback_ms) {
  const char* text = std::getenv(name);
  return std::chrono::milliseconds(text == nullptr ? fallback_ms : std::atoi(text));
}

}  // namespace zoocache::testing
