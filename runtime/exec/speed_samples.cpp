#include "exec/speed_samples.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <algorithm>

#include "kernels/attention.h"
#include "kernels/conv.h"
#include "kernels/linear.h"

namespace emulsion {
namespace {

using Operation = std::function<void()>;

class SampleMaker {
 public:
  SampleMaker(c10::Device device, c10::ScalarType dtype, std::int64_t shrink)
      : options_(at::TensorOptions(device).dtype(dtype)), shrink_(shrink) {}

  // 3x3, on maps of `side` pixels on both sides
  SpeedSample convolution(double share, std::int64_t batch, std::int64_t in, std::int64_t out,
                          std::int64_t side) const {
    const auto prepare = [=, *this]() -> Operation {
      const at::Tensor x = map(batch, in, side), weight = numbers({out, in, 3, 3}),
                       bias = numbers({out});
      return [=] { kernels::conv2d(x, weight, bias, {.in = in, .out = out}); };
    };
    return {18 * product_of({batch, in, out, shrunk(side), shrunk(side)}), share, prepare};
  }

  SpeedSample product(double share, std::int64_t rows, std::int64_t in, std::int64_t out) const {
    const auto prepare = [=, *this]() -> Operation {
      const at::Tensor x = numbers({1, shrunk(rows), in}), weight = numbers({out, in}),
                       bias = numbers({out});
      return [=] { kernels::linear(x, weight, bias); };
    };
    return {2 * product_of({shrunk(rows), in, out}), share, prepare};
  }

  SpeedSample attention(double share, std::int64_t queries, std::int64_t keys, std::int64_t heads,
                        std::int64_t width) const {
    const auto prepare = [=, *this]() -> Operation {
      const at::Tensor q = numbers({1, shrunk(queries), heads * width}),
                       k = numbers({1, shrunk(keys), heads * width}), v = numbers(k.sizes());
      return [=] { kernels::attention(q, k, v, heads); };
    };
    return {4 * product_of({heads, width, shrunk(queries), shrunk(keys)}), share, prepare};
  }

  SpeedSample group_norm(double share, std::int64_t channels, std::int64_t side) const {
    return on_map(share, 2, channels, side, [](const at::Tensor& x) -> Operation {
      const at::Tensor scale = at::ones({x.size(1)}, x.options());
      return [=] { at::group_norm(x, 32, scale, scale); };
    });
  }

  SpeedSample silu(double share, std::int64_t channels, std::int64_t side) const {
    return on_map(share, 2, channels, side, [](const at::Tensor& x) -> Operation {
      return [y = x]() mutable { at::silu_(y); };
    });
  }

  SpeedSample upsample(double share, std::int64_t channels, std::int64_t side) const {
    return on_map(share, 5, channels, side, [](const at::Tensor& x) -> Operation {
      return [=] { at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}); };
    });
  }

  SpeedSample concatenation(double share, std::int64_t channels, std::int64_t side) const {
    return on_map(share, 4, channels, side, [](const at::Tensor& x) -> Operation {
      return [=] { at::cat({x, x}, 1); };
    });
  }

  SpeedSample sum(double share, std::int64_t channels, std::int64_t side) const {
    return on_map(share, 3, channels, side, [](const at::Tensor& x) -> Operation {
      return [=, y = x.clone()] { x.add_(y); };
    });
  }

  SpeedSample layer_norm(double share, std::int64_t rows, std::int64_t width) const {
    const auto prepare = [=, *this]() -> Operation {
      const at::Tensor x = numbers({1, shrunk(rows), width}), scale = numbers({width});
      return [=] { at::layer_norm(x, {width}, scale, scale); };
    };
    return {2 * bytes({shrunk(rows), width}), share, prepare};
  }

