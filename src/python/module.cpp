// The extension module zoocache._zoocache: the types of the hit path in the plain C API, the cold
// functions through nanobind. The public names are made in python/zoocache.
#include <nanobind/nanobind.h>

#include "python/awaitable.h"
#include "python/batch.h"
#include "python/callable.h"
#include "python/core_type.h"
#include "python/errors.h"
#include "python/evidence.h"
#include "python/explain.h"
#include "python/frame.h"
#include "python/instance.h"
#include "python/key.h"
#include "python/level_job.h"
#include "python/look.h"
#include "python/method.h"
#include "python/models.h"
#include "python/source.h"
#include "python/static_type.h"
#include "python/sync_call.h"
#include "python/teller.h"
#include "python/value_codec.h"

namespace nb = nanobind;

namespace {

// Types and the current load are one for the process: a second interpreter would share them.
void refuse_subinterpreters() {
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    throw nb::import_error(
        "zoocache works in the main interpreter only; import it there, not in a sub-interpreter");
  }
}

PyMethodDef load_functions[] = {
    {"add_deps", zoocache::python::method_pointer(zoocache::python::add_deps),
     METH_FASTCALL | METH_KEYWORDS,
     "add_deps($module, /, deps)\n--\n\n"
     "Makes the running load depend on the tags: a str, or an iterable of them.\n\n"
     "Outside of a cached call it does nothing.\n\n"
     "Raises:\n"
     "    InvalidTag: a tag breaks a rule; none was added.\n"
     "    TypeError: a tag is not a str."},
    {"no_store", zoocache::python::no_store, METH_NOARGS,
     "no_store($module, /)\n--\n\n"
     "Lets the running load's result go to its callers without being stored.\n\n"
     "Outside of a cached call it does nothing."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

NB_MODULE(_zoocache, module) {
  using namespace zoocache::python;
  refuse_subinterpreters();
  nb::set_leak_warnings(false);
  PyObject* raw = module.ptr();
  const bool ready = init_errors() == 0 && init_keys() == 0 && init_frame(raw) == 0 &&
                     init_instance() == 0 && init_level_job() == 0 && init_teller() == 0 &&
                     init_method(raw) == 0 && init_sync_call() == 0 && init_core_type(raw) == 0 &&
                     init_source(raw) == 0 && init_models(raw) == 0 &&
                     init_callable_type(raw) == 0 && init_batch(raw) == 0 &&
                     init_evidence(raw) == 0 && init_awaitable(raw) == 0 &&
                     init_value_codec(raw) == 0 && PyModule_AddFunctions(raw, load_functions) == 0;
  if (!ready) throw nb::python_error();
  bind_introspection(module);
  bind_looks(module);
  module.attr("__version__") = ZOOCACHE_VERSION;
}
