// Python objects -> checked tags. A bare str is one tag everywhere.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/tag.h"

namespace zoocache::python {

// The UTF-8 of a str, valid as long as the str. False with TypeError (not a str; `what` names the
// place it came from) or InvalidTag (lone surrogates).
bool tag_text(PyObject* object, const char* what, std::string_view* text);

// Checks every tag of `object`: a str, or an iterable of them; nothing is kept on failure.
// False with TypeError, InvalidTag, or what iterating raised. Runs user code when it iterates.
bool read_tags(PyObject* object, const char* what, std::size_t max_length,
               std::vector<std::string>* tags);

}  // namespace zoocache::python
