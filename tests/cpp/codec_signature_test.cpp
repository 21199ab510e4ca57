// Signed entries: what another secret, or none, makes of them, and what changes no attacker can
// make.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codec/envelope.h"
#include "codec/signer.h"
#include "zoocache/errors.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace zoocache::codec {
namespace {

constexpr std::size_t kHeadBytes = 52;
constexpr std::size_t kChecksumBytes = 8;
const std::string kOld = "the old secret of sixteen";
const std::string kNew = "the new secret of sixteen";

EnvelopeCodec codec_of(std::vector<std::string> secrets) {
  return EnvelopeCodec({.compress_from_bytes = 64}, std::move(secrets));
}

std::string encoded(const EnvelopeCodec& codec, std::string_view payload = "payload") {
  const std::vector<std::string_view> tags{"user:42"};
  return codec.encode({7, 42, 0, tags, "key", payload});
}

Refusal refusal_of(const EnvelopeCodec& codec, std::string_view bytes) {
  StoredEntry entry;
  return codec.decode(bytes, &entry);
}

// As an attacker would: the checksum, which needs no secret, is made to fit.
std::string with_checksum(std::string bytes) {
  const std::size_t at = bytes.size() - Signer::kSignatureBytes - kChecksumBytes;
  const std::uint64_t checksum = XXH3_64bits(bytes.data(), at);
  for (std::size_t byte = 0; byte < kChecksumBytes; ++byte) {
    bytes[at + byte] = static_cast<char>(checksum >> (8 * byte));
  }
  return bytes;
}

// The first of RFC 4231's test cases.
TEST(Signature, IsThatOfTheStandard) {
  const Signer signer({std::string(20, '\x0b')});
  std::string bytes = "Hi There";
  signer.append(bytes);
  EXPECT_EQ(bytes.substr(8),
            std::string("\xb0\x34\x4c\x61\xd8\xdb\x38\x53\x5c\xa8\xaf\xce\xaf\x0b\xf1\x2b"
                        "\x88\x1d\xc2\x00\xc9\x83\x3d\xa7\x26\xe9\x37\x6c\x2e\x32\xcf\xf7",
                        Signer::kSignatureBytes));
  EXPECT_TRUE(signer.is_good("Hi There", std::string_view(bytes).substr(8)));
  EXPECT_FALSE(signer.is_good("Hi there", std::string_view(bytes).substr(8)));
  EXPECT_FALSE(signer.is_good("Hi There", std::string_view(bytes).substr(8, 31)));
  EXPECT_FALSE(signer.is_good("Hi There", ""));
}

TEST(Signature, ASignedEntryComesBack) {
  const EnvelopeCodec codec = codec_of({kNew});
  for (const std::string& payload : {std::string("short"), std::string(4096, 'x')}) {
    const std::string bytes = encoded(codec, payload);
    StoredEntry entry;
    ASSERT_EQ(codec.decode(bytes, &entry), Refusal::kNone);
    EXPECT_EQ(entry.payload, payload);
    EXPECT_EQ(entry.key, "key");
    EXPECT_EQ(entry.born, 42U);
  }
}

TEST(Signature, EveryChangeIsRefused) {
  const EnvelopeCodec codec = codec_of({kNew});
  for (const std::string& payload : {std::string("short"), std::string(200, 'x')}) {
    const std::string good = encoded(codec, payload);
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      std::string damaged = good;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      EXPECT_NE(refusal_of(codec, damaged), Refusal::kNone) << bit;
      if (bit / 8 < kHeadBytes) continue;            // sizes and the like have reasons of their own
      if (with_checksum(damaged) == good) continue;  // it was the checksum
      EXPECT_EQ(refusal_of(codec, with_checksum(damaged)), Refusal::kForged) << bit;
    }
    EXPECT_NE(refusal_of(codec, good.substr(0, good.size() - 1)), Refusal::kNone);
    EXPECT_NE(refusal_of(codec, good + '\0'), Refusal::kNone);
  }
}

TEST(Signature, OneSideHasASecretAndTheOtherNone) {
  const EnvelopeCodec with = codec_of({kNew});
  const EnvelopeCodec without = codec_of({});
  EXPECT_EQ(refusal_of(with, encoded(without)), Refusal::kUnsigned);
  EXPECT_EQ(refusal_of(without, encoded(with)), Refusal::kSigned);
  EXPECT_EQ(refusal_of(without, encoded(without)), Refusal::kNone);
}

TEST(Signature, SecretsAreChangedInSteps) {
  const EnvelopeCodec old = codec_of({kOld});
  const EnvelopeCodec prepared = codec_of({kOld, kNew});
  const EnvelopeCodec changed = codec_of({kNew, kOld});
  const EnvelopeCodec done = codec_of({kNew});
  EXPECT_EQ(refusal_of(old, encoded(prepared)), Refusal::kNone);
  EXPECT_EQ(refusal_of(prepared, encoded(changed)), Refusal::kNone);
  EXPECT_EQ(refusal_of(changed, encoded(prepared)), Refusal::kNone);
  EXPECT_EQ(refusal_of(done, encoded(changed)), Refusal::kNone);
  EXPECT_EQ(refusal_of(done, encoded(old)), Refusal::kForged);
  EXPECT_EQ(refusal_of(old, encoded(done)), Refusal::kForged);
}

TEST(Signature, SecretsAreLongAndNotTold) {
  for (const std::string& secret : {std::string(), std::string("only 15 letters")}) {
    try {
      codec_of({kNew, secret});
      FAIL() << secret;
    } catch (const InvalidOption& error) {
      EXPECT_NE(std::string(error.what()).find("16 or more"), std::string::npos) << error.what();
      EXPECT_TRUE(secret.empty() || std::string(error.what()).find(secret) == std::string::npos);
    }
  }
}

}  // namespace
}  // namespace zoocache::codec
