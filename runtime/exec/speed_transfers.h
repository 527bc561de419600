#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <functional>

#include "emulsion/memory.h"
#include "plan/speed.h"

namespace emulsion {

// Seconds of one run of `work`, until the device has done it.
double seconds_of(c10::Device device, const std::function<void()>& work);

// Seconds of the fastest of a few runs of `work`, which may leave work behind on `device`.
double fastest_seconds(c10::Device device, const std::function<void()>& work);

// Fills in everything but `compute`: how fast bytes get to the device and from it.  `folder` takes
// a file of `bytes` for a moment; where it cannot, files count as half as fast as memory.
void measure_transfers(DeviceSpeed& speed, c10::Device device, const std::filesystem::path& folder,
                       Bytes bytes);

}  // namespace emulsion
