// The walk that writes a value.
//
// Taking an object apart runs code of its class, which may change the containers around it, so
// everything that is held over it has a reference, and every container is counted at its end.
#include <Python.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "python/errors.h"
#include "python/frozen.h"
#include "python/value_bytes.h"
#include "python/value_codec.h"
#include "python/value_times.h"

namespace zoocache::python {
namespace {

// How the walk came to a value. The steps lie on the walk's own stack; they are read only to name
// the path in an error.
enum class StepKind : std::uint8_t { kRoot, kIndex, kKey, kValueOf, kMember, kPart };

struct Step {
  const Step* outer;
  StepKind kind;
  int depth;
  Py_ssize_t index;  // kIndex, kPart
  PyObject* label;   // kKey, kValueOf: the key; kPart: the names of the last parts; borrowed
};

class Encoder {
 public:
  Encoder(PyObject* registry, bool canonical)
      : registry_(registry), canonical_(canonical), writer_(kMaxValueBytes) {}

  PyObject* encode(PyObject* value) {
    const Step root{nullptr, StepKind::kRoot, 0, 0, nullptr};
    if (write(value, root)) {
      return PyBytes_FromStringAndSize(writer_.data(), static_cast<Py_ssize_t>(writer_.size()));
    }
    if (PyErr_Occurred() == nullptr && writer_.is_too_large()) {
      refuse(value, root, "its encoding has more than %zu bytes", kMaxValueBytes);
    } else if (PyErr_Occurred() == nullptr) {
      PyErr_NoMemory();
    }
    return nullptr;
  }

 private:
  // In all of these: false with an error set, or because of the writer.
  bool write(PyObject* value, const Step& step) {
    const PyTypeObject* type = Py_TYPE(value);
    if (type == &PyUnicode_Type) return write_str(value);
    if (type == &PyLong_Type) return write_int(value);
    if (value == Py_None) return writer_.byte(mark::kNone);
    if (value == Py_True) return writer_.byte(mark::kTrue);
    if (value == Py_False) return writer_.byte(mark::kFalse);
    if (type == &PyFloat_Type) {
      return writer_.byte(mark::kFloat) && writer_.real(PyFloat_AS_DOUBLE(value));
    }
    if (type == &PyBytes_Type) {
      return write_run(mark::kBytes, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    }
    if (type == &PyByteArray_Type) {
      return write_run(mark::kByteArray, PyByteArray_AS_STRING(value), PyByteArray_GET_SIZE(value));
    }
    if (type == &PyComplex_Type) {
      const Py_complex number = reinterpret_cast<PyComplexObject*>(value)->cval;
      return writer_.byte(mark::kComplex) && writer_.real(number.real) && writer_.real(number.imag);
    }
    if (step.depth >= kMaxValueDepth) {
      return refuse(value, step, "it is nested more than %d levels deep, or contains itself",
                    kMaxValueDepth);
    }
    if (type == &PyDict_Type) return write_dict(value, step);
    if (type == &PyList_Type) return write_list(value, step);
    if (type == &PyTuple_Type) return write_tuple(value, step);
    if (type == &PySet_Type) return write_set(mark::kSet, value, step);
    if (type == &PyFrozenSet_Type) return write_set(mark::kFrozenSet, value, step);
    if (type == &PyRange_Type) return write_range(value, step);
    if (canonical_ && is_frozen(value)) return write_frozen(value, step);
    return write_other(value, step);
  }

  bool write_run(std::uint8_t mark, const char* bytes, Py_ssize_t size) {
    return writer_.byte(mark) && writer_.count(static_cast<std::size_t>(size)) &&
           writer_.append(bytes, static_cast<std::size_t>(size));
  }

  bool write_text(const char* utf8, Py_ssize_t size) {
    const auto bytes = static_cast<std::size_t>(size);
    return writer_.marked_count(mark::kShortStr, mark::kShortStrs, mark::kStr, bytes) &&
           writer_.append(utf8, bytes);
  }

  // Others are encoded into bytes of their own: asking a str for its UTF-8 makes it keep that.
  bool write_str(PyObject* value) {
    if (PyUnicode_IS_COMPACT_ASCII(value)) {
      return write_text(static_cast<const char*>(PyUnicode_DATA(value)),
                        PyUnicode_GET_LENGTH(value));
    }
    PyObject* utf8 = PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass");
    if (utf8 == nullptr) return false;
    const bool good = write_text(PyBytes_AS_STRING(utf8), PyBytes_GET_SIZE(utf8));
    Py_DECREF(utf8);
    return good;
  }

  bool write_int(PyObject* value) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) return write_big_int(value);
    if (number >= 0 && number < mark::kShortStr) {
      return writer_.byte(static_cast<std::uint8_t>(number));
    }
    if (number == static_cast<std::int8_t>(number)) {
      return writer_.byte(mark::kInt1) && writer_.number(static_cast<std::uint8_t>(number));
    }
    if (number == static_cast<std::int16_t>(number)) {
      return writer_.byte(mark::kInt2) && writer_.number(static_cast<std::uint16_t>(number));
    }
    if (number == static_cast<std::int32_t>(number)) {
      return writer_.byte(mark::kInt4) && writer_.number(static_cast<std::uint32_t>(number));
    }
    return writer_.byte(mark::kInt8) && writer_.number(static_cast<std::uint64_t>(number));
  }

