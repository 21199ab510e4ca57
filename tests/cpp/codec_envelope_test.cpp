// Entries as bytes: there and back, and every way in which bytes are refused.
#include "codec/envelope.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "zoocache/errors.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace zoocache::codec {
namespace {

// Where the head's numbers lie; see codec/envelope.h.
constexpr std::size_t kFormatAt = 4;
constexpr std::size_t kFlagsAt = 6;
constexpr std::size_t kDependenciesAt = 32;
constexpr std::size_t kDependencyBytesAt = 36;
constexpr std::size_t kKeyBytesAt = 40;
constexpr std::size_t kStoredBytesAt = 44;
constexpr std::size_t kPayloadBytesAt = 48;
constexpr std::size_t kHeadBytes = 52;
constexpr std::size_t kChecksumBytes = 8;

struct Entry {
  std::uint64_t generation = 0;
  std::uint64_t born = 0;
  std::int64_t expiry_ns = 0;
  std::vector<std::string> dependencies;
  std::string key;
  std::string payload;
};

std::string encoded(const EnvelopeCodec& codec, const Entry& entry) {
  const std::vector<std::string_view> texts(entry.dependencies.begin(), entry.dependencies.end());
  return codec.encode(
      {entry.generation, entry.born, entry.expiry_ns, texts, entry.key, entry.payload});
}

bool holds(const StoredEntry& stored, const Entry& entry) {
  return stored.generation == entry.generation && stored.born == entry.born &&
         stored.expiry_ns == entry.expiry_ns && stored.key == entry.key &&
         stored.payload == entry.payload &&
         std::equal(stored.dependencies.begin(), stored.dependencies.end(),
                    entry.dependencies.begin(), entry.dependencies.end());
}

Refusal refusal_of(std::string_view bytes, const EnvelopeLimits& limits = {}) {
  StoredEntry entry;
  return EnvelopeCodec(limits).decode(bytes, &entry);
}

// The bytes with a number of the head replaced and a checksum that fits.
template <class Number>
std::string with_number(std::string bytes, std::size_t at, Number number) {
  for (std::size_t byte = 0; byte < sizeof number; ++byte) {
    bytes[at + byte] = static_cast<char>(number >> (8 * byte));
  }
  const std::size_t end = bytes.size() - kChecksumBytes;
  const std::uint64_t checksum = XXH3_64bits(bytes.data(), end);
  for (std::size_t byte = 0; byte < kChecksumBytes; ++byte) {
    bytes[end + byte] = static_cast<char>(checksum >> (8 * byte));
  }
  return bytes;
}

Entry small_entry() { return {7, 42, -5, {"user:42", "", "org:acme"}, "key", "payload"}; }
Entry packed_entry() { return {1, 2, 3, {"user:42", "a", ""}, "key", std::string(4096, 'x')}; }

TEST(Envelope, ComesBackAsItWas) {
  const EnvelopeCodec codec({.compress_from_bytes = 32});
  EXPECT_TRUE(rc::check([&codec] {
    Entry entry;
    entry.generation = *rc::gen::arbitrary<std::uint64_t>();
    entry.born = *rc::gen::arbitrary<std::uint64_t>();
    entry.expiry_ns = *rc::gen::arbitrary<std::int64_t>();
    entry.dependencies = *rc::gen::arbitrary<std::vector<std::string>>();
    entry.key = *rc::gen::arbitrary<std::string>();
    const auto part = *rc::gen::arbitrary<std::string>();
    const int times = *rc::gen::inRange(0, 20);  // so that some payloads can be packed
    for (int time = 0; time < times; ++time) entry.payload += part;
    const std::string bytes = encoded(codec, entry);
    StoredEntry stored;
    RC_ASSERT(codec.decode(bytes, &stored) == Refusal::kNone);
    RC_ASSERT(holds(stored, entry));
    RC_ASSERT(encoded(codec, entry) == bytes);
  }));
}

// Whoever looks at many reads the first bytes alone.
TEST(Envelope, AnOutlineWantsNoMoreThanWhatIsBeforeThePayload) {
  const EnvelopeCodec codec({.compress_from_bytes = 32}, {std::string(16, 's')});
  for (const Entry& entry : {small_entry(), packed_entry()}) {
    const std::string bytes = encoded(codec, entry);
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
      StoredEntry stored;
      std::size_t wanted = 0;
      // No secret is needed, since nothing is believed.
      const Refusal refusal =
          EnvelopeCodec().outline({bytes.data(), size}, bytes.size(), &stored, &wanted);
      if (refusal == Refusal::kNone) {
        EXPECT_TRUE(stored.payload.empty());
        stored.payload = entry.payload;
        EXPECT_TRUE(holds(stored, entry)) << size;
        EXPECT_LT(size, bytes.size() + 1);
      } else {
        ASSERT_GT(wanted, size);
        EXPECT_LE(wanted, bytes.size() - kChecksumBytes);
      }
    }
    StoredEntry stored;
    std::size_t wanted = 0;
    EXPECT_NE(EnvelopeCodec().outline(bytes, bytes.size() - 1, &stored, &wanted), Refusal::kNone);
    EXPECT_EQ(wanted, 0U) << "no more bytes would help";
  }
}

