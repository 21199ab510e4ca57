// What `explain` and `tags` and `stats` tell: cold functions, bound with nanobind.
// Thread-safety: the GIL guards everything.
#pragma once

#include <nanobind/nanobind.h>

#include <string_view>

namespace zoocache::python {

// A function's name as `shared_name` made it, without the dot behind its last part.
inline std::string_view shown_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

void bind_introspection(nanobind::module_& module);

}  // namespace zoocache::python
