// Binding: the arguments of one vectorcall -> key items in parameter order.
//
//   def f(a, b=2, *rest, session, **options)   ignore=("session",)
//   f(1, x=5)                                  items: 1 | 2 | () | ("x", 5)
//
// Promises: calls that Python binds alike give the same items, however the arguments were spelled;
// defaults are filled in; ignored parameters are left out; `*args` is one item and `**kwargs` is
// one, ordered by name. With `key=` there is one item: what it returned for the call's own
// arguments. Of a method, item 0 is the instance as it is, for the caller to key by identity
// (absent when it is ignored or `key=` is given: `has_instance` says so).
// Demands: the GIL; the arguments outlive the BoundArguments.
// Thread-safety: the GIL guards everything; a Signature does not change after `load`.
#pragma once

#include <Python.h>

#include <cstdint>

#include "python/key.h"

namespace zoocache::python {

// As inspect numbers them.
enum class ParameterKind : uint8_t {
  kPositionalOnly = 0,
  kPositional = 1,
  kVarPositional = 2,
  kKeywordOnly = 3,
  kVarKeyword = 4,
};

struct Parameter {
  PyObject* name;           // strong, an interned exact str
  PyObject* default_value;  // strong, or nullptr
  ParameterKind kind;
  bool ignored;
};

class Signature {
 public:
  Signature() = default;
  ~Signature() {
    clear();
    delete older_;
  }
  Signature(const Signature&) = delete;
  Signature& operator=(const Signature&) = delete;

  // Takes what zoocache._signature.analyse returned: (names, kinds, defaults, ignored, key,
  // is_method). REQUIRES: not loaded before. 0, or -1 with a Python error.
  int load(PyObject* data);

  // For the owner's tp_traverse and tp_clear. A cleared signature must not be bound.
  int traverse(visitproc visit, void* arg) const;
  void clear();

  // Takes over the signature that this one replaces: it may be in use further down the stack.
  void keep(Signature* older) { older_ = older; }
  bool has_older() const { return older_ != nullptr; }

  const Parameter* parameters() const { return parameters_; }
  Py_ssize_t size() const { return size_; }
  PyObject* key() const { return key_; }  // borrowed, or nullptr
  // Some arguments, or parts of them, are not in the items: by `key=` or `ignore=`.
  bool leaves_out() const { return key_ != nullptr || item_count_ != size_; }
  // Items per call.
  Py_ssize_t item_count() const { return item_count_; }
  // Item 0 is the instance, neither frozen nor to be hashed.
  bool has_instance() const { return has_instance_; }
  // Exactly size() positional arguments are the items.
  bool is_direct() const { return is_direct_; }
  // One ordinary parameter and nothing else: for the specialised hit path.
  bool is_single() const { return is_direct_ && size_ == 1 && !has_instance_; }

  Py_ssize_t positional_count() const { return positional_count_; }
  Py_ssize_t positional_only_count() const { return positional_only_count_; }
  Py_ssize_t var_positional() const { return var_positional_; }  // index, or -1
  Py_ssize_t var_keyword() const { return var_keyword_; }        // index, or -1

 private:
  int load_parameters(PyObject* names, PyObject* kinds, PyObject* defaults, PyObject* ignored);
  int load_parameter(Py_ssize_t index, PyObject* name, PyObject* kind, PyObject* default_cell);

  Signature* older_ = nullptr;
  Parameter* parameters_ = nullptr;
  Py_ssize_t size_ = 0;
  PyObject* key_ = nullptr;
  Py_ssize_t item_count_ = 0;
  Py_ssize_t positional_count_ = 0;
  Py_ssize_t positional_only_count_ = 0;
  Py_ssize_t var_positional_ = -1;
  Py_ssize_t var_keyword_ = -1;
  bool has_instance_ = false;
  bool is_direct_ = false;
};

// What a binding filled in. `items` refers to the caller's arguments (on the fast path, without
// taking references) or to own strong references, dropped by `clear` and the destructor.
class BoundArguments {
 public:
  BoundArguments() = default;
  ~BoundArguments() { clear(); }
  BoundArguments(const BoundArguments&) = delete;
  BoundArguments& operator=(const BoundArguments&) = delete;

  PyObject* const* items = nullptr;
  Py_ssize_t size = 0;

  void borrow(PyObject* const* arguments, Py_ssize_t count) {
    items = arguments;
    size = count;
  }
  // Room for `capacity` items of its own. REQUIRES: empty. 0, or -1 with MemoryError.
  int reserve(Py_ssize_t capacity);
  // Takes over the reference. REQUIRES: room.
  void push(PyObject* item) {
    owned_[owned_count_++] = item;
    size = owned_count_;
  }
  // One more item, which it takes over, behind those that it has. False with MemoryError.
  bool append(PyObject* item);
  void clear() {
    if (owned_ != nullptr) drop();
    items = nullptr;
    size = 0;
  }

 private:
  static constexpr Py_ssize_t kInline = 8;

  void drop();

  PyObject** owned_ = nullptr;  // inline_, or allocated
  Py_ssize_t owned_count_ = 0;
  PyObject* inline_[kInline];
};

enum BindResult : int {
  kBound = 0,
  kBindError = -1,  // a Python error is set
  kBadCall = 1,     // no error is set: the user's own function shall raise its TypeError
};

// The positional arguments of a vectorcall, as another vectorcall wants their number.
inline size_t argument_count(size_t nargsf) {
  return static_cast<size_t>(PyVectorcall_NARGS(nargsf));
}

// The general case of `bind`.
BindResult bind_slow(const Signature& signature, PyObject* const* args, Py_ssize_t count,
                     PyObject* kwnames, BoundArguments* bound);

// Fills `bound`, which must be empty, with the call's items. May run user code (`key=`, freezing of
// user types). After kBindError and kBadCall `bound` is empty.
inline BindResult bind(const Signature& signature, PyObject* const* args, size_t nargsf,
                       PyObject* kwnames, BoundArguments* bound) {
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf);
  if (kwnames == nullptr && signature.is_direct() && count == signature.size()) [[likely]] {
    Py_ssize_t i = signature.has_instance() ? 1 : 0;
    while (i < count && is_plain(args[i])) ++i;
    if (i == count) [[likely]] {
      bound->borrow(args, count);
      return kBound;
    }
  }
  return bind_slow(signature, args, count, kwnames, bound);
}

// As `bind`, but gives the values of all parameters as the function would see them: ignored ones
// too, nothing frozen, `*args` as a tuple and `**kwargs` as a dict. For dependency templates.
BindResult bind_values(const Signature& signature, PyObject* const* args, size_t nargsf,
                       PyObject* kwnames, BoundArguments* bound);

}  // namespace zoocache::python
