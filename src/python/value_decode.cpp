// The walk that reads a value from bytes that may be anything.
//
// Each item of a container begins with a byte of its own. So the counts of all containers together
// are at most as many as there are bytes, and what goes beyond that is refused before memory is
// taken for it.
#include <Python.h>

#include <array>
#include <cstring>

#include "python/errors.h"
#include "python/value_bytes.h"
#include "python/value_codec.h"
#include "python/value_times.h"

namespace zoocache::python {
namespace {

// Keys of dicts that were read lately, by their bytes: records repeat theirs, and a str that is
// there already has its hash. Only ASCII.
class KnownKeys {
 public:
  // New reference, or nullptr with an error set. REQUIRES: size < mark::kShortStrs.
  PyObject* find(const char* ascii, std::size_t size) {
    std::uint64_t sum = size;
    for (std::size_t at = 0; at < size; ++at) {
      sum = sum * 31 + static_cast<unsigned char>(ascii[at]);
    }
    PyObject*& known = keys_[sum % keys_.size()];
    if (known != nullptr && static_cast<std::size_t>(PyUnicode_GET_LENGTH(known)) == size &&
        std::memcmp(PyUnicode_DATA(known), ascii, size) == 0) {
      return Py_NewRef(known);
    }
    PyObject* key = PyUnicode_DecodeUTF8(ascii, static_cast<Py_ssize_t>(size), nullptr);
    if (key != nullptr) {
      PyObject* const replaced = known;
      known = Py_NewRef(key);
      Py_XDECREF(replaced);
    }
    return key;
  }

 private:
  std::array<PyObject*, 512> keys_{};  // strong
};

KnownKeys known_keys;

bool is_ascii(const char* bytes, std::size_t size) {
  unsigned char all = 0;
  for (std::size_t at = 0; at < size; ++at) all |= static_cast<unsigned char>(bytes[at]);
  return all < 0x80;
}

class Decoder {
 public:
  Decoder(const char* bytes, std::size_t size, PyObject* registry)
      : reader_(bytes, size), items_left_(size), registry_(registry) {}

  PyObject* decode() {
    PyObject* value = read(0);
    if (value != nullptr && reader_.left() != 0) {
      Py_DECREF(value);
      return fail("more bytes follow the value");
    }
    return value;
  }

 private:
  // In all of these: a new reference, or nullptr with an error set.
  PyObject* read(int depth) {
    std::uint8_t first;
    if (!reader_.byte(&first)) return ends_early();
    if (first < mark::kShortStr) return PyLong_FromLong(first);
    if (first < mark::kShortTuple) return read_str(first & (mark::kShortStrs - 1));
    if (first < mark::kNone) {
      const std::size_t size = first & (mark::kShortContainers - 1);
      const auto kind = static_cast<std::uint8_t>(first - size);
      const std::uint8_t mark = kind == mark::kShortTuple  ? mark::kTuple
                                : kind == mark::kShortList ? mark::kList
                                                           : mark::kDict;
      return read_container(mark, size, depth);
    }
    switch (first) {
      case mark::kNone:
        Py_RETURN_NONE;
      case mark::kFalse:
        Py_RETURN_FALSE;
      case mark::kTrue:
        Py_RETURN_TRUE;
      case mark::kInt1:
        return read_int<std::int8_t>();
      case mark::kInt2:
        return read_int<std::int16_t>();
      case mark::kInt4:
        return read_int<std::int32_t>();
      case mark::kInt8:
        return read_int<std::int64_t>();
      case mark::kFloat:
        return read_float();
      case mark::kComplex:
        return read_complex();
      case mark::kBigInt:
      case mark::kStr:
      case mark::kBytes:
      case mark::kByteArray:
        return read_run(first);
      case mark::kTuple:
      case mark::kList:
      case mark::kDict:
      case mark::kSet:
      case mark::kFrozenSet: {
        std::size_t size;
        return reader_.count(&size) ? read_container(first, size, depth) : ends_early();
      }
      case mark::kRange:
      case mark::kTimeDelta:
      case mark::kDate:
      case mark::kTime:
      case mark::kDateTime:
      case mark::kTimeZone:
      case mark::kObject:
        if (depth >= kMaxValueDepth) return too_deep();
        if (first == mark::kRange) return read_range(depth);
        return first == mark::kObject ? read_object(depth) : read_time_value(first, depth);
      default:
        return fail("no value begins with this byte");
    }
  }