TEST(Envelope, IsWhatItsPictureSays) {
  const std::string bytes = encoded(EnvelopeCodec(), {1, 2, 3, {"ab"}, "key", "value"});
  using namespace std::string_literals;
  const std::string expected =
      "ZooE\1\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"s
      "\1\0\0\0\4\0\0\0\3\0\0\0\5\0\0\0\5\0\0\0"s
      "\2\0abkeyvalue"s;
  EXPECT_EQ(bytes.substr(0, bytes.size() - kChecksumBytes), expected);
  EXPECT_EQ(with_number(bytes, 0, static_cast<unsigned char>('Z')), bytes);
}

TEST(Envelope, IsPackedIfThatHelps) {
  const EnvelopeCodec codec({.compress_from_bytes = 1000});
  const std::string repeated = encoded(codec, {0, 0, 0, {}, "", std::string(1000, 'x')});
  EXPECT_LT(repeated.size(), 200U);
  EXPECT_EQ(repeated[kFlagsAt], 1);
  const std::string below = encoded(codec, {0, 0, 0, {}, "", std::string(999, 'x')});
  EXPECT_EQ(below.size(), kHeadBytes + 999 + kChecksumBytes);
  EXPECT_EQ(below[kFlagsAt], 0);
  std::string random;
  std::uint64_t state = 1;
  for (int index = 0; index < 1000; ++index) {
    state = state * 6'364'136'223'846'793'005U + 1;
    random.push_back(static_cast<char>(state >> 56));
  }
  const std::string unpacked = encoded(codec, {0, 0, 0, {}, "", random});
  EXPECT_EQ(unpacked.size(), kHeadBytes + random.size() + kChecksumBytes);
  EXPECT_EQ(unpacked[kFlagsAt], 0);
}

TEST(Envelope, AMovedEntryKeepsItsPayload) {
  const EnvelopeCodec codec;
  const std::string bytes = encoded(codec, packed_entry());
  StoredEntry entry;
  ASSERT_EQ(codec.decode(bytes, &entry), Refusal::kNone);
  const StoredEntry moved = std::move(entry);
  EXPECT_TRUE(holds(moved, packed_entry()));
}

TEST(Envelope, AnEntryIsFilledAnew) {
  const EnvelopeCodec codec;
  StoredEntry entry;
  const std::string packed = encoded(codec, packed_entry());
  const std::string small = encoded(codec, small_entry());
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(codec.decode(packed, &entry), Refusal::kNone);
    EXPECT_TRUE(holds(entry, packed_entry()));
    ASSERT_EQ(codec.decode(small, &entry), Refusal::kNone);
    EXPECT_TRUE(holds(entry, small_entry()));
  }
}

TEST(Envelope, EveryFlippedBitIsRefused) {
  for (const Entry& entry : {small_entry(), packed_entry()}) {
    std::string bytes = encoded(EnvelopeCodec(), entry);
    ASSERT_EQ(refusal_of(bytes), Refusal::kNone);
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      const auto mask = static_cast<char>(1U << bit % 8);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
      EXPECT_NE(refusal_of(bytes), Refusal::kNone) << "bit " << bit;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
    }
  }
}

TEST(Envelope, EveryOtherLengthIsRefused) {
  for (const Entry& entry : {small_entry(), packed_entry()}) {
    const std::string bytes = encoded(EnvelopeCodec(), entry);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(refusal_of(std::string_view(bytes).substr(0, size)), Refusal::kWrongSize) << size;
    }
    EXPECT_EQ(refusal_of(bytes + '\0'), Refusal::kWrongSize);
    EXPECT_EQ(refusal_of(bytes + bytes), Refusal::kWrongSize);
  }
}

