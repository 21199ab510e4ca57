// What may be wrong with the file of the second level, and what becomes of it: never a wrong value,
// never a crash, never a hang.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/second_level.h"
#include "level_support.h"
#include "lmdb/level_environment.h"
#include "lmdb/level_rows.h"
#include "lmdb/lmdb_level.h"
#include "processes.h"
#include "seed.h"
#include "temporary_folder.h"

namespace zoocache::testing {
namespace {

namespace fs = std::filesystem;
using Kind = core::SecondLevel::Claim::Kind;
using Waited = core::SecondLevel::Waited;
using namespace std::chrono_literals;

TEST(LmdbLevel, BadOptionsAreNamed) {
  const TemporaryFolder folder;
  const auto expect_invalid = [&](const LmdbStorageOptions& options, const std::string& words) {
    try {
      lmdb_storage(folder.path(), options);
      ADD_FAILURE() << "nothing was thrown; expected: " << words;
    } catch (const InvalidOption& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  EXPECT_THROW(lmdb_storage(""), InvalidOption);
  expect_invalid({.prefix = "a/b"}, "prefix='a/b'");
  expect_invalid({.max_bytes = kMegabyte - 1}, "max_bytes=1048575");
  expect_invalid({.max_bytes = (std::size_t{1} << 40) + 1}, "max_bytes=");
  expect_invalid({.max_value_bytes = 0}, "max_value_bytes=0");
  expect_invalid({.max_value_bytes = (std::size_t{1} << 30) + 1}, "max_value_bytes=");
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    expect_invalid({.lock_timeout_s = bad}, "lock_timeout_s=");
  }
}

TEST(LmdbLevel, FilesAreForTheirOwnerAlone) {
  const TemporaryFolder above;
  const std::string path = above.path() + "/a/b";
  const auto level = lmdb_storage(path)->connect();
  level->put("key", 0, value_of("value"));
  struct stat about;
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0700U);
  for (const auto& entry : fs::directory_iterator(path)) {
    ASSERT_EQ(stat(entry.path().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600U) << entry.path();
  }
  chmod(path.c_str(), 0777);
  EXPECT_THROW(lmdb_storage(path), HomeUnreachable);
}

TEST(LmdbLevel, ValuesOutlastWhoStoredThem) {
  const TemporaryFolder folder;
  lmdb_storage(folder.path())->connect()->put("key", 0, value_of("value"));
  EXPECT_EQ(payload_of(*lmdb_storage(folder.path())->connect(), "key"), "value");
  Children children;
  const pid_t child = children.start([&] {
    const auto level = lmdb_storage(folder.path())->connect();
    return payload_of(*level, "key") == "value" ? 0 : 1;
  });
  EXPECT_EQ(children.end(child), 0);
}

TEST(LmdbLevel, AnotherLifeOfTheSystemBeginsAnew) {
  const TemporaryFolder folder;
  lmdb_storage(folder.path())->connect()->put("key", 0, value_of("value"));
  std::ofstream(folder.path() + "/entries-boot-v1")
      << "00000000-0000-0000-0000-000000000000 1234\n";
  EXPECT_EQ(payload_of(*lmdb_storage(folder.path())->connect(), "key"), "(none)");
}

TEST(LmdbLevel, PrefixesAreStoresOfTheirOwn) {
  const TemporaryFolder folder;
  const auto first = lmdb_storage(folder.path(), {.prefix = "a"})->connect();
  const auto second = lmdb_storage(folder.path(), {.prefix = "b"})->connect();
  first->put("key", 0, value_of("value"));
  EXPECT_EQ(payload_of(*second, "key"), "(none)");
  EXPECT_EQ(payload_of(*first, "key"), "value");
}

// Two keys of one digest take each other's place; neither is served for the other.
TEST(LmdbLevel, ACollisionOfDigestsIsAMiss) {
  const TemporaryFolder folder;
  const auto same = [](std::string_view, std::uint64_t) noexcept { return lmdb::Digest{1}; };
  lmdb::LmdbLevel level(folder.path(), {}, nullptr, same);
  level.put("first", 0, value_of("1"));
  EXPECT_EQ(payload_of(level, "first"), "1");
  EXPECT_EQ(payload_of(level, "second"), "(none)");
  const auto mine = level.claim("second", std::nullopt);
  EXPECT_EQ(mine.kind, Kind::kMine);
  level.put("second", mine.token, value_of("2"));
  EXPECT_EQ(payload_of(level, "second"), "2");
  EXPECT_EQ(payload_of(level, "first"), "(none)");
  EXPECT_EQ(rows_in(folder.path(), 'K'), 1U);
  EXPECT_EQ(rows_in(folder.path(), 'O'), 1U);
  EXPECT_EQ(rows_in(folder.path(), 'F'), 0U);
}

TEST(LmdbLevel, AnEntryOfAnotherVersionOrWithADamagedByteIsAMiss) {
  const TemporaryFolder folder;
  const auto environment = lmdb::LevelEnvironment::open(folder.path(), 5s);
  lmdb::LmdbLevel level(folder.path(), {});
  level.put("key", 0, value_of("value"));
  const lmdb::Digest digest = lmdb::digest_of("key", environment->nonce());
  std::string intact;
  look_at(folder.path(),
          [&](lmdb::Table table) { intact = lmdb::LevelRows(table).envelope(digest).value(); });
  const auto store = [&](const std::string& bytes) {
    lmdb::LevelEnvironment::Writing writing(*environment, 5s);
    writing.transact([&](lmdb::Table& table) {
      lmdb::LevelRows(table).put(digest, bytes);
      return true;
    });
  };
  for (std::size_t at = 0; at < intact.size(); ++at) {
    std::string bytes = intact;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    store(bytes);
    EXPECT_EQ(payload_of(level, "key"), "(none)") << at;
    store(intact.substr(0, at));
    EXPECT_EQ(payload_of(level, "key"), "(none)") << at;
  }
  EXPECT_EQ(level.status().counters.rejected, 2 * intact.size());
  EXPECT_EQ(level.claim("key", std::nullopt).kind, Kind::kMine);
  store(intact);
  EXPECT_EQ(payload_of(level, "key"), "value");
}

TEST(LmdbLevel, TheLargestValueIsAnOption) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path(), {.max_value_bytes = 100})->connect();
  level->put("key", 0, value_of(noise(1, 100)));
  EXPECT_EQ(payload_of(*level, "key"), noise(1, 100));
  EXPECT_THROW(level->put("key", 0, value_of(noise(1, 101))), StorageIsFull);
}

TEST(LmdbLevel, ValuesThatAreTooLargeFreeTheirClaim) {
  const TemporaryFolder folder;
  const auto level =
      lmdb_storage(folder.path(), {.max_bytes = 2 * kMegabyte, .max_value_bytes = 4 * kMegabyte})
          ->connect();
  level->put("other", 0, value_of("other"));
  const auto refuse = [&](const StoredValue& value) {
    const auto mine = level->claim("key", std::nullopt);
    ASSERT_EQ(mine.kind, Kind::kMine);
    EXPECT_THROW(level->put("key", mine.token, value), StorageIsFull);
    EXPECT_EQ(level->wait("key", mine.token, 0s), Waited::kEnded);
    EXPECT_EQ(rows_in(folder.path(), 'F'), 0U);
  };
  refuse(value_of(noise(1, 4 * kMegabyte + 1)));  // larger than a value may be
  refuse(value_of(noise(1, 3 * kMegabyte)));      // larger than the store
  StoredValue many = value_of("x");
  many.dependencies.assign(100'000, "tag");
  refuse(many);
  EXPECT_EQ(payload_of(*level, "other"), "other") << "nothing was evicted for what cannot fit";
  level->put("key", 0, value_of("fits"));
  EXPECT_EQ(payload_of(*level, "key"), "fits");
}

TEST(LmdbLevel, TheMapGrowsByItself) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path())->connect();
  EXPECT_EQ(map_bytes_of(folder.path()), kMegabyte);
  for (std::uint64_t index = 0; index < 20; ++index) {
    level->put(key_of(index), 0, value_of(noise(index, kMegabyte / 2)));
  }
  EXPECT_GE(map_bytes_of(folder.path()), 10 * kMegabyte);
  EXPECT_LE(map_bytes_of(folder.path()), 32 * kMegabyte);
  for (std::uint64_t index = 0; index < 20; ++index) {
    EXPECT_TRUE(payload_of(*level, key_of(index)) == noise(index, kMegabyte / 2)) << index;
  }
}

