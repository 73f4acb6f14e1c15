// Lines of sight and points in a voxel grid; bound into _native by sparse_module.cpp.
#pragma once
#include <nanobind/nanobind.h>

namespace wl {
void bind_voxel_rays(nanobind::module_& m);
}