// Sizes and flags that lie, behind a checksum that fits.
TEST(Envelope, HostileHeadsAreRefused) {
  const std::string small = encoded(EnvelopeCodec(), small_entry());
  const std::string packed = encoded(EnvelopeCodec(), packed_entry());
  const auto number = [](std::uint32_t value) { return value; };
  const auto flags = [](std::uint16_t value) { return value; };
  const auto refused = [](const std::string& bytes) { return refusal_of(bytes); };
  EXPECT_EQ(refused(with_number(small, 0, number(0))), Refusal::kForeign);
  EXPECT_EQ(refused(with_number(small, kFormatAt, flags(2))), Refusal::kOtherFormat);
  EXPECT_EQ(refused(with_number(small, kFlagsAt, flags(2))), Refusal::kSigned);
  EXPECT_EQ(refused(with_number(packed, kFlagsAt, flags(3))), Refusal::kSigned);
  EXPECT_EQ(refused(with_number(small, kFlagsAt, flags(4))), Refusal::kUnknownFlags);
  EXPECT_EQ(refused(with_number(small, kFlagsAt, flags(0x8000))), Refusal::kUnknownFlags);
  EXPECT_EQ(refused(with_number(packed, kFlagsAt, flags(0))), Refusal::kWrongSize);
  EXPECT_EQ(refused(with_number(small, kFlagsAt, flags(1))), Refusal::kNotPacked);
  for (const std::size_t at :
       {kDependenciesAt, kDependencyBytesAt, kKeyBytesAt, kStoredBytesAt, kPayloadBytesAt}) {
    for (const std::uint32_t size : {0U, 1U, 2U, 100U, 0x7FFF'FFFFU, 0x8000'0000U, 0xFFFF'FFFFU}) {
      EXPECT_NE(refused(with_number(small, at, size)), Refusal::kNone) << at << ": " << size;
      EXPECT_NE(refused(with_number(packed, at, size)), Refusal::kNone) << at << ": " << size;
    }
    EXPECT_EQ(refused(with_number(small, at, number(0xFFFF'FFFF))), Refusal::kTooLarge) << at;
  }
  // No allocation for what so few bytes cannot hold.
  EXPECT_EQ(refused(with_number(packed, kPayloadBytesAt, number(1U << 26))), Refusal::kWrongSize);
  EXPECT_EQ(refused(with_number(packed, kPayloadBytesAt, number(4095))), Refusal::kNotPacked);
  EXPECT_EQ(refused(with_number(packed, kPayloadBytesAt, number(4097))), Refusal::kNotPacked);
}

// A dependency that is longer than the rest of them, and one that leaves bytes over.
TEST(Envelope, DependenciesFillTheirBytes) {
  const std::string bytes = encoded(EnvelopeCodec(), {0, 0, 0, {"ab", "cd"}, "key", ""});
  const auto sized = [&bytes](std::uint16_t size) {
    return refusal_of(with_number(bytes, kHeadBytes + 4, size));
  };
  EXPECT_EQ(sized(2), Refusal::kNone);
  EXPECT_EQ(sized(1), Refusal::kWrongSize);
  EXPECT_EQ(sized(3), Refusal::kWrongSize);
  EXPECT_EQ(sized(0xFFFF), Refusal::kTooLarge);
}

TEST(Envelope, LimitsHoldBothWays) {
  const EnvelopeLimits limits{.max_dependencies = 2,
                              .max_dependency_bytes = 3,
                              .max_key_bytes = 4,
                              .max_payload_bytes = 2000,
                              .compress_from_bytes = 1000};
  const EnvelopeCodec narrow(limits);
  const Entry most{0, 0, 0, {"abc", "def"}, "key4", std::string(2000, 'x')};
  StoredEntry stored;
  const std::string bytes = encoded(narrow, most);
  EXPECT_EQ(narrow.decode(bytes, &stored), Refusal::kNone);
  EXPECT_TRUE(holds(stored, most));
  Entry beyond[] = {most, most, most, most};
  beyond[0].dependencies.emplace_back();
  beyond[1].dependencies[0] += 'd';
  beyond[2].key += '5';
  beyond[3].payload += 'x';
  for (const Entry& entry : beyond) {
    EXPECT_THROW(encoded(narrow, entry), SerializationError);
    const std::string wide = encoded(EnvelopeCodec(), entry);
    EXPECT_EQ(refusal_of(wide, limits), Refusal::kTooLarge);
  }
}

TEST(Envelope, OptionsOutOfRangeAreRefused) {
  const EnvelopeLimits wrong[] = {{.max_dependencies = (1U << 20) + 1}, {.max_dependency_bytes = 0},
                                  {.max_dependency_bytes = 65'536},     {.max_key_bytes = 0},
                                  {.max_key_bytes = (1U << 26) + 1},    {.max_payload_bytes = 0},
                                  {.max_payload_bytes = (1U << 30) + 1}};
  for (const EnvelopeLimits& limits : wrong) EXPECT_THROW(EnvelopeCodec{limits}, InvalidOption);
}

TEST(Envelope, ArbitraryBytesAreRefused) {
  EXPECT_TRUE(rc::check([] {
    const auto bytes = *rc::gen::arbitrary<std::string>();
    RC_ASSERT(refusal_of(bytes) != Refusal::kNone);
    RC_ASSERT(refusal_of("ZooE\1" + bytes) != Refusal::kNone);
  }));
}

TEST(Envelope, EveryReasonHasWords) {
  for (unsigned reason = 0; reason <= static_cast<unsigned>(Refusal::kNotPacked); ++reason) {
    EXPECT_STRNE(describe(static_cast<Refusal>(reason)), "an unknown reason");
  }
}

}  // namespace
}  // namespace zoocache::codec
