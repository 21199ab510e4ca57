#include "codec/envelope.h"

#include <lz4.h>

#include <utility>

#include "zoocache/errors.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace zoocache::codec {
namespace {

constexpr std::uint32_t kMagic = 0x456F6F5A;  // "ZooE"
constexpr std::uint16_t kFormat = 1;
constexpr std::uint16_t kPackedFlag = 1;
constexpr std::uint16_t kSignedFlag = 2;
constexpr std::size_t kHeadBytes = 52;
constexpr std::size_t kTextHeadBytes = 2;
constexpr std::size_t kChecksumBytes = 8;
// A byte of LZ4 stands for at most so many bytes of what was packed.
constexpr std::size_t kMostPerPackedByte = 255;

// The numbers of the head, in the order in which they are stored.
struct Head {
  std::uint32_t magic = kMagic;
  std::uint16_t format = kFormat;
  std::uint16_t flags = 0;
  std::uint64_t generation = 0;
  std::uint64_t born = 0;
  std::uint64_t expiry_ns = 0;
  std::uint32_t dependencies = 0;
  std::uint32_t dependency_bytes = 0;
  std::uint32_t key_bytes = 0;
  std::uint32_t stored_bytes = 0;
  std::uint32_t payload_bytes = 0;
};

template <class Number>
void put(std::string& bytes, Number number) {
  for (std::size_t at = 0; at < sizeof number; ++at) {
    bytes.push_back(static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * at) & 0xFF));
  }
}

// REQUIRES: there are so many bytes.
template <class Number>
void take(std::string_view& bytes, Number* number) noexcept {
  std::uint64_t taken = 0;
  for (std::size_t at = 0; at < sizeof *number; ++at) {
    taken |= std::uint64_t{static_cast<unsigned char>(bytes[at])} << (8 * at);
  }
  *number = static_cast<Number>(taken);
  bytes.remove_prefix(sizeof *number);
}

template <class HeadType, class Step>
void for_each_number(HeadType& head, Step&& step) {
  step(head.magic);
  step(head.format);
  step(head.flags);
  step(head.generation);
  step(head.born);
  step(head.expiry_ns);
  step(head.dependencies);
  step(head.dependency_bytes);
  step(head.key_bytes);
  step(head.stored_bytes);
  step(head.payload_bytes);
}

std::string_view take_text(std::string_view& bytes, std::size_t size) noexcept {
  const std::string_view text = bytes.substr(0, size);
  bytes.remove_prefix(text.size());
  return text;
}