  bool write_big_int(PyObject* value) {
    const std::size_t size = _PyLong_NumBits(value) / 8 + 1;  // with room for the sign
    PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
    if (bytes == nullptr) return false;
    auto* digits = reinterpret_cast<unsigned char*>(PyBytes_AS_STRING(bytes));
    auto* number = reinterpret_cast<PyLongObject*>(value);
#if PY_VERSION_HEX >= 0x030D0000
    const int failed = _PyLong_AsByteArray(number, digits, size, 1, 1, 1);
#else
    const int failed = _PyLong_AsByteArray(number, digits, size, 1, 1);
#endif
    const bool good =
        failed == 0 && write_run(mark::kBigInt, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return good;
  }

  // REQUIRES: the item stays alive without this reference until it is taken.
  bool write_item(PyObject* item, const Step& outer, StepKind kind, Py_ssize_t index,
                  PyObject* label) {
    Py_INCREF(item);
    const bool good = write(item, {&outer, kind, outer.depth + 1, index, label});
    Py_DECREF(item);
    return good;
  }

  bool write_tuple(PyObject* value, const Step& step) {
    const Py_ssize_t size = PyTuple_GET_SIZE(value);
    if (!writer_.marked_count(mark::kShortTuple, mark::kShortContainers, mark::kTuple,
                              static_cast<std::size_t>(size))) {
      return false;
    }
    for (Py_ssize_t at = 0; at < size; ++at) {
      if (!write_item(PyTuple_GET_ITEM(value, at), step, StepKind::kIndex, at, nullptr)) {
        return false;
      }
    }
    return true;
  }

  bool write_list(PyObject* value, const Step& step) {
    const Py_ssize_t size = PyList_GET_SIZE(value);
    if (!writer_.marked_count(mark::kShortList, mark::kShortContainers, mark::kList,
                              static_cast<std::size_t>(size))) {
      return false;
    }
    for (Py_ssize_t at = 0; at < size && at < PyList_GET_SIZE(value); ++at) {
      if (!write_item(PyList_GET_ITEM(value, at), step, StepKind::kIndex, at, nullptr)) {
        return false;
      }
    }
    return PyList_GET_SIZE(value) == size || changed(value, step);
  }

  bool write_dict(PyObject* value, const Step& step) {
    const Py_ssize_t size = PyDict_GET_SIZE(value);
    if (!writer_.marked_count(mark::kShortDict, mark::kShortContainers, mark::kDict,
                              static_cast<std::size_t>(size))) {
      return false;
    }
    PyObject* key;
    PyObject* item;
    Py_ssize_t pairs = 0;
    for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item); ++pairs) {
      if (pairs == size) return changed(value, step);
      Py_INCREF(key);
      Py_INCREF(item);
      const bool good = write_item(key, step, StepKind::kKey, 0, key) &&
                        write_item(item, step, StepKind::kValueOf, 0, key);
      Py_DECREF(item);
      Py_DECREF(key);
      if (!good) return false;
    }
    return (pairs == size && PyDict_GET_SIZE(value) == size) || changed(value, step);
  }

