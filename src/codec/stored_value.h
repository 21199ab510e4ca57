// Values of the second level in their envelopes. What the envelope's expiry means is the store's
// own affair: a moment, or a span. Thread-safety: as EnvelopeCodec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "codec/envelope.h"
#include "core/second_level.h"

namespace zoocache::codec {

// Throws SerializationError for a value beyond the codec's limits.
std::string encode_value(const EnvelopeCodec& codec, std::string_view key,
                         const core::StoredValue& value, std::int64_t expiry_ns);

// Empty: the bytes are no entry, or one of another key. `lives_ns` is left at 0; `expiry_ns` is
// the envelope's.
std::optional<core::StoredValue> decode_value(const EnvelopeCodec& codec, std::string_view envelope,
                                              std::string_view key, std::int64_t* expiry_ns);

// For tools: what the first bytes say of an entry that has `whole_bytes`, but for its name and the
// time that it lives. Empty: it is none, or `wanted_bytes` of the first ones are needed, if they
// are not 0.
std::optional<core::LevelEntry> outline_of(const EnvelopeCodec& codec, std::string_view first_bytes,
                                           std::size_t whole_bytes, std::int64_t* expiry_ns,
                                           std::size_t* wanted_bytes);

}  // namespace zoocache::codec