// One store that is written to again and again while it is full, with values of one size.
void fill(std::size_t max_bytes, std::size_t value_bytes, std::uint64_t rounds) {
  SCOPED_TRACE(value_bytes);
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path(), {.max_bytes = max_bytes})->connect();
  for (std::uint64_t index = 0; index < rounds; ++index) {
    ASSERT_NO_THROW(level->put(key_of(index), 0, value_of(noise(index, value_bytes)))) << index;
    ASSERT_TRUE(payload_of(*level, key_of(index)) == noise(index, value_bytes)) << index;
  }
  EXPECT_LE(map_bytes_of(folder.path()), max_bytes);
  // The newest are there, the oldest are not, and there is no gap between them.
  bool is_there = true;
  std::uint64_t kept = 0;
  for (std::uint64_t index = rounds; index-- > 0;) {
    const bool found = level->get(key_of(index)).has_value();
    EXPECT_TRUE(is_there || !found) << index;
    is_there = is_there && found;
    kept += found ? 1 : 0;
  }
  EXPECT_FALSE(is_there) << "nothing was evicted";
  constexpr std::size_t kHead = 300;  // of an entry's rows and pages, about
  EXPECT_GT(kept * (value_bytes + kHead), max_bytes / 4) << kept;
  EXPECT_EQ(rows_in(folder.path(), 'O'), kept);
}