  bool write_set(std::uint8_t mark, PyObject* value, const Step& step) {
    PyObject* members = PySequence_Tuple(value);
    if (members == nullptr) return refuse_for_error(value, step);
    const Py_ssize_t size = PyTuple_GET_SIZE(members);
    PyObject* const* items = reinterpret_cast<PyTupleObject*>(members)->ob_item;
    const bool good = writer_.byte(mark) && writer_.count(static_cast<std::size_t>(size)) &&
                      write_members(items, size, StepKind::kMember, canonical_, step);
    Py_DECREF(members);
    return good;
  }

  bool write_members(PyObject* const* items, Py_ssize_t size, StepKind kind, bool sorted,
                     const Step& step) {
    const std::size_t start = writer_.size();
    const auto count = static_cast<std::size_t>(size);
    auto* const ends =
        sorted ? static_cast<std::size_t*>(std::malloc((count + 1) * sizeof(std::size_t)))
               : nullptr;
    bool good = !sorted || ends != nullptr;
    for (Py_ssize_t at = 0; good && at < size; ++at) {
      good = write_item(items[at], step, kind, at, nullptr);
      if (sorted) ends[at] = writer_.size();
    }
    if (good && sorted) good = sort_members(start, ends, count);
    std::free(ends);
    return good;
  }

