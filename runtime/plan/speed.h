#pragma once

#include <c10/core/ScalarType.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "emulsion/memory.h"
#include "emulsion/work.h"
#include "plan/device.h"

namespace emulsion {

// How fast a device computes in one dtype, per second.
struct ComputeSpeed {
  double convolution = 0, product = 0, attention = 0;  // floating-point operations
  double traffic = 0;                                  // bytes
};

// What it costs to work on a device and to bring things there.  Measured once, see speed_file.h.
struct DeviceSpeed {
  std::map<c10::ScalarType, ComputeSpeed> compute;
  // Bytes per second of weights, as they are on the device:
  double map = 0;        // that the host takes as they are in the file
  double read = 0;       // from files with the dtype of the run, by way of host memory
  double convert = 0;    // from files with another dtype
  double from_host = 0;  // of host memory
  double to_host = 0;
  double latency = 0;          // seconds of one copy, however small
  bool copies_beside = false;  // copies run while the device computes, and cost it nothing
};

// Seconds that `work` takes.  A dtype that was not measured counts as float32.  [any thread]
double seconds_of(const Work& work, const DeviceSpeed& speed, c10::ScalarType dtype);

// By the names of devices: "cpu", "cuda:0"; "sim" stands for every simulated device without a row
// of its own ("sim:NAME").  A logical device computes as the cpu does.
using SpeedTable = std::map<std::string, DeviceSpeed>;

// The speeds of devices, in their order.  Throws PlanError where the table lacks one.
std::vector<DeviceSpeed> speeds_of(const std::vector<DeviceBudget>& devices,
                                   const SpeedTable& table);

// The table as JSON, and back.  Throws PlanError on text that is no table, naming `place`.
std::string to_json(const SpeedTable& table);
SpeedTable parse_speeds(std::string_view json, const std::string& place);

// The table for people.  [any thread]
std::string to_text(const SpeedTable& table);

// Typical figures, where nothing has been measured: a mid-range accelerator, a small CPU.
SpeedTable typical_speeds();

}  // namespace emulsion
