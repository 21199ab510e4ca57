#include "python/value_times.h"

#include <datetime.h>

namespace zoocache::python {
namespace {

// The C API of the module datetime is reached through a pointer of this file.
bool has_datetime() {
  if (PyDateTimeAPI == nullptr) PyDateTime_IMPORT;
  return PyDateTimeAPI != nullptr;
}

bool write_date_fields(ByteWriter& writer, PyObject* value) {
  return writer.number(static_cast<std::uint16_t>(PyDateTime_GET_YEAR(value))) &&
         writer.byte(static_cast<std::uint8_t>(PyDateTime_GET_MONTH(value))) &&
         writer.byte(static_cast<std::uint8_t>(PyDateTime_GET_DAY(value)));
}

bool write_clock_fields(ByteWriter& writer, int hour, int minute, int second, int fold,
                        int microsecond) {
  return writer.byte(static_cast<std::uint8_t>(hour)) &&
         writer.byte(static_cast<std::uint8_t>(minute)) &&
         writer.byte(static_cast<std::uint8_t>(second)) &&
         writer.byte(static_cast<std::uint8_t>(fold)) &&
         writer.number(static_cast<std::uint32_t>(microsecond));
}

bool write_delta_fields(ByteWriter& writer, PyObject* value) {
  return writer.number(static_cast<std::uint32_t>(PyDateTime_DELTA_GET_DAYS(value))) &&
         writer.number(static_cast<std::uint32_t>(PyDateTime_DELTA_GET_SECONDS(value))) &&
         writer.number(static_cast<std::uint32_t>(PyDateTime_DELTA_GET_MICROSECONDS(value)));
}

// A timezone says what it was made of: its offset, and its name if it was given one.
bool write_timezone(ByteWriter& writer, PyObject* value, PyObject** name) {
  PyObject* made_of = PyObject_CallMethod(value, "__getinitargs__", nullptr);
  if (made_of == nullptr) return false;
  if (!PyTuple_CheckExact(made_of) || PyTuple_GET_SIZE(made_of) < 1 ||
      !PyDelta_CheckExact(PyTuple_GET_ITEM(made_of, 0))) {
    Py_DECREF(made_of);
    PyErr_SetString(PyExc_SystemError, "a timezone does not say what it was made of");
    return false;
  }
  const bool is_named = PyTuple_GET_SIZE(made_of) > 1;
  const bool good = write_delta_fields(writer, PyTuple_GET_ITEM(made_of, 0));
  if (good) *name = Py_NewRef(is_named ? PyTuple_GET_ITEM(made_of, 1) : Py_None);
  Py_DECREF(made_of);
  return good;
}

bool read_date_fields(ByteReader& reader, TimeFields* fields) {
  std::uint16_t year;
  std::uint8_t month;
  std::uint8_t day;
  if (!reader.number(&year) || !reader.byte(&month) || !reader.byte(&day)) return false;
  fields->year = year;
  fields->month = month;
  fields->day = day;
  return true;
}

bool read_clock_fields(ByteReader& reader, TimeFields* fields) {
  std::uint8_t hour;
  std::uint8_t minute;
  std::uint8_t second;
  std::uint8_t fold;
  if (!reader.byte(&hour) || !reader.byte(&minute) || !reader.byte(&second) ||
      !reader.byte(&fold) || !reader.number(&fields->microsecond)) {
    return false;
  }
  fields->hour = hour;
  fields->minute = minute;
  fields->second = second;
  fields->fold = fold;
  return true;
}

PyObject* make_delta(const TimeFields& fields) {
  return PyDelta_FromDSU(fields.days, fields.seconds, fields.microseconds);
}

PyObject* make_timezone(const TimeFields& fields, PyObject* name) {
  if (name != Py_None && !PyUnicode_CheckExact(name)) {
    PyErr_SetString(PyExc_TypeError, "the name of a timezone is a str");
    return nullptr;
  }
  PyObject* offset = make_delta(fields);
  if (offset == nullptr) return nullptr;
  PyObject* zone =
      name == Py_None ? PyTimeZone_FromOffset(offset) : PyTimeZone_FromOffsetAndName(offset, name);
  Py_DECREF(offset);
  return zone;
}

}  // namespace

std::uint8_t mark_of_time(PyObject* value) {
  if (!has_datetime()) return 0;
  if (PyDateTime_CheckExact(value)) return mark::kDateTime;
  if (PyDate_CheckExact(value)) return mark::kDate;
  if (PyTime_CheckExact(value)) return mark::kTime;
  if (PyDelta_CheckExact(value)) return mark::kTimeDelta;
  if (Py_TYPE(value) == Py_TYPE(PyDateTime_TimeZone_UTC)) return mark::kTimeZone;
  return 0;
}

bool write_time(ByteWriter& writer, std::uint8_t mark, PyObject* value, PyObject** follower) {
  *follower = nullptr;
  switch (mark) {
    case mark::kDate:
      return write_date_fields(writer, value);
    case mark::kTimeDelta:
      return write_delta_fields(writer, value);
    case mark::kTimeZone:
      return write_timezone(writer, value, follower);
    case mark::kTime:
      *follower = Py_NewRef(PyDateTime_TIME_GET_TZINFO(value));
      return write_clock_fields(writer, PyDateTime_TIME_GET_HOUR(value),
                                PyDateTime_TIME_GET_MINUTE(value),
                                PyDateTime_TIME_GET_SECOND(value), PyDateTime_TIME_GET_FOLD(value),
                                PyDateTime_TIME_GET_MICROSECOND(value));
    default:
      *follower = Py_NewRef(PyDateTime_DATE_GET_TZINFO(value));
      return write_date_fields(writer, value) &&
             write_clock_fields(writer, PyDateTime_DATE_GET_HOUR(value),
                                PyDateTime_DATE_GET_MINUTE(value),
                                PyDateTime_DATE_GET_SECOND(value), PyDateTime_DATE_GET_FOLD(value),
                                PyDateTime_DATE_GET_MICROSECOND(value));
  }
}

bool read_time(ByteReader& reader, std::uint8_t mark, TimeFields* fields) {
  switch (mark) {
    case mark::kDate:
      return read_date_fields(reader, fields);
    case mark::kTime:
      return read_clock_fields(reader, fields);
    case mark::kDateTime:
      return read_date_fields(reader, fields) && read_clock_fields(reader, fields);
    default:
      return reader.number(&fields->days) && reader.number(&fields->seconds) &&
             reader.number(&fields->microseconds);
  }
}

// The functions of datetime check each field.
PyObject* make_time(std::uint8_t mark, const TimeFields& fields, PyObject* follower) {
  if (!has_datetime()) return nullptr;
  switch (mark) {
    case mark::kDate:
      return PyDate_FromDate(fields.year, fields.month, fields.day);
    case mark::kTimeDelta:
      return make_delta(fields);
    case mark::kTimeZone:
      return make_timezone(fields, follower);
    case mark::kTime:
      return PyDateTimeAPI->Time_FromTimeAndFold(fields.hour, fields.minute, fields.second,
                                                 fields.microsecond, follower, fields.fold,
                                                 PyDateTimeAPI->TimeType);
    default:
      return PyDateTimeAPI->DateTime_FromDateAndTimeAndFold(
          fields.year, fields.month, fields.day, fields.hour, fields.minute, fields.second,
          fields.microsecond, follower, fields.fold, PyDateTimeAPI->DateTimeType);
  }
}

}  // namespace zoocache::python