  // Brings the members that lie behind each other from `start` on into the order of their bytes.
  bool sort_members(std::size_t start, const std::size_t* ends, std::size_t size) {
    if (size < 2) return true;
    try {
      std::vector<std::string_view> members;
      members.reserve(size);
      std::size_t from = start;
      for (std::size_t at = 0; at < size; ++at) {
        members.emplace_back(writer_.data() + from, ends[at] - from);
        from = ends[at];
      }
      std::sort(members.begin(), members.end());
      std::string sorted;
      sorted.reserve(from - start);
      for (const std::string_view member : members) sorted += member;
      writer_.rewrite(start, sorted.data());
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  bool write_range(PyObject* value, const Step& step) {
    if (!writer_.byte(mark::kRange)) return false;
    for (const char* name : {"start", "stop", "step"}) {
      PyObject* bound = PyObject_GetAttrString(value, name);
      if (bound == nullptr) return false;
      // A bound is what was given, which need not be an int itself.
      const bool good = write_item(bound, step, StepKind::kRoot, 0, nullptr);
      Py_DECREF(bound);
      if (!good) return false;
    }
    return true;
  }

  bool write_frozen(PyObject* value, const Step& step) {
    auto* frozen = reinterpret_cast<Frozen*>(value);
    PyObject* key_class = codec_helper("key_class");
    if (key_class == nullptr) return false;
    PyObject* name = PyObject_CallOneArg(key_class, reinterpret_cast<PyObject*>(frozen->type));
    Py_DECREF(key_class);
    if (name == nullptr) return refuse_for_error(value, step);
    const Py_ssize_t size = Py_SIZE(frozen);
    const bool good = writer_.byte(mark::kFrozen) && write_str(name) &&
                      writer_.byte(frozen->unordered ? 1 : 0) &&
                      writer_.count(static_cast<std::size_t>(size));
    Py_DECREF(name);
    return good && write_members(frozen->items, size, StepKind::kIndex, frozen->unordered, step);
  }

  bool write_other(PyObject* value, const Step& step) {
    const std::uint8_t time = mark_of_time(value);
    if (time == 0) return PyErr_Occurred() == nullptr && write_object(value, step);
    PyObject* follower = nullptr;
    bool good = writer_.byte(time) && write_time(writer_, time, value, &follower);
    if (good && follower != nullptr) {
      static PyObject* labels = nullptr;
      if (labels == nullptr) labels = Py_BuildValue("(s)", "tzinfo");
      good = labels != nullptr && write_item(follower, step, StepKind::kPart, 0, labels);
    }
    Py_XDECREF(follower);
    return good;
  }

  // An object is a kind, which becomes one byte, and parts, which are values. The last parts have
  // names for users.
  bool write_object(PyObject* value, const Step& step) {
    PyObject* take_apart = codec_helper("take_apart");
    if (take_apart == nullptr) return false;
    PyObject* taken = PyObject_CallFunctionObjArgs(take_apart, value, registry_, nullptr);
    Py_DECREF(take_apart);
    if (taken == nullptr) return refuse_for_error(value, step);
    int kind;
    PyObject* parts;
    PyObject* labels;
    bool good = PyArg_ParseTuple(taken, "iO!O!:take_apart", &kind, &PyTuple_Type, &parts,
                                 &PyTuple_Type, &labels) != 0;
    const Py_ssize_t size = good ? PyTuple_GET_SIZE(parts) : 0;
    const Py_ssize_t unnamed = good ? size - PyTuple_GET_SIZE(labels) : 0;
    good = good && writer_.byte(mark::kObject) && writer_.byte(static_cast<std::uint8_t>(kind)) &&
           writer_.count(static_cast<std::size_t>(size));
    for (Py_ssize_t at = 0; good && at < size; ++at) {
      good = write_item(PyTuple_GET_ITEM(parts, at), step, StepKind::kPart, at - unnamed, labels);
    }
    Py_DECREF(taken);
    return good;
  }

  // The steps from the whole value to this one: a list of (kind, label) for refusal().
  static PyObject* path_to(const Step& step) {
    PyObject* path = PyList_New(0);
    for (const Step* at = &step; path != nullptr && at != nullptr; at = at->outer) {
      PyObject* one = step_for_python(*at);
      if (one == nullptr || PyList_Append(path, one) != 0) Py_CLEAR(path);
      Py_XDECREF(one);
    }
    if (path != nullptr && PyList_Reverse(path) != 0) Py_CLEAR(path);
    return path;
  }

  static PyObject* step_for_python(const Step& step) {
    switch (step.kind) {
      case StepKind::kIndex:
        return Py_BuildValue("(sn)", "index", step.index);
      case StepKind::kKey:
        return Py_BuildValue("(sO)", "key", step.label);
      case StepKind::kValueOf:
        return Py_BuildValue("(sO)", "value", step.label);
      case StepKind::kMember:
        return Py_BuildValue("(sO)", "member", Py_None);
      case StepKind::kPart:
        if (step.index < 0) break;
        return Py_BuildValue("(sO)", "name", PyTuple_GET_ITEM(step.label, step.index));
      case StepKind::kRoot:
        break;
    }
    return Py_BuildValue("(sO)", "root", Py_None);
  }

  // Raises SerializationError for the value; steals the reference to the reason, a str or the
  // exception that was raised.
  static bool raise_for(PyObject* value, const Step& step, PyObject* reason) {
    PyObject* path = reason == nullptr ? nullptr : path_to(step);
    PyObject* refusal = path == nullptr ? nullptr : codec_helper("refusal");
    PyObject* error = refusal == nullptr
                          ? nullptr
                          : PyObject_CallFunctionObjArgs(refusal, path, value, reason, nullptr);
    if (error != nullptr) put_error(error);
    Py_XDECREF(refusal);
    Py_XDECREF(path);
    Py_XDECREF(reason);
    return false;
  }

  template <class... Arguments>
  static bool refuse(PyObject* value, const Step& step, const char* format,
                     Arguments... arguments) {
    return raise_for(value, step, PyUnicode_FromFormat(format, arguments...));
  }

  static bool changed(PyObject* value, const Step& step) {
    return refuse(value, step, "it changed its size while it was encoded");
  }

  // What is no Exception (KeyboardInterrupt, SystemExit) is no answer, and neither is MemoryError.
  static bool refuse_for_error(PyObject* value, const Step& step) {
    if (PyErr_ExceptionMatches(PyExc_Exception) == 0 ||
        PyErr_ExceptionMatches(PyExc_MemoryError) != 0) {
      return false;
    }
    return raise_for(value, step, take_error());
  }

  PyObject* const registry_;  // borrowed
  const bool canonical_;
  ByteWriter writer_;
};

}  // namespace

PyObject* encode_value(PyObject* value, PyObject* registry, bool canonical) {
  return Encoder(registry, canonical).encode(value);
}

}  // namespace zoocache::python
