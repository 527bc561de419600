#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "plan/speed.h"

namespace emulsion {

// Tells the user that something takes a while.  May be empty.
using Notice = std::function<void(const std::string& line)>;

// The speeds of all these devices.  What has never been measured on this machine is measured now,
// with a line through `notice`, and kept in the user's cache folder; where that cannot be written,
// for this process.  EMULSION_SPEEDS names a file to take as it is instead.  Simulated devices get
// typical speeds where the file has none for them.  Throws PlanError.  [any thread]
SpeedTable speeds_for(const std::vector<DeviceBudget>& devices, const Notice& notice);

// Measures these devices, whatever is known of them, and keeps the result.  The rows of these
// devices only.  [any thread]
SpeedTable measure_again(const std::vector<DeviceBudget>& devices, const Notice& notice);

// Keeps what was measured: a file for each device, in the state in which the machine was measured
// (processor, threads, version of LibTorch, the accelerator's memory), and in this process.
class SpeedStore {
 public:
  using Measure = std::function<DeviceSpeed(c10::Device, const std::filesystem::path& folder)>;

  SpeedStore(std::filesystem::path folder, Measure measure);
  // Measures where there is no file, or a damaged one.  [any thread]
  DeviceSpeed speed(const DeviceBudget& device, const Notice& notice);
  DeviceSpeed measure_again(const DeviceBudget& device, const Notice& notice);

 private:
  DeviceSpeed measured(const DeviceBudget& device, const Notice& notice);

  std::filesystem::path folder_;
  Measure measure_;
  std::mutex mutex_;
  std::map<std::filesystem::path, DeviceSpeed> known_;  // by the file that keeps it
};

}  // namespace emulsion
