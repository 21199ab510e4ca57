#include "python/binding.h"

#include <algorithm>

namespace zoocache::python {
namespace {

struct Keyword {
  PyObject* name;   // borrowed
  PyObject* value;  // borrowed
};

// One call, split by parameter; all references are borrowed.
class SplitCall {
 public:
  SplitCall() = default;
  ~SplitCall() {
    if (values_ != inline_) PyMem_Free(values_);
    PyMem_Free(extra_keywords_);
  }
  SplitCall(const SplitCall&) = delete;
  SplitCall& operator=(const SplitCall&) = delete;

  BindResult split(const Signature& signature, PyObject* const* args, Py_ssize_t count,
                   PyObject* kwnames) {
    if (!allocate(signature.size())) return kBindError;
    const Py_ssize_t taken = std::min(count, signature.positional_count());
    std::copy(args, args + taken, values_);
    if (count > taken) {
      if (signature.var_positional() < 0) return kBadCall;
      extra_ = args + taken;
      extra_count_ = count - taken;
    }
    if (kwnames != nullptr) {
      const BindResult result = split_keywords(signature, args + count, kwnames);
      if (result != kBound) return result;
    }
    return fill_defaults(signature);
  }

  PyObject* value(Py_ssize_t index) const { return values_[index]; }

  // New reference to `*args`.
  PyObject* extra_tuple() const {
    PyObject* tuple = PyTuple_New(extra_count_);
    if (tuple == nullptr) return nullptr;
    for (Py_ssize_t i = 0; i < extra_count_; ++i) {
      PyTuple_SET_ITEM(tuple, i, Py_NewRef(extra_[i]));
    }
    return tuple;
  }

  // New reference to `**kwargs` as the function sees it.
  PyObject* extra_dict() const {
    PyObject* dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != nullptr && i < extra_keyword_count_; ++i) {
      if (PyDict_SetItem(dict, extra_keywords_[i].name, extra_keywords_[i].value) < 0) {
        Py_CLEAR(dict);
      }
    }
    return dict;
  }

  // New reference to (name, value, name, value ...) ordered by name.
  PyObject* extra_pairs() {
    std::sort(extra_keywords_, extra_keywords_ + extra_keyword_count_,
              [](const Keyword& left, const Keyword& right) {
                return PyUnicode_Compare(left.name, right.name) < 0;
              });
    PyObject* tuple = PyTuple_New(2 * extra_keyword_count_);
    if (tuple == nullptr) return nullptr;
    for (Py_ssize_t i = 0; i < extra_keyword_count_; ++i) {
      PyObject* name = PyUnicode_FromObject(extra_keywords_[i].name);  // exactly a str
      if (name == nullptr) {
        Py_DECREF(tuple);
        return nullptr;
      }
      PyTuple_SET_ITEM(tuple, 2 * i, name);
      PyTuple_SET_ITEM(tuple, 2 * i + 1, Py_NewRef(extra_keywords_[i].value));
    }
    return tuple;
  }

 private:
  static constexpr Py_ssize_t kInline = 16;

  bool allocate(Py_ssize_t size) {
    if (size > kInline) {
      values_ =
          static_cast<PyObject**>(PyMem_Malloc(static_cast<size_t>(size) * sizeof(PyObject*)));
      if (values_ == nullptr) {
        values_ = inline_;
        PyErr_NoMemory();
        return false;
      }
    }
    std::fill(values_, values_ + size, nullptr);
    return true;
  }

  BindResult split_keywords(const Signature& signature, PyObject* const* values,
                            PyObject* kwnames) {
    const Py_ssize_t count = PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* name = PyTuple_GET_ITEM(kwnames, i);
      if (!PyUnicode_Check(name)) return kBadCall;
      const Py_ssize_t index = find(signature, name);
      if (index >= 0) {
        if (values_[index] != nullptr) return kBadCall;
        values_[index] = values[i];
        continue;
      }
      if (signature.var_keyword() < 0) return kBadCall;
      if (!push_extra_keyword(name, values[i], count)) return kBindError;
    }
    return kBound;
  }