TEST(LmdbLevel, AFullStoreEvictsTheOldest) {
  fill(kMegabyte, 100, 6'000);
  fill(kMegabyte, 3'000, 800);
  fill(2 * kMegabyte, 50'000, 150);
  fill(4 * kMegabyte, 900'000, 30);
}

TEST(LmdbLevel, ValuesOfAllSizesInAFullStore) {
  const TemporaryFolder folder;
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const auto level = lmdb_storage(folder.path(), {.max_bytes = 4 * kMegabyte})->connect();
  std::uint64_t refused = 0;
  for (std::uint64_t index = 0; index < 800; ++index) {
    const std::string key = key_of(random() % 300);
    const std::size_t size = random() % (random() % 20 == 0 ? 1'000'000 : 5'000);
    const auto mine = level->claim(key, core::SeenEntry{7, 1});
    ASSERT_EQ(mine.kind, Kind::kMine);
    try {
      level->put(key, mine.token, value_of(noise(index, size)));
      ASSERT_TRUE(payload_of(*level, key) == noise(index, size));
    } catch (const StorageIsFull&) {
      ++refused;
    }
  }
  EXPECT_LT(refused, 30U);
  EXPECT_EQ(rows_in(folder.path(), 'F'), 0U);
  EXPECT_EQ(rows_in(folder.path(), 'O'), rows_in(folder.path(), 'K'));
}

// A process that holds a snapshot of the entries until it is killed.
class StuckReader {
 public:
  explicit StuckReader(const std::string& folder)
      : pid_(children_.start([this, folder] {
          const auto environment = lmdb::LevelEnvironment::open(folder, 5s);
          const lmdb::LevelEnvironment::Reading reading(*environment);
          is_reading_->store(true);
          pause();
          return 1;
        })) {}
  bool reads() {
    return comes_true([this] { return is_reading_->load(); });
  }
  void kill() { children_.end(pid_, SIGKILL); }

 private:
  const SharedMemory<std::atomic<bool>> is_reading_;
  Children children_;
  const pid_t pid_;
};

// A snapshot that a killed process had keeps all pages since from being used again.
TEST(LmdbLevel, AReaderThatDiedAtWorkDoesNotFillTheMap) {
  const TemporaryFolder folder;
  const LmdbStorageOptions options{.max_bytes = 2 * kMegabyte};
  const auto level = lmdb_storage(folder.path(), options)->connect();
  StuckReader reader(folder.path());
  ASSERT_TRUE(reader.reads());
  reader.kill();
  for (std::uint64_t index = 0; index < 1000; ++index) {
    ASSERT_NO_THROW(level->put(key_of(index), 0, value_of(noise(index, 10'000)))) << index;
  }
}

// As long as it lives it is in the way; that is said, and over when it is.
TEST(LmdbLevel, AStoppedReaderFillsTheStoreAndNoMore) {
  const TemporaryFolder folder;
  const LmdbStorageOptions options{.max_bytes = 2 * kMegabyte};
  const auto level = lmdb_storage(folder.path(), options)->connect();
  level->put("before", 0, value_of("before"));
  StuckReader reader(folder.path());
  ASSERT_TRUE(reader.reads());
  std::uint64_t stored = 0;
  std::uint64_t refused = 0;
  for (std::uint64_t index = 0; index < 400; ++index) {
    try {
      const auto mine = level->claim(key_of(index), std::nullopt);
      level->put(key_of(index), mine.token, value_of(noise(index, 10'000)));
      ++stored;
      EXPECT_TRUE(payload_of(*level, key_of(index)) == noise(index, 10'000));
    } catch (const StorageIsFull&) {
      ++refused;
    } catch (const HomeUnreachable&) {
      ++refused;  // a claim has no room either
    }
  }
  EXPECT_GT(stored, 50U);
  EXPECT_GT(refused, 0U) << "the test's reader is not in the way";
  reader.kill();
  for (std::uint64_t index = 0; index < 400; ++index) {
    ASSERT_NO_THROW(level->put(key_of(index), 0, value_of(noise(index, 10'000)))) << index;
  }
  for (std::uint64_t index = 0; index < 400; ++index) {
    EXPECT_NE(level->claim("new " + key_of(index), std::nullopt).kind, Kind::kTaken);
  }
}

// The map is replaced under readers of this process and of another one, which adopts its size.
TEST(LmdbLevel, GrowsUnderReadersInThreadsAndProcesses) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path())->connect();
  constexpr std::uint64_t kValues = 40;
  constexpr std::size_t kBytes = 300'000;
  struct Progress {
    std::atomic<std::uint64_t> stored;
    std::atomic<std::uint64_t> reads;
    std::atomic<std::uint64_t> wrong;
    std::atomic<bool> is_over;
  };
  const SharedMemory<Progress> shared;
  const auto read = [&](core::SecondLevel& one, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!shared->is_over.load()) {
      const std::uint64_t stored = shared->stored.load();
      const std::uint64_t index = random() % kValues;
      const std::string seen = payload_of(one, key_of(index));
      const bool is_right = seen == noise(index, kBytes) || (seen == "(none)" && index >= stored);
      if (!is_right) shared->wrong.fetch_add(1);
      shared->reads.fetch_add(1);
    }
  };
  Children children;
  std::vector<pid_t> pids;
  for (std::uint64_t seed = 0; seed < 2; ++seed) {
    pids.push_back(children.start([&, seed] {
      read(*lmdb_storage(folder.path())->connect(), seed);
      return 0;
    }));
  }
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 2; seed < 4; ++seed)
    threads.emplace_back([&, seed] { read(*level, seed); });
  ASSERT_TRUE(comes_true([&] { return shared->reads.load() > 20; }));
  for (std::uint64_t index = 0; index < kValues; ++index) {
    level->put(key_of(index), 0, value_of(noise(index, kBytes)));
    shared->stored.store(index + 1);
  }
  const std::uint64_t reads = shared->reads.load();
  EXPECT_TRUE(comes_true([&] { return shared->reads.load() > reads + 20; }));
  shared->is_over.store(true);
  for (std::thread& one : threads) one.join();
  for (const pid_t pid : pids) EXPECT_EQ(children.end(pid), 0);
  EXPECT_EQ(shared->wrong.load(), 0U);
  EXPECT_GT(map_bytes_of(folder.path()), 10 * kMegabyte);
}

}  // namespace
}  // namespace zoocache::testing
