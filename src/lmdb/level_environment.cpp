#include "lmdb/level_environment.h"

#include <algorithm>
#include <utility>

#include "lmdb/registry.h"

namespace zoocache::lmdb {
namespace {

constexpr std::size_t kFirstMapBytes = std::size_t{1} << 20;

}  // namespace

Gate::Gate() {
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&lock_, &attributes);
  pthread_rwlockattr_destroy(&attributes);
}

std::shared_ptr<LevelEnvironment> LevelEnvironment::open(const std::string& path,
                                                         std::chrono::nanoseconds patience) {
  const auto make = [patience](const std::string& folder) {
    return std::shared_ptr<Environment>(
        new LevelEnvironment({Part::kEntries, folder, kFirstMapBytes, patience}));
  };
  // Every environment of this part is one of these.
  return std::static_pointer_cast<LevelEnvironment>(
      Registry::instance().open(path, Part::kEntries, make));
}

LevelEnvironment::~LevelEnvironment() {
  if (is_ours()) drop_resting();
}

void LevelEnvironment::drop_resting() noexcept {
  const std::lock_guard lock(resting_mutex_);
  for (MDB_txn* const one : resting_) mdb_txn_abort(one);
  resting_.clear();
}

void LevelEnvironment::demand_open() const {
  if (is_lost()) throw HomeUnreachable(folder() + " has to be opened anew");
}

LevelEnvironment::Reading::Reading(LevelEnvironment& environment)
    : environment_(environment), passed_(environment.gate_, std::defer_lock) {
  for (int left = kTriesToAdopt;; --left) {
    passed_.lock();
    environment_.demand_open();
    const int result = begin();
    if (result == MDB_SUCCESS) return;
    passed_.unlock();
    if (result != MDB_MAP_RESIZED || left == 0) check(result, "begin to read");
    environment_.adopt_size();
  }
}

int LevelEnvironment::Reading::begin() {
  {
    const std::lock_guard lock(environment_.resting_mutex_);
    if (!environment_.resting_.empty()) {
      transaction_ = environment_.resting_.back();
      environment_.resting_.pop_back();
    }
  }
  if (transaction_ != nullptr) {
    const int result = mdb_txn_renew(transaction_);
    if (result != MDB_SUCCESS) mdb_txn_abort(std::exchange(transaction_, nullptr));
    return result;
  }
  return environment_.begin_reading(&transaction_);
}

LevelEnvironment::Reading::~Reading() {
  mdb_txn_reset(transaction_);
  const std::lock_guard lock(environment_.resting_mutex_);
  if (environment_.resting_.size() < kMostResting) {
    environment_.resting_.push_back(transaction_);
  } else {
    mdb_txn_abort(transaction_);
  }
}

void LevelEnvironment::adopt_size() {
  const std::lock_guard alone(gate_);
  demand_open();
  resize(0);
}

bool LevelEnvironment::grow(std::size_t most_bytes) {
  const std::lock_guard alone(gate_);
  demand_open();
  MDB_envinfo info;
  mdb_env_info(env(), &info);
  constexpr std::size_t kMapStep = 4096;
  const std::size_t most = most_bytes - most_bytes % kMapStep;
  if (info.me_mapsize >= most) return false;
  resize(std::min(info.me_mapsize * 2, most));
  return true;
}

std::size_t LevelEnvironment::map_bytes() {
  const std::shared_lock passed(gate_);
  demand_open();
  MDB_envinfo info;
  mdb_env_info(env(), &info);
  return info.me_mapsize;
}

void LevelEnvironment::resize(std::size_t bytes) {
  const int result = mdb_env_set_mapsize(env(), bytes);
  if (result == MDB_SUCCESS) return;
  // The old map is gone, and there is no new one.
  drop_resting();
  give_up();
  check(result, "give the map another size");
}

}  // namespace zoocache::lmdb