  bool push_extra_keyword(PyObject* name, PyObject* value, Py_ssize_t capacity) {
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(name) < 0) return false;
#endif
    if (extra_keywords_ == nullptr) {
      extra_keywords_ =
          static_cast<Keyword*>(PyMem_Malloc(static_cast<size_t>(capacity) * sizeof(Keyword)));
      if (extra_keywords_ == nullptr) {
        PyErr_NoMemory();
        return false;
      }
    }
    extra_keywords_[extra_keyword_count_++] = {name, value};
    return true;
  }

  // The parameter that a keyword can name, or -1.
  static Py_ssize_t find(const Signature& signature, PyObject* name) {
    const Parameter* parameters = signature.parameters();
    const Py_ssize_t size = signature.size();
    const auto is_named = [&](Py_ssize_t i) {
      return parameters[i].kind == ParameterKind::kPositional ||
             parameters[i].kind == ParameterKind::kKeywordOnly;
    };
    for (Py_ssize_t i = signature.positional_only_count(); i < size; ++i) {
      if (parameters[i].name == name && is_named(i)) return i;
    }
    const bool exact = PyUnicode_CheckExact(name);
    for (Py_ssize_t i = signature.positional_only_count(); i < size; ++i) {
      if (!is_named(i)) continue;
      if (exact ? str_equal(parameters[i].name, name)
                : PyUnicode_Compare(parameters[i].name, name) == 0) {
        return i;
      }
    }
    return -1;
  }

  BindResult fill_defaults(const Signature& signature) {
    for (Py_ssize_t i = 0; i < signature.size(); ++i) {
      const Parameter& parameter = signature.parameters()[i];
      if (values_[i] != nullptr || parameter.kind == ParameterKind::kVarPositional ||
          parameter.kind == ParameterKind::kVarKeyword) {
        continue;
      }
      values_[i] = parameter.default_value;
      if (values_[i] == nullptr) return kBadCall;
    }
    return kBound;
  }

  PyObject* inline_[kInline];
  PyObject** values_ = inline_;
  PyObject* const* extra_ = nullptr;
  Py_ssize_t extra_count_ = 0;
  Keyword* extra_keywords_ = nullptr;
  Py_ssize_t extra_keyword_count_ = 0;
};

// New reference to the item of one parameter.
PyObject* item_of(const Signature& signature, SplitCall& call, Py_ssize_t index) {
  const Parameter& parameter = signature.parameters()[index];
  PyObject* whole = nullptr;
  if (parameter.kind == ParameterKind::kVarPositional) {
    whole = call.extra_tuple();
  } else if (parameter.kind == ParameterKind::kVarKeyword) {
    whole = call.extra_pairs();
  } else {
    PyObject* value = call.value(index);
    const bool as_it_is = (index == 0 && signature.has_instance()) || is_plain(value);
    return as_it_is ? Py_NewRef(value) : freeze(value, parameter.name);
  }
  if (whole == nullptr || is_plain(whole)) return whole;
  PyObject* item = freeze(whole, parameter.name);
  Py_DECREF(whole);
  return item;
}

// New reference to one parameter's value as the function sees it.
PyObject* value_of(const Signature& signature, const SplitCall& call, Py_ssize_t index) {
  switch (signature.parameters()[index].kind) {
    case ParameterKind::kVarPositional:
      return call.extra_tuple();
    case ParameterKind::kVarKeyword:
      return call.extra_dict();
    default:
      return Py_NewRef(call.value(index));
  }
}

BindResult bind_key(const Signature& signature, PyObject* const* args, Py_ssize_t count,
                    PyObject* kwnames, BoundArguments* bound) {
  PyObject* result =
      PyObject_Vectorcall(signature.key(), args, static_cast<size_t>(count), kwnames);
  if (result == nullptr) return kBindError;
  PyObject* item = freeze(result, nullptr);
  Py_DECREF(result);
  if (item == nullptr) return kBindError;
  if (bound->reserve(1) < 0) {
    Py_DECREF(item);
    return kBindError;
  }
  bound->push(item);
  return kBound;
}

}  // namespace

int BoundArguments::reserve(Py_ssize_t capacity) {
  if (capacity <= kInline) {
    owned_ = inline_;
  } else {
    owned_ =
        static_cast<PyObject**>(PyMem_Malloc(static_cast<size_t>(capacity) * sizeof(PyObject*)));
    if (owned_ == nullptr) {
      PyErr_NoMemory();
      return -1;
    }
  }
  items = owned_;
  return 0;
}

bool BoundArguments::append(PyObject* item) {
  BoundArguments more;
  if (more.reserve(size + 1) < 0) {
    Py_DECREF(item);
    return false;
  }
  for (Py_ssize_t i = 0; i < size; ++i) more.push(Py_NewRef(items[i]));
  more.push(item);
  clear();
  // What is inline moves, what is allocated changes hands.
  owned_count_ = size = more.owned_count_;
  if (more.owned_ == more.inline_) {
    std::copy(more.inline_, more.inline_ + size, inline_);
    owned_ = inline_;
  } else {
    owned_ = more.owned_;
  }
  items = owned_;
  more.owned_ = nullptr;
  return true;
}

void BoundArguments::drop() {
  // Emptied first: dropping the last reference to an item may run any code.
  PyObject** owned = owned_;
  const Py_ssize_t count = owned_count_;
  owned_ = nullptr;
  owned_count_ = 0;
  for (Py_ssize_t i = 0; i < count; ++i) Py_DECREF(owned[i]);
  if (owned != inline_) PyMem_Free(owned);
}

int Signature::load(PyObject* data) {
  PyObject* names;
  PyObject* kinds;
  PyObject* defaults;
  PyObject* ignored;
  PyObject* key;
  int is_method;
  if (!PyArg_ParseTuple(data, "O!O!O!O!Op:Signature", &PyTuple_Type, &names, &PyTuple_Type, &kinds,
                        &PyTuple_Type, &defaults, &PyTuple_Type, &ignored, &key, &is_method)) {
    return -1;
  }
  if (load_parameters(names, kinds, defaults, ignored) < 0) {
    clear();
    return -1;
  }
  bool plain_list = true;
  for (Py_ssize_t i = 0; i < size_; ++i) {
    const Parameter& parameter = parameters_[i];
    if (!parameter.ignored) ++item_count_;
    if (parameter.ignored || parameter.kind > ParameterKind::kPositional) plain_list = false;
  }
  has_instance_ = is_method != 0 && key == Py_None && size_ > 0 && !parameters_[0].ignored;
  is_direct_ = plain_list && key == Py_None;
  if (key != Py_None) {
    key_ = Py_NewRef(key);
    item_count_ = 1;
  }
  return 0;
}

