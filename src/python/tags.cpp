#include "python/tags.h"

#include <algorithm>

#include "python/errors.h"

namespace zoocache::python {

bool tag_text(PyObject* object, const char* what, std::string_view* text) {
  if (!PyUnicode_Check(object)) {
    PyErr_Format(PyExc_TypeError, "%s: a tag is a str such as 'user:42', not %.80R (%.80s)", what,
                 object, Py_TYPE(object)->tp_name);
    return false;
  }
  Py_ssize_t size = 0;
  const char* utf8 = PyUnicode_AsUTF8AndSize(object, &size);
  if (utf8 == nullptr) {
    PyErr_Clear();
    PyErr_Format(invalid_tag_type,
                 "invalid tag %.80A: lone surrogates are not allowed; encode it with tag()",
                 object);
    return false;
  }
  *text = {utf8, static_cast<std::size_t>(size)};
  return true;
}

bool checked_tag_text(PyObject* object, const char* what, std::size_t max_length,
                      std::string_view* text) {
  return tag_text(object, what, text) && guarded([&] { core::check_tag(*text, max_length); });
}

std::span<PyObject* const> plain_tags(PyObject* const& object) {
  std::span<PyObject* const> items(&object, 1);
  if (PyList_CheckExact(object)) {
    items = {reinterpret_cast<PyListObject*>(object)->ob_item,
             static_cast<std::size_t>(PyList_GET_SIZE(object))};
  } else if (PyTuple_CheckExact(object)) {
    items = {reinterpret_cast<PyTupleObject*>(object)->ob_item,
             static_cast<std::size_t>(PyTuple_GET_SIZE(object))};
  }
  const bool plain = std::all_of(items.begin(), items.end(),
                                 [](PyObject* item) { return PyUnicode_CheckExact(item) != 0; });
  return plain ? items : std::span<PyObject* const>();
}

namespace {

bool read_tag(PyObject* object, const char* what, std::size_t max_length,
              std::vector<std::string>* tags) {
  std::string_view text;
  if (!checked_tag_text(object, what, max_length, &text)) return false;
  return guarded([&] { tags->emplace_back(text); });
}

}  // namespace

bool read_tags(PyObject* object, const char* what, std::size_t max_length,
               std::vector<std::string>* tags) {
  if (PyUnicode_Check(object)) return read_tag(object, what, max_length, tags);
  PyObject* iterator = PyObject_GetIter(object);
  if (iterator == nullptr) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) return false;
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "%s: a tag or an iterable of tags is wanted, not %.80R (%.80s)",
                 what, object, Py_TYPE(object)->tp_name);
    return false;
  }
  bool good = true;
  while (good) {
    PyObject* item = PyIter_Next(iterator);
    if (item == nullptr) break;
    good = read_tag(item, what, max_length, tags);
    Py_DECREF(item);
  }
  Py_DECREF(iterator);
  return good && PyErr_Occurred() == nullptr;
}

}  // namespace zoocache::python
