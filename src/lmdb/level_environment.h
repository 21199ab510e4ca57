// The LMDB environment of the entries of the second level: its map grows.
//
//   read, write   the gate, shared ── a transaction ── the gate's end
//   grow, adopt   the gate, alone  ── another map, at another address
//
// A transaction looks at the map, and so does its begin: none of this process may be under way when
// the map is replaced. What another process added beyond this one's map is seen by a transaction
// that refuses to begin (MapWasResized); then this one takes the other's size.
// Snapshots are kept for the next reader: beginning anew takes a mutex of all processes.
// Thread-safety: everything from any thread. A thread that reads or writes does neither again
// within, and does not grow the map.
#pragma once

#include <pthread.h>

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "lmdb/environment.h"
#include "lmdb/table.h"

namespace zoocache::lmdb {

// A shared mutex whose exclusive side does not starve.
class Gate {
 public:
  Gate();
  ~Gate() { pthread_rwlock_destroy(&lock_); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void lock() noexcept { pthread_rwlock_wrlock(&lock_); }
  void unlock() noexcept { pthread_rwlock_unlock(&lock_); }
  void lock_shared() noexcept { pthread_rwlock_rdlock(&lock_); }
  void unlock_shared() noexcept { pthread_rwlock_unlock(&lock_); }

 private:
  pthread_rwlock_t lock_;
};

class LevelEnvironment final : public Environment {
 public:
  // As Environment::open.
  static std::shared_ptr<LevelEnvironment> open(const std::string& path,
                                                std::chrono::nanoseconds patience);
  ~LevelEnvironment() override;

  // A snapshot while the scope lives. Throws HomeUnreachable. Waits for nobody who writes.
  class Reading {
   public:
    explicit Reading(LevelEnvironment& environment);
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    Table table() const noexcept { return {transaction_, environment_.rows()}; }

   private:
    int begin();
    LevelEnvironment& environment_;
    std::shared_lock<Gate> passed_;
    MDB_txn* transaction_ = nullptr;
  };

  // The right to write while the scope lives. Throws HomeUnreachable if it cannot be had in time.
  class Writing {
   public:
    Writing(LevelEnvironment& environment, std::chrono::nanoseconds patience)
        : environment_(environment),
          writing_(environment.writers(), patience, environment.folder()) {}

    // One transaction: work(table), and a commit if it returns true. Throws MapIsFull: nothing was
    // written.
    template <class Work>
    void transact(Work&& work) {
      for (int left = kTriesToAdopt;; --left) {
        try {
          const std::shared_lock passed(environment_.gate_);
          environment_.demand_open();
          Transaction transaction(environment_.env());
          Table table(transaction.get(), environment_.rows());
          if (work(table)) transaction.commit();
          return;
        } catch (const MapWasResized&) {
          if (left == 0) throw;
        }
        environment_.adopt_size();
      }
    }

    // For whoever looks through the rows bit by bit: where it goes on.
    std::array<unsigned char, 16>* swept_to() const noexcept { return &environment_.swept_to_; }

   private:
    LevelEnvironment& environment_;
    const Locked writing_;
  };

  // Doubles the map, up to `most` bytes; false: it is as large already. REQUIRES: this thread is
  // the writer, outside of a transaction.
  bool grow(std::size_t most_bytes);
  std::size_t map_bytes();

 private:
  static constexpr int kTriesToAdopt = 16;  // others may grow it again and again

  explicit LevelEnvironment(const Opening& opening) : Environment(opening) {
    resting_.reserve(kMostResting);
  }
  void demand_open() const;
  void adopt_size();
  void resize(std::size_t bytes);  // the gate is held alone; 0: to what the file says
  void drop_resting() noexcept;

  static constexpr std::size_t kMostResting = 16;
  std::array<unsigned char, 16> swept_to_{};  // with the writers' lock
  Gate gate_;
  std::mutex resting_mutex_;
  std::vector<MDB_txn*> resting_;  // snapshots that nobody uses
};

}  // namespace zoocache::lmdb
