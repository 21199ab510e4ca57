// What becomes of the second level in LMDB when its folder is removed, replaced, damaged, full, or
// used by a log as well.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/second_level.h"
#include "level_support.h"
#include "lmdb/file_check.h"
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

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string file_in(const std::string& folder) { return folder + "/entries-v1.mdb"; }

// A file with small and large values, replaced and evicted ones, free pages and claims.
std::string used_file(const std::string& folder, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  {
    const auto level = lmdb_storage(folder, {.max_bytes = kMegabyte})->connect();
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t key = random() % 120;
      const std::size_t size = random() % 10 == 0 ? random() % 30'000 : random() % 700;
      level->put(key_of(key), 0, value_of(noise(key, size)));
      if (step % 10 == 0) level->claim("claim " + key_of(key), std::nullopt);
    }
  }
  return read_file(file_in(folder));
}

// Every value is the key's own, or is not there; and the store can be used.
void expect_usable(const std::string& folder) {
  const auto level = lmdb_storage(folder, {.max_bytes = kMegabyte})->connect();
  for (std::uint64_t key = 0; key < 120; ++key) {
    const std::string seen = payload_of(*level, key_of(key));
    EXPECT_TRUE(seen == "(none)" || seen == noise(key, seen.size())) << key;
  }
  for (std::uint64_t key = 0; key < 30; ++key) {
    level->put(key_of(key), 0, value_of(noise(key, 20'000)));
    EXPECT_NE(level->claim("claim " + key_of(key), std::nullopt).kind, Kind::kFound);
  }
  EXPECT_TRUE(payload_of(*level, key_of(29)) == noise(29, 20'000));
}

TEST(LmdbLevelFolder, AFileThatWasUsedIsSound) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 12; ++round) {
    const TemporaryFolder folder;
    const std::size_t most = kMegabyte << (random() % 3);
    const std::size_t largest = std::size_t{100} << (random() % 12);
    const std::uint64_t steps = 1 + random() % 1000;
    for (std::uint64_t step = 0; step < steps;) {
      const auto level = lmdb_storage(folder.path(), {.max_bytes = most})->connect();
      for (const std::uint64_t until = step + 500; step < std::min(until, steps); ++step) {
        level->put(key_of(random() % 1000), 0, value_of(noise(step, random() % largest)));
      }
    }
    EXPECT_EQ(lmdb::damage_of(file_in(folder.path())), "") << steps << " of " << largest;
  }
}

TEST(LmdbLevelFolder, FlippedBitsAreNeverAWrongValueOrACrash) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const TemporaryFolder folder;
  const std::string intact = used_file(folder.path(), seed);
  ASSERT_EQ(lmdb::damage_of(file_in(folder.path())), "");
  std::uint64_t found = 0;
  for (int round = 0; round < 100; ++round) {
    std::string bytes = intact;
    for (std::uint64_t flips = 1 + random() % 8; flips > 0; --flips) {
      // Half of them where LMDB keeps its own numbers: the start and the end of a page's nodes.
      const std::size_t page = random() % (bytes.size() / 4096) * 4096;
      const std::size_t at = random() % 3 == 0 ? random() % 4096 : random() % 64;
      bytes[page + at] = static_cast<char>(bytes[page + at] ^ (1 << (random() % 8)));
    }
    write_file(file_in(folder.path()), bytes);
    found += lmdb::damage_of(file_in(folder.path())).empty() ? 0 : 1;
    expect_usable(folder.path());
    EXPECT_EQ(lmdb::damage_of(file_in(folder.path())), "") << "it was used as it was";
  }
  EXPECT_GT(found, 5U) << "the test damages nothing";
}

TEST(LmdbLevelFolder, FilesOfAnotherKindBeginAnew) {
  const TemporaryFolder folder;
  const std::string intact = used_file(folder.path(), 1);
  const std::vector<std::string> others{std::string(8192, 'x'),
                                        std::string(100, 'x'),
                                        "",
                                        intact.substr(0, intact.size() / 2),
                                        intact.substr(0, 8192),
                                        intact.substr(0, 5000),
                                        std::string(intact.size(), '\0')};
  for (const std::string& bytes : others) {
    write_file(file_in(folder.path()), bytes);
    const bool is_begun_anew = !bytes.empty();  // an empty file is a new one
    EXPECT_EQ(lmdb_storage(folder.path())->connect()->status().counters.corruptions,
              is_begun_anew ? 1U : 0U)
        << bytes.size();
    write_file(file_in(folder.path()), bytes);
    expect_usable(folder.path());
  }
  for (const char* name :
       {"entries-boot-v1", "entries-writers-v1.lock", "entries-readers-v1.lock"}) {
    write_file(folder.path() + '/' + name, std::string(8192, 'x'));
    expect_usable(folder.path());
  }
}

TEST(LmdbLevelFolder, ARemovedOrReplacedFileIsOpenedAnew) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/cache";
  const StoragePtr storage = lmdb_storage(path);
  const auto level = storage->connect();
  const auto other = lmdb_storage(path)->connect();
  for (int round = 0; round < 4; ++round) {
    level->put("key", 0, value_of("value"));
    EXPECT_EQ(payload_of(*other, "key"), "value");
    const auto mine = level->claim("claimed", std::nullopt);
    fs::remove_all(round % 2 == 0 ? path : file_in(path));
    EXPECT_EQ(payload_of(*other, "key"), "(none)");
    EXPECT_EQ(other->wait("claimed", mine.token, 30s), Waited::kEnded);
    const auto theirs = other->claim("claimed", std::nullopt);
    EXPECT_EQ(theirs.kind, Kind::kMine);
    level->release("claimed", mine.token, false);
    EXPECT_EQ(level->claim("claimed", std::nullopt).token, theirs.token) << "of another life";
    other->put("claimed", theirs.token, value_of("value"));
    EXPECT_EQ(payload_of(*level, "claimed"), "value");
    EXPECT_TRUE(fs::exists(file_in(path)));
  }
  const StorageStatus status = level->status();
  EXPECT_TRUE(status.reachable);
  EXPECT_EQ(status.counters.disconnects, 4U) << "one each time";
  EXPECT_EQ(status.counters.connects, 5U);
}

TEST(LmdbLevelFolder, AFolderThatCannotBeUsedIsSaidAndTriedAgain) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/cache";
  const auto level = lmdb_storage(path)->connect();
  const auto mine = level->claim("key", std::nullopt);
  fs::remove_all(path);
  write_file(path, "in the way");
  EXPECT_THROW(level->get("key"), HomeUnreachable);
  EXPECT_THROW(level->claim("key", std::nullopt), HomeUnreachable);
  EXPECT_THROW(level->put("key", mine.token, value_of("value")), HomeUnreachable);
  EXPECT_NO_THROW(level->release("key", mine.token, true));
  const StorageStatus status = level->status();
  EXPECT_FALSE(status.reachable);
  EXPECT_NE(status.trouble.find(path), std::string::npos) << status.trouble;
  EXPECT_EQ(status.counters.disconnects, 1U);
  EXPECT_EQ(status.counters.errors, 4U) << "one for each call";
  fs::remove(path);
  EXPECT_TRUE(comes_true([&] {
    try {
      level->put("key", 0, value_of("value"));
      return true;
    } catch (const HomeUnreachable&) {
      return false;
    }
  }));
  EXPECT_EQ(payload_of(*level, "key"), "value");
}