  template <class Number>
  PyObject* read_int() {
    Number number;
    return reader_.number(&number) ? PyLong_FromLongLong(number) : ends_early();
  }

  PyObject* read_float() {
    double number;
    return reader_.real(&number) ? PyFloat_FromDouble(number) : ends_early();
  }

  PyObject* read_complex() {
    Py_complex number;
    if (!reader_.real(&number.real) || !reader_.real(&number.imag)) return ends_early();
    return PyComplex_FromCComplex(number);
  }

  PyObject* read_str(std::size_t size) {
    const char* utf8;
    if (!reader_.take(size, &utf8)) return ends_early();
    return or_failure(PyUnicode_DecodeUTF8(utf8, static_cast<Py_ssize_t>(size), "surrogatepass"));
  }

  PyObject* read_run(std::uint8_t mark) {
    std::size_t count;
    const char* bytes;
    if (!reader_.count(&count)) return ends_early();
    if (mark == mark::kStr) return read_str(count);
    if (!reader_.take(count, &bytes)) return ends_early();
    const auto size = static_cast<Py_ssize_t>(count);
    if (mark == mark::kBytes) return PyBytes_FromStringAndSize(bytes, size);
    if (mark == mark::kByteArray) return PyByteArray_FromStringAndSize(bytes, size);
    return or_failure(
        _PyLong_FromByteArray(reinterpret_cast<const unsigned char*>(bytes), count, 1, 1));
  }

  PyObject* read_container(std::uint8_t mark, std::size_t size, int depth) {
    if (depth >= kMaxValueDepth) return too_deep();
    const std::size_t items = mark == mark::kDict ? 2 * size : size;
    // `size` may be any number, twice of which need not be one.
    if (size > items_left_ || items > items_left_) return ends_early();
    items_left_ -= items;
    const auto count = static_cast<Py_ssize_t>(size);
    if (mark == mark::kTuple) return read_tuple(count, depth);
    if (mark == mark::kList) return read_list(count, depth);
    if (mark == mark::kDict) return read_dict(count, depth);
    return read_set(mark, count, depth);
  }

  // A tuple or list with empty places is hidden from the collector, through which the code of a
  // class could find it.
  PyObject* read_tuple(Py_ssize_t size, int depth) {
    PyObject* tuple = PyTuple_New(size);
    if (tuple == nullptr || size == 0) return tuple;
    PyObject_GC_UnTrack(tuple);
    for (Py_ssize_t at = 0; at < size; ++at) {
      PyObject* item = read(depth + 1);
      if (item == nullptr) {
        Py_DECREF(tuple);
        return nullptr;
      }
      PyTuple_SET_ITEM(tuple, at, item);
    }
    PyObject_GC_Track(tuple);
    return tuple;
  }

  PyObject* read_list(Py_ssize_t size, int depth) {
    PyObject* list = PyList_New(size);
    if (list == nullptr) return nullptr;
    PyObject_GC_UnTrack(list);
    for (Py_ssize_t at = 0; at < size; ++at) {
      PyObject* item = read(depth + 1);
      if (item == nullptr) {
        Py_DECREF(list);
        return nullptr;
      }
      PyList_SET_ITEM(list, at, item);
    }
    PyObject_GC_Track(list);
    return list;
  }

  // Hashing and comparing the keys may run code of their classes.
  PyObject* read_dict(Py_ssize_t size, int depth) {
    PyObject* dict = PyDict_New();
    if (dict == nullptr) return nullptr;
    for (Py_ssize_t at = 0; at < size; ++at) {
      PyObject* key = read_key(depth + 1);
      PyObject* item = key == nullptr ? nullptr : read(depth + 1);
      const bool is_stored = item != nullptr && put(dict, key, item);
      Py_XDECREF(item);
      Py_XDECREF(key);
      if (!is_stored) {
        Py_DECREF(dict);
        return nullptr;
      }
    }
    if (PyDict_GET_SIZE(dict) == size) return dict;
    Py_DECREF(dict);
    return fail("a dict has a key twice");
  }

