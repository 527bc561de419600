#pragma once

#include <c10/core/Device.h>

#include "emulsion/memory.h"

namespace emulsion {

// Counts what LibTorch's allocators hand out, so that a peak is measured and not computed.  On the
// CPU a counting allocator stands in for LibTorch's own; mapped weights, which pass by every
// allocator, are added.  On an accelerator the caching allocator's statistics are read.

// Puts the counting allocator in place; later calls do nothing.  [any thread]
void install_memory_meter();

// Bytes in use on the device now.  [any thread]
Bytes used_bytes(c10::Device device);

// The most since reset_peak(device).  The CPU's mapped weights count as of the call, since they
// only come and go between node runs.  [any thread]
Bytes peak_bytes(c10::Device device);
void reset_peak(c10::Device device);

// Gives what malloc keeps of freed blocks back to the system, where it knows how.  [any thread]
void trim_host_memory();

}  // namespace emulsion
