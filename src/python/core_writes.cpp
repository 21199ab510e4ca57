#include "python/core_writes.h"

#include <cstdint>
#include <vector>

#include "core/intent.h"
#include "python/core_type.h"
#include "python/errors.h"

namespace zoocache::python {
namespace {

bool parse_held(Core* self, PyObject* tags, std::vector<core::TagPath>* paths) {
  if (!PyTuple_Check(tags)) {
    PyErr_SetString(PyExc_TypeError, "a tuple of tags is wanted");
    return false;
  }
  auto* tuple = reinterpret_cast<PyTupleObject*>(tags);
  return parse_tags(self, tuple->ob_item, PyTuple_GET_SIZE(tuple), "invalidating", paths);
}

}  // namespace

PyObject* core_begin_write(PyObject* object, PyObject* tags) {
  Core* self = as_core(object);
  StatePtr* state = core_state(self);
  std::vector<core::TagPath> paths;
  if (state == nullptr || !parse_held(self, tags, &paths)) return nullptr;
  const StatePtr kept = *state;  // others may reset the cache meanwhile
  const std::uint64_t engine = self->engines_left;
  core::InvalidationLog& log = kept->engine.log();
  std::uint64_t token = 0;
  if (!declared(log, [&] { token = core::begin_write(log, paths); })) return nullptr;
  return Py_BuildValue("KK", static_cast<unsigned long long>(engine),
                       static_cast<unsigned long long>(token));
}

PyObject* core_end_write(PyObject* object, PyObject* args) {
  Core* self = as_core(object);
  unsigned long long engine, token;
  unsigned long origin;
  PyObject* tags;
  PyObject* told = nullptr;  // what changed, if that is less than was held
  if (!PyArg_ParseTuple(args, "KKOk|O", &engine, &token, &tags, &origin, &told)) return nullptr;
  StatePtr* state = core_state(self);
  std::vector<core::TagPath> paths, changed;
  if (state == nullptr || !parse_held(self, tags, &paths)) return nullptr;
  if (!parse_held(self, told == nullptr ? tags : told, &changed)) return nullptr;
  const StatePtr kept = *state;
  const bool is_same = engine == self->engines_left;
  core::InvalidationLog& log = kept->engine.log();
  const auto from = static_cast<std::uint32_t>(origin);
  core::Epoch epoch = 0;
  const bool done = declared(log, [&] {
    epoch =
        is_same ? core::end_write(log, token, paths, changed, from) : log.invalidate(changed, from);
  });
  return done ? PyLong_FromUnsignedLongLong(epoch) : nullptr;
}

PyObject* core_cancel_write(PyObject* object, PyObject* args) {
  Core* self = as_core(object);
  unsigned long long engine, token;
  PyObject* tags;
  if (!PyArg_ParseTuple(args, "KKO", &engine, &token, &tags)) return nullptr;
  if (engine != self->engines_left || *self->state == nullptr) Py_RETURN_NONE;
  std::vector<core::TagPath> paths;
  if (!parse_held(self, tags, &paths)) return nullptr;
  const StatePtr kept = *self->state;
  core::InvalidationLog& log = kept->engine.log();
  if (!declared(log, [&] { core::cancel_write(log, token, paths); })) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace zoocache::python
