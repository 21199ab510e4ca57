// Any bytes as a stored entry: an entry within the limits or a refusal. Bytes that are made whole
// by a right checksum get past it, so that what lies behind is reached, too.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/envelope.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace {

using zoocache::codec::EntryView;
using zoocache::codec::EnvelopeCodec;
using zoocache::codec::EnvelopeLimits;
using zoocache::codec::Refusal;
using zoocache::codec::StoredEntry;

constexpr EnvelopeLimits kLimits{.max_dependencies = 64,
                                 .max_dependency_bytes = 256,
                                 .max_key_bytes = 1024,
                                 .max_payload_bytes = 65'536,
                                 .compress_from_bytes = 64};

void demand(bool good) {
  if (!good) std::abort();
}

bool are_equal(const StoredEntry& one, const StoredEntry& other) {
  return one.generation == other.generation && one.born == other.born &&
         one.expiry_ns == other.expiry_ns && one.dependencies == other.dependencies &&
         one.key == other.key && one.payload == other.payload;
}

void check(const EnvelopeCodec& codec, std::string_view bytes) {
  StoredEntry entry;
  if (codec.decode(bytes, &entry) != Refusal::kNone) return;
  demand(entry.dependencies.size() <= kLimits.max_dependencies);
  demand(entry.key.size() <= kLimits.max_key_bytes);
  demand(entry.payload.size() <= kLimits.max_payload_bytes);
  const std::string again = codec.encode({entry.generation, entry.born, entry.expiry_ns,
                                          entry.dependencies, entry.key, entry.payload});
  StoredEntry decoded;
  demand(codec.decode(again, &decoded) == Refusal::kNone);
  demand(are_equal(entry, decoded));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const EnvelopeCodec codec(kLimits);
  static const EnvelopeCodec signing(kLimits, {"a secret that no input knows"});
  std::string bytes(reinterpret_cast<const char*>(data), size);
  check(codec, bytes);
  const std::uint64_t checksum = XXH3_64bits(bytes.data(), bytes.size());
  for (unsigned at = 0; at < 8; ++at) bytes.push_back(static_cast<char>(checksum >> (8 * at)));
  check(codec, bytes);
  StoredEntry entry;
  demand(signing.decode(bytes, &entry) != Refusal::kNone);
  return 0;
}
