#include "codec/stored_value.h"

#include <vector>

namespace zoocache::codec {

std::string encode_value(const EnvelopeCodec& codec, std::string_view key,
                         const core::StoredValue& value, std::int64_t expiry_ns) {
  const std::vector<std::string_view> dependencies(value.dependencies.begin(),
                                                   value.dependencies.end());
  EntryView entry;
  entry.generation = value.generation;
  entry.born = value.born;
  entry.expiry_ns = expiry_ns;
  entry.dependencies = dependencies;
  entry.key = key;
  entry.payload = value.payload;
  return codec.encode(entry);
}

std::optional<core::StoredValue> decode_value(const EnvelopeCodec& codec, std::string_view envelope,
                                              std::string_view key, std::int64_t* expiry_ns) {
  StoredEntry entry;
  if (codec.decode(envelope, &entry) != Refusal::kNone || entry.key != key) return std::nullopt;
  *expiry_ns = entry.expiry_ns;
  core::StoredValue value;
  value.generation = entry.generation;
  value.born = entry.born;
  value.dependencies.assign(entry.dependencies.begin(), entry.dependencies.end());
  value.payload = entry.payload;
  return value;
}

std::optional<core::LevelEntry> outline_of(const EnvelopeCodec& codec, std::string_view first_bytes,
                                           std::size_t whole_bytes, std::int64_t* expiry_ns,
                                           std::size_t* wanted_bytes) {
  StoredEntry entry;
  const Refusal refusal = codec.outline(first_bytes, whole_bytes, &entry, wanted_bytes);
  if (refusal != Refusal::kNone) return std::nullopt;
  *expiry_ns = entry.expiry_ns;
  core::LevelEntry outline;
  outline.generation = entry.generation;
  outline.born = entry.born;
  outline.size_bytes = whole_bytes;
  outline.key = entry.key;
  outline.dependencies.assign(entry.dependencies.begin(), entry.dependencies.end());
  return outline;
}

}  // namespace zoocache::codec
