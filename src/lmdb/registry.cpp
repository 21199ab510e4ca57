#include "lmdb/registry.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "lmdb/environment.h"

namespace zoocache::lmdb {

Registry& Registry::instance() {
  static auto* const registry = new Registry;  // outlives whatever uses it at exit
  return *registry;
}

Registry::Registry() { pthread_atfork(&prepare, &in_parent, &in_child); }

std::shared_ptr<Environment> Registry::open(const std::string& path, Part part, const Make& make) {
  std::shared_ptr<Environment> known;  // dropped without the mutex: its end takes it
  std::unique_lock lock(mutex_);
  close_inherited();
  const std::string folder = prepare_folder(path);
  Entry& entry = entries_[{folder, part}];
  // (1) the last user has let go  (2) the environment is closed: only then may it be opened anew.
  closed_.wait(lock, [&entry] { return entry.open == nullptr || !entry.shared.expired(); });
  known = entry.shared.lock();
  if (known != nullptr && known->is_same_file()) {
    const Neighbours found = look_at_neighbours(folder, part, known->space_);
    if (!found.trouble.empty()) throw HomeUnreachable(found.trouble);
    return known;
  }
  if (known != nullptr) known->presence_.close();  // it is the new one's
  std::shared_ptr<Environment> made = make(folder);
  open_.push_back(made.get());
  entry = {made, made.get()};
  made->is_registered_ = true;
  return made;
}

void Registry::close(Environment& one) noexcept {
  const std::lock_guard lock(mutex_);
  one.close_file();
  if (one.presence_) unlink(one.presence_path_.c_str());
  one.presence_.close();
  std::erase(open_, &one);
  for (auto& [place, entry] : entries_) {
    if (entry.open == &one) entry.open = nullptr;
  }
  closed_.notify_all();
}

void Registry::prepare() {
  instance().mutex_.lock();
  instance().brief_mutex_.lock();
}

void Registry::in_parent() {
  instance().brief_mutex_.unlock();
  instance().mutex_.unlock();
}

void Registry::in_child() {
  Registry& self = instance();
  for (Environment* const one : self.open_) {
    one->inherited_.store(true);
    one->presence_.close();  // else the parent seems alive as long as the child
    self.inherited_.emplace_back(one->device_, one->inode_);
    self.inherited_.emplace_back(one->device_, one->lock_inode_);
  }
  self.open_.clear();
  self.entries_.clear();
  self.brief_mutex_.unlock();
  self.mutex_.unlock();
}

// Closing a file after it was opened anew would drop the new one's locks.
void Registry::close_inherited() {
  if (inherited_.empty()) return;
  std::vector<int> mine;
  std::error_code error;
  for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const int descriptor = std::atoi(one.path().filename().c_str());
    struct stat about;
    if (fstat(descriptor, &about) != 0) continue;
    const FileNumber file{about.st_dev, about.st_ino};
    if (std::find(inherited_.begin(), inherited_.end(), file) != inherited_.end()) {
      mine.push_back(descriptor);
    }
  }
  for (const int descriptor : mine) ::close(descriptor);
  inherited_.clear();
}

}  // namespace zoocache::lmdb
