// Python objects -> checked tags. A bare str is one tag everywhere.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tag.h"

namespace zoocache::python {

// The UTF-8 of a str, valid as long as the str. False with TypeError (not a str; `what` names the
// place it came from) or InvalidTag (lone surrogates).
bool tag_text(PyObject* object, const char* what, std::string_view* text);

// The same, checked. False also with InvalidTag for what breaks another rule.
bool checked_tag_text(PyObject* object, const char* what, std::size_t max_length,
                      std::string_view* text);

// Checks every tag of `object`: a str, or an iterable of them; nothing is kept on failure.
// False with TypeError, InvalidTag, or what iterating raised. Runs user code when it iterates.
bool read_tags(PyObject* object, const char* what, std::size_t max_length,
               std::vector<std::string>* tags);

// The same without copies for what is usual: a str, or a list or tuple of them. Empty if `object`
// is something else. No user's code runs as long as they are exactly strs.
std::span<PyObject* const> plain_tags(PyObject* const& object);

// Checks every tag of `object` as read_tags does, then gives each to `add(text)`.
template <class Add>
bool add_tags(PyObject* object, const char* what, std::size_t max_length, Add&& add) {
  const std::span<PyObject* const> plain = plain_tags(object);
  if (plain.empty()) {
    std::vector<std::string> read;
    if (!read_tags(object, what, max_length, &read)) return false;
    for (const std::string& tag : read) add(tag);
    return true;
  }
  std::string_view text;
  for (PyObject* tag : plain) {
    if (!checked_tag_text(tag, what, max_length, &text)) return false;
  }
  for (PyObject* tag : plain) {
    if (plain.size() > 1) tag_text(tag, what, &text);
    add(text);
  }
  return true;
}

}  // namespace zoocache::python
