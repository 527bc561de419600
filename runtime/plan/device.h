#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emulsion/memory.h"

namespace emulsion {

// A place for tensors with a budget of its own.  Several may share one c10::Device.
struct DeviceBudget {
  std::string name;  // "cpu", "cuda:0", "sim:a", "logical:a"
  c10::Device device{c10::DeviceType::CPU};
  Bytes capacity = 0;
  bool simulated = false;  // can be planned for, but not run on

  bool computes_on_cpu() const { return device.is_cpu() && !simulated; }
};

// Position in the devices of one plan.
enum class DeviceId : std::uint32_t {};

// Reads "cpu", "cpu=3GiB", "cuda", "cuda:1=8GiB", "sim:NAME=BYTES", "logical:NAME=BYTES".
// Without a size the budget is what the device has free now.  Throws GraphError.  [any thread]
DeviceBudget parse_device(std::string_view text);

// The devices of a run, each once, and the host last; with no cpu named, with what it has free.
// Of no texts: every accelerator that LibTorch finds, and the cpu.
// Throws GraphError.
std::vector<DeviceBudget> parse_devices(const std::vector<std::string>& texts);

// Reads "auto", "f32", "f16", "bf16".  On a CPU, auto is bfloat16 where the hardware computes in
// it, else float32; on an accelerator float16.  Throws GraphError.  [any thread]
c10::ScalarType parse_dtype(std::string_view text, const DeviceBudget& device);

// Bytes of main memory that can be had without swapping.  [any thread]
Bytes free_host_memory();

}  // namespace emulsion
