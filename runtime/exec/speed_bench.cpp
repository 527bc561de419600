#include "exec/speed_bench.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>

#include "exec/speed_samples.h"
#include "exec/speed_transfers.h"

namespace emulsion {
namespace {

constexpr Bytes kTransferBytes = 128 * kMiB;
constexpr std::int64_t kMostShrunk = 8;
constexpr double kPatience = 0.5;  // seconds for the first convolution

std::vector<c10::ScalarType> dtypes_of(c10::Device device) {
  std::vector<c10::ScalarType> dtypes{c10::ScalarType::Float, c10::ScalarType::BFloat16};
  if (!device.is_cpu()) dtypes.push_back(c10::ScalarType::Half);
  return dtypes;
}

// 1 unless the full shapes would take too long; work falls with its square.
std::int64_t bearable_shrink(c10::Device device, c10::ScalarType dtype) {
  const SpeedSample small = speed_samples(device, dtype, kMostShrunk).convolution.front();
  const double seconds = fastest_seconds(device, small.prepare()) * kMostShrunk * kMostShrunk;
  std::int64_t shrink = 1;
  while (shrink < kMostShrunk && seconds > kPatience * static_cast<double>(shrink * shrink))
    shrink *= 2;
  return shrink;
}

// What an operation takes amid others, which leave nothing of its arguments in the caches.
class AmidOthers {
 public:
  explicit AmidOthers(c10::Device device)
      : device_(device),
        others_(at::zeros({kMostCached}, at::TensorOptions(device).dtype(at::kByte))) {}

  // The median of a few runs.
  double seconds(const SpeedSample& sample) const {
    const auto work = sample.prepare();
    std::array<double, kRuns> runs;
    for (double& run : runs) {
      seconds_of(device_, [this] { others_.add_(1); });
      run = seconds_of(device_, work);
    }
    std::ranges::nth_element(runs, runs.begin() + kRuns / 2);
    return runs[kRuns / 2];
  }

 private:
  static constexpr std::int64_t kMostCached = 64 << 20;
  static constexpr std::size_t kRuns = 3;

  c10::Device device_;
  at::Tensor others_;
};

ComputeSpeed measure_compute(c10::Device device, c10::ScalarType dtype) {
  const SpeedSamples samples = speed_samples(device, dtype, bearable_shrink(device, dtype));
  const AmidOthers others(device);
  const auto seconds = [&](const SpeedSample& sample) { return others.seconds(sample); };
  return {.convolution = rate_of(samples.convolution, seconds),
          .product = rate_of(samples.product, seconds),
          .attention = rate_of(samples.attention, seconds),
          .traffic = rate_of(samples.traffic, seconds)};
}

}  // namespace

DeviceSpeed measure_speed(c10::Device device, const std::filesystem::path& folder) {
  const c10::InferenceMode inference;
  DeviceSpeed speed;
  for (const c10::ScalarType dtype : dtypes_of(device))
    speed.compute[dtype] = measure_compute(device, dtype);
  measure_transfers(speed, device, folder, kTransferBytes);
  return speed;
}

}  // namespace emulsion