int Signature::load_parameters(PyObject* names, PyObject* kinds, PyObject* defaults,
                               PyObject* ignored) {
  const Py_ssize_t size = PyTuple_GET_SIZE(names);
  if (PyTuple_GET_SIZE(kinds) != size || PyTuple_GET_SIZE(defaults) != size ||
      PyTuple_GET_SIZE(ignored) != size) {
    PyErr_SetString(PyExc_SystemError, "a signature's tuples differ in length");
    return -1;
  }
  if (size == 0) return 0;
  parameters_ = static_cast<Parameter*>(PyMem_Calloc(static_cast<size_t>(size), sizeof(Parameter)));
  if (parameters_ == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (load_parameter(i, PyTuple_GET_ITEM(names, i), PyTuple_GET_ITEM(kinds, i),
                       PyTuple_GET_ITEM(defaults, i)) < 0) {
      return -1;
    }
    parameters_[i].ignored = PyTuple_GET_ITEM(ignored, i) == Py_True;
  }
  return 0;
}

int Signature::load_parameter(Py_ssize_t index, PyObject* name, PyObject* kind,
                              PyObject* default_cell) {
  const long number = PyLong_AsLong(kind);
  if (number == -1 && PyErr_Occurred() != nullptr) return -1;
  const bool cell = PyTuple_CheckExact(default_cell) && PyTuple_GET_SIZE(default_cell) == 1;
  if (!PyUnicode_CheckExact(name) || number < 0 || number > 4 ||
      (!cell && default_cell != Py_None)) {
    PyErr_SetString(PyExc_SystemError, "a signature's parameter is malformed");
    return -1;
  }
  Parameter& parameter = parameters_[index];
  parameter.name = Py_NewRef(name);
  PyUnicode_InternInPlace(&parameter.name);
  if (cell) parameter.default_value = Py_NewRef(PyTuple_GET_ITEM(default_cell, 0));
  parameter.kind = static_cast<ParameterKind>(number);
  size_ = index + 1;
  switch (parameter.kind) {
    case ParameterKind::kPositionalOnly:
      ++positional_only_count_;
      ++positional_count_;
      break;
    case ParameterKind::kPositional:
      ++positional_count_;
      break;
    case ParameterKind::kVarPositional:
      var_positional_ = index;
      break;
    case ParameterKind::kKeywordOnly:
      break;
    case ParameterKind::kVarKeyword:
      var_keyword_ = index;
      break;
  }
  return 0;
}

int Signature::traverse(visitproc visit, void* arg) const {
  Py_VISIT(key_);
  for (Py_ssize_t i = 0; i < size_; ++i) Py_VISIT(parameters_[i].default_value);
  return older_ == nullptr ? 0 : older_->traverse(visit, arg);
}

void Signature::clear() {
  Parameter* parameters = parameters_;
  const Py_ssize_t size = size_;
  parameters_ = nullptr;
  size_ = 0;
  is_direct_ = false;
  Py_CLEAR(key_);
  for (Py_ssize_t i = 0; i < size; ++i) {
    Py_DECREF(parameters[i].name);
    Py_XDECREF(parameters[i].default_value);
  }
  PyMem_Free(parameters);
}

BindResult bind_slow(const Signature& signature, PyObject* const* args, Py_ssize_t count,
                     PyObject* kwnames, BoundArguments* bound) {
  if (signature.key() != nullptr) return bind_key(signature, args, count, kwnames, bound);
  SplitCall call;
  const BindResult result = call.split(signature, args, count, kwnames);
  if (result != kBound) return result;
  if (bound->reserve(signature.item_count()) < 0) return kBindError;
  for (Py_ssize_t i = 0; i < signature.size(); ++i) {
    if (signature.parameters()[i].ignored) continue;
    PyObject* item = item_of(signature, call, i);
    if (item == nullptr) {
      bound->clear();
      return kBindError;
    }
    bound->push(item);
  }
  return kBound;
}

BindResult bind_values(const Signature& signature, PyObject* const* args, size_t nargsf,
                       PyObject* kwnames, BoundArguments* bound) {
  SplitCall call;
  const BindResult result = call.split(signature, args, PyVectorcall_NARGS(nargsf), kwnames);
  if (result != kBound) return result;
  if (bound->reserve(signature.size()) < 0) return kBindError;
  for (Py_ssize_t i = 0; i < signature.size(); ++i) {
    PyObject* value = value_of(signature, call, i);
    if (value == nullptr) {
      bound->clear();
      return kBindError;
    }
    bound->push(value);
  }
  return kBound;
}

}  // namespace zoocache::python
