// Where loads in the background run: what Options::background says, else worker threads.
//
// Workers are made when a job finds none idle, at most kMost; one that is idle for kIdle ends.
// Jobs keep their cache alive, so the last one to let go of it may be a worker's own job.
// Thread-safety: every member may be called from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
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
  // REQUIRES: no job is left, but one that ends in the calling thread.
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

}  // namespace zoocache::detail