std::uint64_t checksum(std::string_view bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

void check_limit(const char* name, std::size_t value, std::size_t least, std::size_t most) {
  if (value >= least && value <= most) return;
  throw InvalidOption(std::string(name) + "=" + std::to_string(value) +
                      " is not allowed: " + std::to_string(least) + " to " + std::to_string(most));
}

void check_entry(const char* what, std::size_t size, std::size_t most) {
  if (size <= most) return;
  throw SerializationError(std::string(what) + " of an entry: " + std::to_string(size) +
                           " is beyond the limit of " + std::to_string(most) +
                           "; raise the limit, or keep less in one entry");
}

// Appends the payload, packed if that saves an eighth or more. True if it was.
bool append_payload(std::string& bytes, std::string_view payload) {
  const std::size_t start = bytes.size();
  const std::size_t room = payload.size() - payload.size() / 8;
  bytes.resize(start + room);
  const int packed = LZ4_compress_default(payload.data(), bytes.data() + start,
                                          static_cast<int>(payload.size()), static_cast<int>(room));
  bytes.resize(start + static_cast<std::size_t>(packed));
  if (packed == 0) bytes += payload;
  return packed != 0;
}

// What the head says of the bytes after it, as far as it can be known without reading them.
Refusal check_head(const Head& head, std::size_t body_bytes, const EnvelopeLimits& limits,
                   bool wants_signature) {
  if (head.magic != kMagic) return Refusal::kForeign;
  if (head.format != kFormat) return Refusal::kOtherFormat;
  if ((head.flags & ~(kPackedFlag | kSignedFlag)) != 0) return Refusal::kUnknownFlags;
  const bool is_signed = (head.flags & kSignedFlag) != 0;
  if (is_signed && !wants_signature) return Refusal::kSigned;
  if (!is_signed && wants_signature) return Refusal::kUnsigned;
  const std::size_t longest = kTextHeadBytes + limits.max_dependency_bytes;
  if (head.dependencies > limits.max_dependencies ||
      head.dependency_bytes > head.dependencies * longest ||
      head.key_bytes > limits.max_key_bytes || head.payload_bytes > limits.max_payload_bytes ||
      head.stored_bytes > limits.max_payload_bytes) {
    return Refusal::kTooLarge;
  }
  if (head.dependency_bytes < head.dependencies * kTextHeadBytes) return Refusal::kWrongSize;
  const std::size_t declared = std::size_t{head.dependency_bytes} + head.key_bytes +
                               head.stored_bytes + kChecksumBytes +
                               (is_signed ? Signer::kSignatureBytes : 0);
  if (declared != body_bytes) return Refusal::kWrongSize;
  const bool is_packed = (head.flags & kPackedFlag) != 0;
  const bool fits = is_packed ? head.payload_bytes <= head.stored_bytes * kMostPerPackedByte
                              : head.payload_bytes == head.stored_bytes;
  return fits ? Refusal::kNone : Refusal::kWrongSize;
}

// REQUIRES: the texts' count and bytes passed check_head.
Refusal take_dependencies(std::string_view texts, const Head& head, const EnvelopeLimits& limits,
                          std::vector<std::string_view>* dependencies) {
  dependencies->clear();
  dependencies->reserve(head.dependencies);
  for (std::uint32_t index = 0; index < head.dependencies; ++index) {
    if (texts.size() < kTextHeadBytes) return Refusal::kWrongSize;
    std::uint16_t size = 0;
    take(texts, &size);
    if (size > limits.max_dependency_bytes) return Refusal::kTooLarge;
    if (size > texts.size()) return Refusal::kWrongSize;
    dependencies->push_back(take_text(texts, size));
  }
  return texts.empty() ? Refusal::kNone : Refusal::kWrongSize;
}

// All of the entry but its payload, off the front of `rest`, which is long enough.
Refusal take_before_payload(std::string_view& rest, const Head& head, const EnvelopeLimits& limits,
                            StoredEntry* entry) {
  const std::string_view texts = take_text(rest, head.dependency_bytes);
  const Refusal refusal = take_dependencies(texts, head, limits, &entry->dependencies);
  if (refusal != Refusal::kNone) return refusal;
  entry->generation = head.generation;
  entry->born = head.born;
  entry->expiry_ns = static_cast<std::int64_t>(head.expiry_ns);
  entry->key = take_text(rest, head.key_bytes);
  return Refusal::kNone;
}

Refusal unpack(std::string_view stored, std::size_t size, StoredEntry* entry) {
  // One byte more, so that an empty payload has an address, too.
  entry->unpacked = std::make_unique_for_overwrite<char[]>(size + 1);
  const int unpacked = LZ4_decompress_safe(stored.data(), entry->unpacked.get(),
                                           static_cast<int>(stored.size()), static_cast<int>(size));
  if (unpacked < 0 || static_cast<std::size_t>(unpacked) != size) return Refusal::kNotPacked;
  entry->payload = {entry->unpacked.get(), size};
  return Refusal::kNone;
}

}  // namespace

const char* describe(Refusal reason) noexcept {
  switch (reason) {
    case Refusal::kNone:
      return "an entry";
    case Refusal::kForeign:
      return "not an entry of zoocache";
    case Refusal::kOtherFormat:
      return "written by another version of zoocache";
    case Refusal::kSigned:
      return "signed, and there is no secret to check that with";
    case Refusal::kUnsigned:
      return "not signed, and there is a secret";
    case Refusal::kForged:
      return "not signed by one of the secrets";
    case Refusal::kUnknownFlags:
      return "it has flags that this version of zoocache does not know";
    case Refusal::kTooLarge:
      return "a size is beyond the limits";
    case Refusal::kWrongSize:
      return "its sizes do not fit its bytes";
    case Refusal::kDamaged:
      return "the checksum does not match";
    case Refusal::kNotPacked:
      return "the payload cannot be unpacked";
  }
  return "an unknown reason";
}

EnvelopeCodec::EnvelopeCodec(const EnvelopeLimits& limits, std::vector<std::string> secrets)
    : limits_(limits), signer_(std::move(secrets)) {
  check_limit("max_dependencies", limits.max_dependencies, 0, std::size_t{1} << 20);
  check_limit("max_dependency_bytes", limits.max_dependency_bytes, 1, 0xFFFF);
  check_limit("max_key_bytes", limits.max_key_bytes, 1, std::size_t{1} << 26);
  check_limit("max_payload_bytes", limits.max_payload_bytes, 1, std::size_t{1} << 30);
}

