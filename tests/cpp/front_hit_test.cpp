// What a hit may write: visit() nothing that other readers share but the entry's frequency and,
// after the clock moved, the clock that it was validated at; get() a reference count besides.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zoocache/zoocache.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cache_access.h"

namespace zoocache {
namespace {

using Bytes = std::vector<std::byte>;

// The page of a record, while the object lives: who writes to it dies of a SIGSEGV.
class ReadOnly {
 public:
  explicit ReadOnly(void* record) {
    const auto size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    page_ = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(record) / size * size);
    EXPECT_EQ(mprotect(page_, 1, PROT_READ), 0);
  }
  ~ReadOnly() { EXPECT_EQ(mprotect(page_, 1, PROT_READ | PROT_WRITE), 0); }
  ReadOnly(const ReadOnly&) = delete;
  ReadOnly& operator=(const ReadOnly&) = delete;

 private:
  void* page_;
};

class Hit : public ::testing::Test {
 protected:
  // The number of the only live entry.
  core::EntryId entry() {
    core::EntryId id = 0;
    while (!slab().is_live(id)) ++id;
    return id;
  }
  core::EntrySlab& slab() { return detail::CacheAccess::engine(cache).slab(); }
  // Its records.
  Bytes records() {
    const core::EntryId id = entry();
    Bytes bytes(sizeof(core::HotEntry) + sizeof(core::ColdEntry));
    std::memcpy(bytes.data(), static_cast<const void*>(&slab().hot(id)), sizeof(core::HotEntry));
    std::memcpy(bytes.data() + sizeof(core::HotEntry), static_cast<const void*>(&slab().cold(id)),
                sizeof(core::ColdEntry));
    return bytes;
  }
  static std::size_t differences(const Bytes& before, const Bytes& after) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < before.size(); ++at) count += before[at] != after[at] ? 1 : 0;
    return count;
  }

  Cache cache;
};

TEST_F(Hit, AVisitWritesNothingOnceTheFrequencyIsAtItsHighest) {
  const auto get = cache.cacheable(
      "f", [](int key) { return std::to_string(key); }, deps("t"));
  get(1);
  const auto visit = [&] { get.visit(1, [](const std::string& text) { EXPECT_EQ(text, "1"); }); };
  for (int times = 0; times < 8; ++times) visit();
  const std::string* address = nullptr;
  {
    const ReadOnly hot(&slab().hot(entry()));
    const ReadOnly cold(&slab().cold(entry()));
    get.visit(1, [&](const std::string& text) { address = &text; });
  }
  EXPECT_EQ(get.get(1).get(), address) << "what visit() shows is the value itself, not a copy";
}

TEST_F(Hit, AfterTheClockMovedTheFirstVisitAloneWritesThatItLooked) {
  const auto get = cache.cacheable(
      "f", [](int key) { return key; }, deps("t"));
  for (int times = 0; times < 8; ++times) get(1);
  const Bytes before = records();
  cache.invalidate("unrelated");
  get.visit(1, [](int) {});
  const Bytes validated = records();
  EXPECT_NE(validated, before);
  EXPECT_LE(differences(before, validated), sizeof(core::Epoch)) << "one word: the state";
  for (int times = 0; times < 100; ++times) get.visit(1, [](int) {});
  EXPECT_EQ(records(), validated);
}

TEST_F(Hit, GetCountsAReferenceAndVisitNone) {
  const auto get = cache.cacheable("f", [](int key) { return key; });
  const std::shared_ptr<const int> held = get(1);
  const long alone = held.use_count();
  get.visit(1, [&](int) { EXPECT_EQ(held.use_count(), alone); });
  const std::shared_ptr<const int> second = get(1);
  EXPECT_EQ(held.use_count(), alone + 1);
}

}  // namespace
}  // namespace zoocache
