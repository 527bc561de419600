#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plan/speed.h"

namespace emulsion {

// Tells the user that something takes a while, or what is wrong with a file.  May be empty.
using Notice = std::function<void(const std::string& line)>;

// The speeds of all these devices.  What has never been measured on this machine is measured now,
// with a line through `notice`, and kept in the user's cache folder; where that cannot be written,
// for this process.  EMULSION_SPEEDS names a file to take as it is instead.  Simulated devices get
// typical speeds where the table has no row for them.  Throws PlanError.  [any thread]
SpeedTable speeds_for(const std::vector<DeviceBudget>& devices, const Notice& notice);

// Measures these devices, whatever is known of them, and keeps the result.  The rows of these
// devices only.  [any thread]
SpeedTable measure_again(const std::vector<DeviceBudget>& devices, const Notice& notice);

}  // namespace emulsion