std::string EnvelopeCodec::encode(const EntryView& entry) const {
  check_entry("dependencies", entry.dependencies.size(), limits_.max_dependencies);
  check_entry("bytes of the key", entry.key.size(), limits_.max_key_bytes);
  check_entry("bytes of the value", entry.payload.size(), limits_.max_payload_bytes);
  std::size_t dependency_bytes = 0;
  for (const std::string_view text : entry.dependencies) {
    check_entry("bytes of a dependency", text.size(), limits_.max_dependency_bytes);
    dependency_bytes += kTextHeadBytes + text.size();
  }
  check_entry("bytes of all dependencies", dependency_bytes, 0xFFFF'FFFF);
  Head head;
  head.generation = entry.generation;
  head.born = entry.born;
  head.expiry_ns = static_cast<std::uint64_t>(entry.expiry_ns);
  head.dependencies = static_cast<std::uint32_t>(entry.dependencies.size());
  head.dependency_bytes = static_cast<std::uint32_t>(dependency_bytes);
  head.key_bytes = static_cast<std::uint32_t>(entry.key.size());
  head.payload_bytes = static_cast<std::uint32_t>(entry.payload.size());
  const std::size_t payload_at = kHeadBytes + dependency_bytes + entry.key.size();
  std::string bytes;
  bytes.reserve(payload_at + entry.payload.size() + kChecksumBytes + Signer::kSignatureBytes);
  bytes.resize(kHeadBytes);  // the head is known once the payload is packed
  for (const std::string_view text : entry.dependencies) {
    put(bytes, static_cast<std::uint16_t>(text.size()));
    bytes += text;
  }
  bytes += entry.key;
  if (entry.payload.size() < limits_.compress_from_bytes) {
    bytes += entry.payload;
  } else if (append_payload(bytes, entry.payload)) {
    head.flags |= kPackedFlag;
  }
  if (signer_.is_on()) head.flags |= kSignedFlag;
  head.stored_bytes = static_cast<std::uint32_t>(bytes.size() - payload_at);
  std::string head_bytes;
  for_each_number(head, [&head_bytes](auto number) { put(head_bytes, number); });
  bytes.replace(0, kHeadBytes, head_bytes);
  put(bytes, checksum(bytes));
  if (signer_.is_on()) signer_.append(bytes);
  return bytes;
}

Refusal EnvelopeCodec::decode(std::string_view bytes, StoredEntry* entry) const {
  if (bytes.size() < kHeadBytes + kChecksumBytes) return Refusal::kWrongSize;
  std::string_view rest = bytes;
  Head head;
  for_each_number(head, [&rest](auto& number) { take(rest, &number); });
  Refusal refusal = check_head(head, rest.size(), limits_, signer_.is_on());
  if (refusal != Refusal::kNone) return refusal;
  if (signer_.is_on()) {
    const std::size_t signed_bytes = bytes.size() - Signer::kSignatureBytes;
    if (!signer_.is_good(bytes.substr(0, signed_bytes), bytes.substr(signed_bytes))) {
      return Refusal::kForged;
    }
    bytes.remove_suffix(Signer::kSignatureBytes);
  }
  std::string_view tail = bytes.substr(bytes.size() - kChecksumBytes);
  std::uint64_t expected = 0;
  take(tail, &expected);
  if (checksum(bytes.substr(0, bytes.size() - kChecksumBytes)) != expected) {
    return Refusal::kDamaged;
  }
  refusal = take_before_payload(rest, head, limits_, entry);
  if (refusal != Refusal::kNone) return refusal;
  const std::string_view stored = take_text(rest, head.stored_bytes);
  if ((head.flags & kPackedFlag) != 0) return unpack(stored, head.payload_bytes, entry);
  entry->unpacked.reset();
  entry->payload = stored;
  return Refusal::kNone;
}

Refusal EnvelopeCodec::outline(std::string_view first_bytes, std::size_t whole_bytes,
                               StoredEntry* entry, std::size_t* wanted_bytes) const {
  *wanted_bytes = 0;
  if (whole_bytes < kHeadBytes + kChecksumBytes) return Refusal::kWrongSize;
  if (first_bytes.size() < kHeadBytes) {
    *wanted_bytes = kHeadBytes;
    return Refusal::kWrongSize;
  }
  std::string_view rest = first_bytes;
  Head head;
  for_each_number(head, [&rest](auto& number) { take(rest, &number); });
  const bool is_signed = (head.flags & kSignedFlag) != 0;
  Refusal refusal = check_head(head, whole_bytes - kHeadBytes, limits_, is_signed);
  if (refusal != Refusal::kNone) return refusal;
  const std::size_t before_payload = std::size_t{head.dependency_bytes} + head.key_bytes;
  if (rest.size() < before_payload) {
    *wanted_bytes = kHeadBytes + before_payload;
    return Refusal::kWrongSize;
  }
  refusal = take_before_payload(rest, head, limits_, entry);
  if (refusal != Refusal::kNone) return refusal;
  entry->payload = {};
  entry->unpacked.reset();
  return Refusal::kNone;
}

}  // namespace zoocache::codec
