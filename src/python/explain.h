// What `explain` and `tags` and `stats` tell: cold functions, bound with nanobind.
// Thread-safety: the GIL guards everything.
#pragma once

#include <nanobind/nanobind.h>

namespace zoocache::python {

void bind_introspection(nanobind::module_& module);

}  // namespace zoocache::python
