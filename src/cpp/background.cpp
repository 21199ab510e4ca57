#include "cpp/background.h"

#include <algorithm>
#include <utility>

namespace zoocache::detail {

Background::~Background() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    threads.swap(shared_->threads);
  }
  shared_->changed.notify_all();
  for (std::thread& thread : threads) {
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();  // our own job let go of the cache: nothing but `work` is left to return to
    } else {
      thread.join();
    }
  }
}

void Background::start(Job job) {
  if (executor_) {
    executor_(std::move(job));
    return;
  }
  std::unique_lock lock(shared_->mutex);
  join_ended(*shared_, lock);
  shared_->jobs.push_back(std::move(job));
  if (shared_->idle < shared_->jobs.size() && shared_->workers < kMost) {
    try {
      shared_->threads.emplace_back([shared = shared_] { work(shared); });
      ++shared_->workers;
    } catch (...) {
      shared_->jobs.pop_back();
      throw;
    }
  }
  shared_->changed.notify_one();
}

void Background::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    ++shared->idle;
    shared->changed.wait_for(lock, kIdle,
                             [&] { return shared->stopping || !shared->jobs.empty(); });
    --shared->idle;
    if (shared->jobs.empty()) break;
    Job job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // with what it keeps alive, and without the lock
    lock.lock();
  }
  --shared->workers;
  shared->ended.push_back(std::this_thread::get_id());
}

// Threads that have left `work` or are about to: joining them takes no time.
void Background::join_ended(Shared& shared, std::unique_lock<std::mutex>& lock) {
  if (shared.ended.empty()) return;
  std::vector<std::thread> over;
  for (const std::thread::id id : std::exchange(shared.ended, {})) {
    const auto at = std::find_if(shared.threads.begin(), shared.threads.end(),
                                 [id](const std::thread& thread) { return thread.get_id() == id; });
    if (at == shared.threads.end()) continue;
    over.push_back(std::move(*at));
    shared.threads.erase(at);
  }
  lock.unlock();
  for (std::thread& thread : over) thread.join();
  lock.lock();
}

namespace {

// The functions whose jobs this thread is in, innermost first: a job's loader may run others.
struct Inside {
  const Jobs* jobs;
  const Inside* outer;
};
thread_local const Inside* inside = nullptr;

std::size_t depth_inside(const Jobs* jobs) noexcept {
  std::size_t depth = 0;
  for (const Inside* at = inside; at != nullptr; at = at->outer) depth += at->jobs == jobs ? 1 : 0;
  return depth;
}

}  // namespace

void Jobs::start(Background& background, Background::Job job) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++started_;
    waiting_.emplace(number, std::move(job));
  }
  try {
    background.start([self = shared_from_this(), number] { self->run(number); });
  } catch (...) {
    const std::lock_guard lock(mutex_);
    waiting_.erase(number);
    throw;
  }
}

void Jobs::run(std::uint64_t number) {
  Background::Job job;
  {
    const std::lock_guard lock(mutex_);
    const auto at = waiting_.find(number);
    if (at == waiting_.end()) return;  // the function has ended
    job = std::move(at->second);
    waiting_.erase(at);
    ++running_;
  }
  const Inside here{this, std::exchange(inside, &here)};
  // Also when the thread is being cancelled.
  struct Leave {
    Jobs& jobs;
    Background::Job& job;
    ~Leave() {
      job = nullptr;  // with what it keeps alive
      inside = inside->outer;
      const std::lock_guard lock(jobs.mutex_);
      --jobs.running_;
      jobs.changed_.notify_all();
    }
  } const leave{*this, job};
  job();
}

void Jobs::end() noexcept {
  Waiting dropped;
  std::unique_lock lock(mutex_);
  dropped.swap(waiting_);
  const std::size_t mine = depth_inside(this);
  changed_.wait(lock, [&] { return running_ == mine; });
}

}  // namespace zoocache::detail
