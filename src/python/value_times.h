// The datetime family as bytes: date, time, datetime, timedelta, timezone. The zone of a time is a
// value of its own, which the walk over the whole value writes and reads.
//
// Promises: fold is kept; the module datetime is imported when the first value needs it.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <cstdint>

#include "python/value_bytes.h"
#include "python/value_codec.h"

namespace zoocache::python {

// The mark of a value of exactly one of these types; 0 for any other type, or with an error set.
std::uint8_t mark_of_time(PyObject* value);

// Writes what stands between the mark and the value that follows it. `follower` becomes that value,
// a new reference (a zone, or a timezone's name), or nullptr if none follows.
// False with an error set, or because of the writer.
bool write_time(ByteWriter& writer, std::uint8_t mark, PyObject* value, PyObject** follower);

// What stands between the mark and the value that follows it.
struct TimeFields {
  int year = 1, month = 1, day = 1;
  int hour = 0, minute = 0, second = 0, microsecond = 0, fold = 0;
  int days = 0, seconds = 0, microseconds = 0;
};

// False if the bytes end too early.
bool read_time(ByteReader& reader, std::uint8_t mark, TimeFields* fields);

// True: a value follows, the zone of a time or the name of a timezone.
inline bool has_follower(std::uint8_t mark) {
  return mark == mark::kTime || mark == mark::kDateTime || mark == mark::kTimeZone;
}

// New value; nullptr with an error for fields that no such value has.
// follower: what follows, or nullptr where nothing does; borrowed.
PyObject* make_time(std::uint8_t mark, const TimeFields& fields, PyObject* follower);

}  // namespace zoocache::python
