// Where loads in the background run: what Options::background says, else worker threads.
//
// Workers are made when a job finds none idle, at most kMost; one that is idle for kIdle ends.
// Jobs belong to a function, and end with the last of its handles (see Jobs).
// Thread-safety: every member may be called from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace zoocache::detail {

class Background {
 public:
  using Job = std::function<void()>;
  using Executor = std::function<void(Job)>;

  explicit Background(Executor executor) : executor_(std::move(executor)) {}
  // A job may let go of the cache itself; else none runs any more.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Throws what the executor throws, or std::system_error without threads; then the job is lost.
  void start(Job job);

 private:
  static constexpr std::size_t kMost = 8;
  static constexpr std::chrono::seconds kIdle{10};

  struct Shared {
    std::mutex mutex;  // guards everything below
    std::condition_variable changed;
    std::deque<Job> jobs;
    std::vector<std::thread> threads;
    std::vector<std::thread::id> ended;  // to be joined
    std::size_t workers = 0;
    std::size_t idle = 0;
    bool stopping = false;
  };

  static void work(const std::shared_ptr<Shared>& shared);
  static void join_ended(Shared& shared, std::unique_lock<std::mutex>& lock);

  const Executor executor_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

// The jobs of one function. Whoever lets go of its last handle waits for those that run, and those
// that wait for a thread never run: what a loader refers to need not outlive the handles.
// Thread-safety: every member may be called from any thread.
class Jobs : public std::enable_shared_from_this<Jobs> {
 public:
  // What `background` runs: `job`, unless the function has ended. Throws as Background::start does.
  void start(Background& background, Background::Job job);
  // Drops the jobs that wait and waits for those that run, but not for a job that calls this.
  void end() noexcept;

 private:
  using Waiting = std::map<std::uint64_t, Background::Job>;  // by number
  void run(std::uint64_t number);

  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  Waiting waiting_;
  std::uint64_t started_ = 0;
  std::size_t running_ = 0;
};

}  // namespace zoocache::detail
