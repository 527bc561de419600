#pragma once

#include <filesystem>

#include "plan/speed.h"

namespace emulsion {

// Measures in about three seconds what a device does in one, with the operations and shapes of
// models of Stable Diffusion's size, and how fast weights get there.  `folder` takes a file for a
// moment; where it cannot, speeds of files are estimated from those of memory.
DeviceSpeed measure_speed(c10::Device device, const std::filesystem::path& folder);

}  // namespace emulsion