TEST(LmdbLevelFolder, ManyThreadsWhileTheFolderIsRemoved) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/cache";
  const auto level = lmdb_storage(path)->connect();
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> rounds{0};
  std::vector<std::thread> threads;
  for (int index = 0; index < 3; ++index) {
    threads.emplace_back([&, index] {
      const std::string key = key_of(static_cast<std::uint64_t>(index));
      while (!is_over.load()) {
        try {
          const std::string seen = payload_of(*level, key);
          EXPECT_TRUE(seen == "(none)" || seen == key);
          const auto claim = level->claim(key, core::SeenEntry{7, 1});
          if (claim.kind == Kind::kMine) level->put(key, claim.token, value_of(key));
        } catch (const HomeUnreachable&) {
          std::this_thread::yield();
        }
        rounds.fetch_add(1);
      }
    });
  }
  for (int round = 0; round < 15; ++round) {
    const std::uint64_t before = rounds.load();
    EXPECT_TRUE(comes_true([&] { return rounds.load() > before + 20; }));
    std::error_code error;
    fs::remove_all(path, error);
  }
  is_over.store(true);
  for (std::thread& one : threads) one.join();
}

// The log and the entries share a folder and nothing else: each is used, lost and begun anew alone.
TEST(LmdbLevelFolder, ALogInTheSameFolder) {
  const TemporaryFolder folder;
  for (const bool log_first : {true, false}) {
    HomePtr home = log_first ? lmdb_home(folder.path()) : nullptr;
    StoragePtr storage = lmdb_storage(folder.path());
    if (!log_first) home = lmdb_home(folder.path());
    const auto level = storage->connect();
    std::optional<Cache> cache(std::in_place, Options{.home = home});
    int loads = 0;
    const auto get = cache->cacheable(
        "get", [&loads](int) { return ++loads; }, deps("user"));
    level->put("key", 0, value_of("value"));
    EXPECT_EQ(*get(1), 1);
    EXPECT_EQ(*get(1), 1);
    cache->invalidate("user");
    EXPECT_EQ(*get(1), 2);
    EXPECT_EQ(payload_of(*level, "key"), "value") << "the log's affairs are not the store's";
    fs::remove(file_in(folder.path()));
    EXPECT_EQ(payload_of(*level, "key"), "(none)");
    EXPECT_EQ(*get(1), 2) << "the store's affairs are not the log's";
    level->put("key", 0, value_of("value"));
    fs::remove(folder.path() + "/log-v1.mdb");
    EXPECT_GT(cache->invalidate("user"), 0U);
    EXPECT_EQ(payload_of(*level, "key"), "value");
    cache.reset();
    home.reset();
    EXPECT_EQ(payload_of(*level, "key"), "value") << "the end of one closes nothing of the other";
    level->put("key", 0, value_of("again"));
    Children children;
    const pid_t child = children.start([&] {
      const auto own = lmdb_storage(folder.path())->connect();
      Cache another({.home = lmdb_home(folder.path())});
      return payload_of(*own, "key") == "again" && another.invalidate("x") > 0 ? 0 : 1;
    });
    EXPECT_EQ(children.end(child), 0);
  }
}

