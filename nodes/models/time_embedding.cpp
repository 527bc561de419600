#include "models/time_embedding.h"

#include "models/ops.h"

namespace emulsion::models {

std::vector<float> sinusoid(double timestep, const SinusoidShape& shape) {
  const std::int64_t half = shape.width / 2;
  const auto time = static_cast<float>(timestep);
  const auto steps = static_cast<float>(static_cast<double>(half) - shape.freq_shift);
  const auto fall = static_cast<float>(-std::log(10000.0));
  std::vector<float> values(static_cast<std::size_t>(shape.width), 0.0F);  // an odd width ends in 0
  for (std::int64_t i = 0; i < half; ++i) {
    const float angle = time * std::exp(fall * static_cast<float>(i) / steps);
    const auto sine = static_cast<std::size_t>(shape.flip_sin_to_cos ? half + i : i);
    const auto cosine = static_cast<std::size_t>(shape.flip_sin_to_cos ? i : half + i);
    values[sine] = std::sin(angle);
    values[cosine] = std::cos(angle);
  }
  return values;
}

at::Tensor sinusoids(const at::Tensor& values, const SinusoidShape& shape) {
  const std::int64_t half = shape.width / 2;
  const auto options = values.options().dtype(at::kFloat);
  const at::Tensor frequencies = at::arange(half, options)  // [half]
                                     .mul_(-std::log(10000.0))
                                     .div_(static_cast<double>(half) - shape.freq_shift)
                                     .exp_();
  const at::Tensor angles = values.to(at::kFloat).unsqueeze(-1).mul(frequencies);  // [B, n, half]
  std::vector<at::Tensor> waves = {angles.sin(), angles.cos()};
  if (shape.flip_sin_to_cos) std::swap(waves[0], waves[1]);
  if (shape.width % 2 == 1)
    waves.push_back(at::zeros({values.size(0), values.size(1), 1}, options));
  return at::cat(waves, -1).flatten(1);
}

TimeEmbedding::TimeEmbedding(const WeightView& w, const SinusoidShape& sinusoid_shape,
                             std::int64_t out, Activation act)
    : shape(sinusoid_shape),
      activation(act),
      linear_1(w.scope("linear_1"), shape.width, out),
      linear_2(w.scope("linear_2"), out, out) {}

at::Tensor TimeEmbedding::operator()(double timestep) const {
  const std::vector<float> values = sinusoid(timestep, shape);
  const at::Tensor waves = at::tensor(values).unsqueeze(0).to(linear_1.bias.options());  // [1, D]
  at::Tensor hidden = linear_1(waves);
  activate_(hidden, activation);
  return linear_2(hidden);
}

AddedEmbedding::AddedEmbedding(const WeightView& w, const SinusoidShape& sinusoid_shape,
                               std::int64_t width, std::int64_t out)
    : shape(sinusoid_shape),
      linear_1(w.scope("linear_1"), width, out),
      linear_2(w.scope("linear_2"), out, out) {}

at::Tensor AddedEmbedding::operator()(const at::Tensor& pooled, const at::Tensor& time_ids) const {
  const at::Tensor waves = sinusoids(time_ids, shape).to(pooled.scalar_type());
  at::Tensor hidden = linear_1(at::cat({pooled, waves}, 1));
  activate_(hidden, Activation::Silu);  // fixed in diffusers
  return linear_2(hidden);
}

}  // namespace emulsion::models