  SpeedSample gate(double share, std::int64_t rows, std::int64_t width) const {
    const auto prepare = [=, *this]() -> Operation {
      const at::Tensor x = numbers({1, shrunk(rows), 2 * width});
      return [=] {
        const auto halves = x.chunk(2, -1);
        at::gelu(halves[1]).mul_(halves[0]);
      };
    };
    return {6 * bytes({shrunk(rows), width}), share, prepare};
  }

 private:
  std::int64_t shrunk(std::int64_t count) const {
    return std::max<std::int64_t>(1, count / shrink_);
  }

  // Between -1 and 1, without an order that could be seen: a processor whose power is limited is
  // faster on numbers that are alike.
  at::Tensor numbers(at::IntArrayRef shape) const {
    constexpr std::int64_t kPeriod = 4099;
    const std::int64_t count = c10::multiply_integers(shape);
    const at::Tensor pattern = at::arange(kPeriod, at::kFloat).mul_(12.9898).sin_().to(options_);
    const at::Tensor rows = pattern.expand({count / kPeriod + 1, kPeriod}).flatten();
    return rows.narrow(0, 0, count).view(shape);
  }

  // [B, C, H, W] in the layout that models give to maps
  at::Tensor map(std::int64_t batch, std::int64_t channels, std::int64_t side) const {
    const at::Tensor x = numbers({batch, channels, shrunk(side), shrunk(side)});
    return x.is_cpu() ? x.contiguous(at::MemoryFormat::ChannelsLast) : x;
  }

  static double product_of(std::initializer_list<std::int64_t> extents) {
    double product = 1;
    for (const std::int64_t extent : extents) product *= static_cast<double>(extent);
    return product;
  }

  double bytes(std::initializer_list<std::int64_t> shape) const {
    return product_of(shape) * static_cast<double>(options_.dtype().itemsize());
  }

  // An operation that reads and writes a map so many times in all.
  SpeedSample on_map(double share, double times, std::int64_t channels, std::int64_t side,
                     const std::function<Operation(const at::Tensor&)>& operation) const {
    const auto prepare = [=, *this] { return operation(map(1, channels, side)); };
    return {times * bytes({channels, shrunk(side), shrunk(side)}), share, prepare};
  }

  at::TensorOptions options_;
  std::int64_t shrink_;
};

}  // namespace

SpeedSamples speed_samples(c10::Device device, c10::ScalarType dtype, std::int64_t shrink) {
  const SampleMaker make(device, dtype, shrink);
  return {
      .convolution = {make.convolution(0.3, 1, 320, 320, 64),
                      make.convolution(0.22, 2, 640, 640, 32),
                      make.convolution(0.2, 2, 1280, 1280, 16),
                      make.convolution(0.06, 2, 1280, 1280, 8),
                      make.convolution(0.22, 1, 256, 256, 128)},
      .product = {make.product(0.25, 4096, 320, 2560), make.product(0.15, 4096, 1280, 320),
                  make.product(0.2, 1024, 640, 5120), make.product(0.2, 256, 1280, 10240),
                  make.product(0.1, 256, 1280, 1280), make.product(0.1, 77, 1024, 4096)},
      .attention = {make.attention(0.85, 2048, 4096, 5, 64),
                    make.attention(0.1, 1024, 1024, 10, 64), make.attention(0.05, 4096, 77, 5, 64)},
      // Maps that no cache holds, as in a run, where each operation makes its result anew.
      .traffic = {make.group_norm(0.5, 128, 512), make.silu(0.2, 128, 512),
                  make.upsample(0.1, 256, 128), make.concatenation(0.05, 320, 64),
                  make.sum(0.05, 128, 256), make.layer_norm(0.05, 4096, 320),
                  make.gate(0.05, 4096, 1280)}};
}

double rate_of(const std::vector<SpeedSample>& samples,
               const std::function<double(const SpeedSample&)>& seconds) {
  double seconds_per_work = 0;
  for (const SpeedSample& sample : samples)
    seconds_per_work += sample.share * seconds(sample) / sample.work;
  return 1 / seconds_per_work;
}

}  // namespace emulsion
