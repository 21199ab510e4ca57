// What tools ask of homes and storages from outside: see core/look.h.
// Thread-safety: the GIL guards everything; what waits gives it up.
#pragma once

#include <nanobind/nanobind.h>

namespace zoocache::python {

void bind_looks(nanobind::module_& module);

}  // namespace zoocache::python
