// Python values and keys as bytes, for what leaves the process: a value comes back equal in value
// and type, or is refused.
//
// A value begins with a byte that says what it is; numbers are little endian, sizes are in groups
// of seven bits, lowest first, as in LEB128.
//
//   00..7F  int 0..127                  DB  bytes size
//   80..9F  str of 0..31 bytes          DC  bytearray size
//   A0..AF  tuple of 0..15 items        DD  tuple count items
//   B0..BF  list of 0..15 items         DE  list count items
//   C0..CF  dict of 0..15 pairs         DF  dict count pairs
//   D0      None                        E0  set count items
//   D1, D2  False, True                 E1  frozenset count items
//   D3..D6  int of 1, 2, 4, 8 bytes     E2  range start stop step
//   D7      int size two's-complement   E3  timedelta days(4) seconds(4) microseconds(4)
//   D8      float, 8 bytes              E4  date year(2) month(1) day(1)
//   D9      complex, 16 bytes           E5  time hour(1) minute(1) second(1) fold(1)
//   DA      str size UTF-8                       microsecond(4) zone
//                                       E6  datetime, a date and a time
//                                       E7  timezone, a timedelta and a name or None
//                                       E8  object kind(1) count parts
//                                       E9  frozen class unordered(1) count items: in keys only,
//                                           for an argument that is keyed by a copy (frozen.h)
//
// UTF-8 keeps lone surrogates (surrogatepass). A zone is None, a timezone or an object. What an
// object's kind and parts are is said in python/zoocache/_codec.py, which takes them apart and puts
// them together.
//
// Promises: decoding never runs code that the bytes name, imports no module that they name and
// makes objects only of the classes in the registry; it allocates no more than a small multiple of
// the bytes. `canonical` sorts sets: values that are equal in value and type, with their dicts in
// the same order, then have equal bytes in every process.
// Thread-safety: the GIL guards everything. A value that another thread changes meanwhile is
// refused, or encoded as it was at some moment for each of its containers.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>

namespace zoocache::python {

// Containers in containers; a value that contains itself goes beyond it.
inline constexpr int kMaxValueDepth = 200;
// Bytes of one encoded value.
inline constexpr std::size_t kMaxValueBytes = std::size_t{1} << 26;

namespace mark {

inline constexpr std::uint8_t kShortStr = 0x80;
inline constexpr std::uint8_t kShortTuple = 0xA0;
inline constexpr std::uint8_t kShortList = 0xB0;
inline constexpr std::uint8_t kShortDict = 0xC0;
inline constexpr std::uint8_t kNone = 0xD0;
inline constexpr std::uint8_t kFalse = 0xD1;
inline constexpr std::uint8_t kTrue = 0xD2;
inline constexpr std::uint8_t kInt1 = 0xD3;
inline constexpr std::uint8_t kInt2 = 0xD4;
inline constexpr std::uint8_t kInt4 = 0xD5;
inline constexpr std::uint8_t kInt8 = 0xD6;
inline constexpr std::uint8_t kBigInt = 0xD7;
inline constexpr std::uint8_t kFloat = 0xD8;
inline constexpr std::uint8_t kComplex = 0xD9;
inline constexpr std::uint8_t kStr = 0xDA;
inline constexpr std::uint8_t kBytes = 0xDB;
inline constexpr std::uint8_t kByteArray = 0xDC;
inline constexpr std::uint8_t kTuple = 0xDD;
inline constexpr std::uint8_t kList = 0xDE;
inline constexpr std::uint8_t kDict = 0xDF;
inline constexpr std::uint8_t kSet = 0xE0;
inline constexpr std::uint8_t kFrozenSet = 0xE1;
inline constexpr std::uint8_t kRange = 0xE2;
inline constexpr std::uint8_t kTimeDelta = 0xE3;
inline constexpr std::uint8_t kDate = 0xE4;
inline constexpr std::uint8_t kTime = 0xE5;
inline constexpr std::uint8_t kDateTime = 0xE6;
inline constexpr std::uint8_t kTimeZone = 0xE7;
inline constexpr std::uint8_t kObject = 0xE8;
inline constexpr std::uint8_t kFrozen = 0xE9;

inline constexpr std::size_t kShortStrs = 32;        // sizes that fit in the mark of a str
inline constexpr std::size_t kShortContainers = 16;  // and counts in that of a container

}  // namespace mark

// New bytes; nullptr with SerializationError, which names the path to what cannot be kept.
// registry: a dict of name -> class, whose objects are kept, or None: classes that are found under
// their own names, for keys, which are never decoded.
PyObject* encode_value(PyObject* value, PyObject* registry, bool canonical);

// New value; nullptr with SerializationError for bytes that are none.
// registry: a dict of name -> class, or None for no classes.
PyObject* decode_value(const char* bytes, std::size_t size, PyObject* registry);

// The functions encode and decode of the module. 0, or -1 with a Python error.
int init_value_codec(PyObject* module);

// An attribute of zoocache._codec, imported when it is first asked for; new reference.
PyObject* codec_helper(const char* name);

}  // namespace zoocache::python
