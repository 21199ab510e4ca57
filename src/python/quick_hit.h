// The hit path: a look at the table, without the long way's Call. Runs no foreign code and
// allocates nothing. Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

#include "python/call.h"
#include "python/callable.h"

namespace zoocache::python {

// A hit that needs nothing but the table: no load around it, nothing to do with the value.
// A new reference, or nullptr without an error: the long way.
inline PyObject* plain_hit(CachedFunction* self, core::EntryId id, core::Epoch clock) {
  if (id == core::kNoEntry) return nullptr;
  core::HotEntry& hot = self->slab->hot(id);
  const std::uint64_t state = hot.state.load(std::memory_order_relaxed);
  const bool known = self->engine->is_validated(state, clock);
  if ((state & (kValueIsError | kValueIsPortable)) != 0 || self->options->looks_at_hits)
    return nullptr;
  if (!known && self->engine->check(id, *self->function, clock) != core::Validity::kValid) {
    return nullptr;
  }
  self->engine->touch(hot);
  self->function->hits.add();
  return Py_NewRef(to_object(hot.value));
}

// The hit path of functions with one ordinary parameter.
inline PyObject* hit_single(CachedFunction* self, PyObject* arg) {
  core::Epoch clock;
  if (!self->log->try_arrive(&clock)) return nullptr;
  core::EntryId id = core::kNoEntry;
  std::int64_t number;
  if (small_int(arg, &number)) {
    const std::uint64_t hash = mix(static_cast<std::uint64_t>(number), ItemKind::kInt);
    id = self->function->index.probe(hash, [&](core::EntryId at) {
      const core::HotEntry& hot = self->slab->hot(at);
      return hot.hash == hash && hot.key == static_cast<core::Word>(number) &&
             (hot.state.load(std::memory_order_relaxed) & kKeyIsInt) != 0;
    });
  } else if (PyUnicode_CheckExact(arg)) {
    std::uint64_t hash;
    if (hash_item(arg, &hash) < 0) return nullptr;
    id = self->function->index.probe(hash, [&](core::EntryId at) {
      const core::HotEntry& hot = self->slab->hot(at);
      if (hot.hash != hash || (hot.state.load(std::memory_order_relaxed) & kKeyIsInt) != 0) {
        return false;
      }
      PyObject* stored = to_object(hot.key);
      return stored == arg || (PyUnicode_CheckExact(stored) && str_equal(stored, arg));
    });
  }
  return plain_hit(self, id, clock);
}

// Hash of two items or more that are ints of a word's size or strs, after the instance if there is
// one: make_probe's. False if another item is among them.
inline bool hash_all_ordinary(PyObject* const* items, Py_ssize_t count, bool has_instance,
                              std::uint64_t* hash) {
  std::uint64_t sum = 0;
  Py_ssize_t index = 0;
  if (has_instance) {
    sum = combine(0, mix(reinterpret_cast<std::uintptr_t>(items[0]), ItemKind::kObject));
    index = 1;
  }
  for (; index < count; ++index) {
    std::uint64_t item_hash;
    if (!hash_ordinary(items[index], &item_hash)) return false;
    sum = combine(sum, item_hash);
  }
  *hash = sum;
  return true;
}

// match_items for those; runs no user code.
inline bool match_ordinary(PyObject* key, PyObject* const* items, Py_ssize_t count,
                           bool has_instance) {
  if (!PyTuple_CheckExact(key) || PyTuple_GET_SIZE(key) != count) return false;
  PyObject* const* stored = reinterpret_cast<PyTupleObject*>(key)->ob_item;
  Py_ssize_t index = 0;
  if (has_instance) {
    if (!is_token_of(stored[0], items[0])) return false;
    index = 1;
  }
  for (; index < count; ++index) {
    if (match_item(stored[index], items[index]) != 1) return false;
  }
  return true;
}

// The hit path of functions whose items are the call's positional arguments, none of them of a
// user's type.
inline PyObject* hit_direct(CachedFunction* self, PyObject* const* args, Py_ssize_t count) {
  const bool has_instance = self->signature->has_instance();
  std::uint64_t hash;
  if (count > 1 && hash_all_ordinary(args, count, has_instance, &hash)) {
    core::Epoch clock;
    if (!self->log->try_arrive(&clock)) return nullptr;
    const core::EntryId id = self->function->index.probe(hash, [&](core::EntryId at) {
      const core::HotEntry& hot = self->slab->hot(at);
      return hot.hash == hash && (hot.state.load(std::memory_order_relaxed) & kKeyIsInt) == 0 &&
             match_ordinary(to_object(hot.key), args, count, has_instance);
    });
    return plain_hit(self, id, clock);
  }
  for (Py_ssize_t index = has_instance ? 1 : 0; index < count; ++index) {
    if (!is_plain(args[index]) || !match_is_simple(args[index])) return nullptr;
  }
  core::Epoch clock;
  if (!self->log->try_arrive(&clock)) return nullptr;
  Probe probe;
  if (!make_probe(self, args, count, &probe)) return nullptr;
  return plain_hit(self, find_entry(self, probe), clock);
}

// Keywords that name the parameters which follow the positional arguments, in their order: then the
// arguments stand in a row. Names are compared by identity: those of calls are interned, too.
inline bool in_order(const Signature& signature, PyObject* kwnames, Py_ssize_t count) {
  const Parameter* parameter = signature.parameters() + count;
  for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(kwnames); ++index, ++parameter) {
    const bool fits = parameter->name == PyTuple_GET_ITEM(kwnames, index) &&
                      parameter->kind == ParameterKind::kPositional;
    if (!fits) return false;
  }
  return true;
}

inline PyObject* quick_hit(CachedFunction* self, PyObject* const* args, size_t nargsf,
                           PyObject* kwnames) {
  const Signature& signature = *self->signature;
  if (self->function == nullptr || !signature.is_direct()) return nullptr;
  if (key_contexts != 0 && self->core->key_context != nullptr) return nullptr;
  const Py_ssize_t positional = PyVectorcall_NARGS(nargsf);
  Py_ssize_t count = positional;
  if (kwnames != nullptr) count += PyTuple_GET_SIZE(kwnames);
  if (count != signature.size() || (open_loads != 0 && in_load())) return nullptr;
  if (kwnames != nullptr && !in_order(signature, kwnames, positional)) return nullptr;
  return signature.is_single() ? hit_single(self, args[0]) : hit_direct(self, args, count);
}

}  // namespace zoocache::python