TEST(LmdbLevelFolder, NothingIsLeftOpen) {
  const TemporaryFolder folder;
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_files();
  for (int round = 0; round < 30; ++round) {
    const auto level = lmdb_storage(folder.path())->connect();
    level->put("key", 0, value_of("value"));
    EXPECT_EQ(payload_of(*level, "key"), "value");
  }
  EXPECT_EQ(open_files(), before);
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("entries-process-"));
  }
}

TEST(LmdbLevelFolder, ADiskThatIsFullIsSaidAndFreesTheClaim) {
  const TemporaryFolder folder;
  const auto level = lmdb_storage(folder.path())->connect();
  level->put("there", 0, value_of("there"));
  Children children;
  const pid_t child = children.start([&] {  // the limit is a process's
    const auto own = lmdb_storage(folder.path())->connect();
    const auto mine = own->claim("key", std::nullopt);
    signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_FSIZE, &none);
    try {
      own->put("key", mine.token, value_of(noise(1, 100'000)));
      return 1;
    } catch (const HomeUnreachable&) {
      if (payload_of(*own, "there") != "there") return 2;
      return own->wait("key", mine.token, 0s) == Waited::kEnded ? 0 : 3;
    }
  });
  EXPECT_EQ(children.end(child), 0);
  EXPECT_EQ(payload_of(*level, "there"), "there");
  EXPECT_EQ(level->claim("key", std::nullopt).kind, Kind::kMine);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// The sanitizers have taken more address space than any limit would leave.
TEST(LmdbLevelFolder, AMapThatCannotGrowIsSaidAndOpenedAnew) {
  const TemporaryFolder folder;
  Children children;
  const pid_t child = children.start([&] {
    const auto level = lmdb_storage(folder.path())->connect();
    level->put("there", 0, value_of("there"));
    rlimit whole;
    getrlimit(RLIMIT_AS, &whole);
    std::ifstream in("/proc/self/statm");
    rlim_t pages = 0;
    in >> pages;
    const rlimit little{pages * 4096 + 8 * kMegabyte, whole.rlim_max};
    setrlimit(RLIMIT_AS, &little);
    bool is_refused = false;
    for (std::uint64_t index = 0; index < 100 && !is_refused; ++index) {
      try {
        level->put(key_of(index), 0, value_of(noise(index, 300'000)));
      } catch (const HomeUnreachable&) {
        is_refused = true;
      }
    }
    if (!is_refused) return 1;
    setrlimit(RLIMIT_AS, &whole);
    if (!comes_true([&] {
          try {
            return payload_of(*level, "there") == "there";
          } catch (const HomeUnreachable&) {
            return false;
          }
        })) {
      return 2;
    }
    level->put("key", 0, value_of(noise(1, 5 * kMegabyte)));
    return payload_of(*level, "key") == noise(1, 5 * kMegabyte) ? 0 : 3;
  });
  EXPECT_EQ(children.end(child), 0);
}
#endif

}  // namespace
}  // namespace zoocache::testing
