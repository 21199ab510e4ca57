// The envelope of an entry that leaves the process: what a second level of the cache stores.
//
//   0  magic "ZooE"   4  format(2) = 1   6  flags(2)    1 = the payload is compressed by LZ4
//   8  generation(8)                     16 born(8)     2 = signed
//   24 expiry(8, signed)                 32 dependencies(4)   36 their bytes(4)
//   40 key bytes(4)   44 stored payload bytes(4)   48 payload bytes(4)
//   52 dependencies: { size(2) text }...   key   stored payload   checksum(8)   signature(32)
//
// Numbers are little endian. The checksum is XXH3's 64 bits of all that comes before it. It finds
// accidents, not attackers: who can write to the store can write any entry, unless there is a
// secret (signer.h). Then each entry is signed, and what is not signed, or by another secret, is
// refused.
//
// Promises: the bytes are a function of the entry alone. Any bytes whatsoever decode to an entry or
// to a reason, never to more than the limits allow; every declared size is checked against the
// limits and against the bytes that are there before anything is allocated.
// Demands of the caller: dependencies are handed back as texts, not as tags that were checked, and
// the key has to be compared with the key that was asked for.
// Thread-safety: a codec is immutable; any threads may use it at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/signer.h"

namespace zoocache::codec {

// What an entry may hold, and when it is compressed. Checked when a codec is made.
struct EnvelopeLimits {
  // Dependencies of one entry. Range 0 .. 2^20.
  std::size_t max_dependencies = 16'384;
  // Bytes of one dependency's text. Range 1 .. 65,535; the longest tag has 16,384.
  std::size_t max_dependency_bytes = 16'384;
  // Bytes of the canonical key. Range 1 .. 2^26.
  std::size_t max_key_bytes = std::size_t{1} << 20;
  // Bytes of the payload before it is compressed. Range 1 .. 2^30.
  std::size_t max_payload_bytes = std::size_t{1} << 26;
  // Payloads from so many bytes on are compressed, if that saves an eighth. Any value.
  std::size_t compress_from_bytes = 1024;
};

// An entry to be stored; owns nothing.
struct EntryView {
  std::uint64_t generation = 0;
  std::uint64_t born = 0;
  std::int64_t expiry_ns = 0;  // of whichever clock the caller means
  std::span<const std::string_view> dependencies;
  std::string_view key;
  std::string_view payload;
};

// A stored entry. Its texts lie in the bytes that it was decoded from, but for a payload that was
// compressed, which the entry owns.
struct StoredEntry {
  std::uint64_t generation = 0;
  std::uint64_t born = 0;
  std::int64_t expiry_ns = 0;
  std::vector<std::string_view> dependencies;
  std::string_view key;
  std::string_view payload;
  std::unique_ptr<char[]> unpacked;
};

// Why bytes are no entry.
enum class Refusal : std::uint8_t {
  kNone,          // they are one
  kForeign,       // they begin like nothing of ours
  kOtherFormat,   // of another version of this library
  kSigned,        // it is signed, and there is no secret to check that with
  kUnsigned,      // it is not, and there is a secret
  kForged,        // the signature is of other bytes, or by another secret
  kUnknownFlags,  // flags that this version does not know
  kTooLarge,      // a declared size is beyond the limits
  kWrongSize,     // fewer or more bytes than declared, or sizes that contradict each other
  kDamaged,       // the checksum is of other bytes
  kNotPacked,     // LZ4 cannot unpack the payload to its size
};

// For messages: "the checksum does not match" and the like.
const char* describe(Refusal reason) noexcept;

class EnvelopeCodec {
 public:
  // Throws InvalidOption.
  explicit EnvelopeCodec(const EnvelopeLimits& limits = {}, std::vector<std::string> secrets = {});

  // Throws SerializationError for an entry beyond the limits.
  std::string encode(const EntryView& entry) const;

  // Fills `entry` if it returns kNone; else leaves it in a valid state that means nothing.
  // REQUIRES: the bytes outlive what is used of the entry.
  Refusal decode(std::string_view bytes, StoredEntry* entry) const;

  // The same but for the payload, which stays empty, of the first bytes of an envelope that has
  // `whole_bytes`; neither checksum nor signature is looked at. For tools that look at many.
  // kWrongSize with `wanted_bytes` above what was given: so many of the first bytes are needed.
  Refusal outline(std::string_view first_bytes, std::size_t whole_bytes, StoredEntry* entry,
                  std::size_t* wanted_bytes) const;

 private:
  const EnvelopeLimits limits_;
  const Signer signer_;
};

}  // namespace zoocache::codec
