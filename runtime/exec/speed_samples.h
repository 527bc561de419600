#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace emulsion {

// An operation of some size, as models do it, and its part of what models do of this kind.
struct SpeedSample {
  double work = 0;   // floating-point operations, or bytes read and written
  double share = 0;  // of the work of its kind; the shares of a kind add up to 1
  // Makes the tensors; what it gives does the operation.
  std::function<std::function<void()>()> prepare;
};

struct SpeedSamples {
  std::vector<SpeedSample> convolution, product, attention, traffic;
};

// The shapes of Stable Diffusion at 512x512: convolutions and products of all depths of its UNet
// and decoder.  `shrink` divides the sides of maps and the numbers of tokens, for devices on which
// the full shapes take too long.
SpeedSamples speed_samples(c10::Device device, c10::ScalarType dtype, std::int64_t shrink);

// Work per second of the mix, given what a sample takes.
double rate_of(const std::vector<SpeedSample>& samples,
               const std::function<double(const SpeedSample&)>& seconds);

}  // namespace emulsion