  PyObject* read_key(int depth) {
    std::uint8_t first;
    const char* ascii;
    ByteReader ahead = reader_;
    if (ahead.byte(&first) && first >= mark::kShortStr && first < mark::kShortTuple) {
      const std::size_t size = first & (mark::kShortStrs - 1);
      if (ahead.take(size, &ascii) && is_ascii(ascii, size)) {
        reader_ = ahead;
        return known_keys.find(ascii, size);
      }
    }
    return read(depth);
  }

  bool put(PyObject* dict, PyObject* key, PyObject* item) {
    if (PyDict_SetItem(dict, key, item) == 0) return true;
    or_failure(nullptr);
    return false;
  }

  PyObject* read_set(std::uint8_t mark, Py_ssize_t size, int depth) {
    PyObject* set = mark == mark::kSet ? PySet_New(nullptr) : PyFrozenSet_New(nullptr);
    if (set == nullptr) return nullptr;
    for (Py_ssize_t at = 0; at < size; ++at) {
      PyObject* member = read(depth + 1);
      const bool is_added = member != nullptr && PySet_Add(set, member) == 0;
      if (member != nullptr && !is_added) or_failure(nullptr);
      Py_XDECREF(member);
      if (!is_added) {
        Py_DECREF(set);
        return nullptr;
      }
    }
    if (PySet_GET_SIZE(set) == size) return set;
    Py_DECREF(set);
    return fail("a set has a member twice");
  }

  PyObject* read_range(int depth) {
    PyObject* bounds = read_tuple(3, depth);
    if (bounds == nullptr) return nullptr;
    PyObject* range = PyObject_Call(reinterpret_cast<PyObject*>(&PyRange_Type), bounds, nullptr);
    Py_DECREF(bounds);
    return or_failure(range);
  }

  PyObject* read_time_value(std::uint8_t mark, int depth) {
    TimeFields fields;
    if (!read_time(reader_, mark, &fields)) return ends_early();
    PyObject* follower = nullptr;
    if (has_follower(mark)) {
      follower = read(depth + 1);
      if (follower == nullptr) return nullptr;
    }
    PyObject* value = make_time(mark, fields, follower);
    Py_XDECREF(follower);
    return or_failure(value);
  }

  PyObject* read_object(int depth) {
    std::uint8_t kind;
    std::size_t size;
    if (!reader_.byte(&kind) || !reader_.count(&size) || size > items_left_) return ends_early();
    items_left_ -= size;
    PyObject* parts = read_tuple(static_cast<Py_ssize_t>(size), depth);
    if (parts == nullptr) return nullptr;
    PyObject* put_together = codec_helper("put_together");
    PyObject* value =
        put_together == nullptr
            ? nullptr
            : PyObject_CallFunction(put_together, "iOO", static_cast<int>(kind), parts, registry_);
    Py_XDECREF(put_together);
    Py_DECREF(parts);
    return or_failure(value);
  }

  PyObject* ends_early() { return fail("they end too early"); }
  PyObject* too_deep() { return fail("they are nested too deep"); }

  PyObject* fail(const char* reason) {
    PyErr_Format(serialization_error_type, "the bytes are no value of this process: %s (byte %zu)",
                 reason, reader_.position());
    return nullptr;
  }

  // The value; in the place of nullptr and an error, SerializationError because of that error.
  // What is no Exception (KeyboardInterrupt, SystemExit) passes, and so does MemoryError.
  PyObject* or_failure(PyObject* value) {
    if (value != nullptr || PyErr_ExceptionMatches(PyExc_Exception) == 0 ||
        PyErr_ExceptionMatches(PyExc_MemoryError) != 0 ||
        PyErr_ExceptionMatches(serialization_error_type) != 0) {
      return value;
    }
    PyObject* cause = take_error();
    PyObject* failure = codec_helper("failure");
    PyObject* error = failure == nullptr
                          ? nullptr
                          : PyObject_CallFunction(failure, "On", cause,
                                                  static_cast<Py_ssize_t>(reader_.position()));
    if (error != nullptr) put_error(error);
    Py_XDECREF(failure);
    Py_DECREF(cause);
    return nullptr;
  }

  ByteReader reader_;
  std::size_t items_left_;
  PyObject* const registry_;  // borrowed
};

}  // namespace

PyObject* decode_value(const char* bytes, std::size_t size, PyObject* registry) {
  return Decoder(bytes, size, registry).decode();
}

}  // namespace zoocache::python
