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

TimeEmbedding::TimeEmbedding(const WeightView& w, const SinusoidShape& sinusoid_shape,
                             std::int64_t out, Activation act)
    : shape(sinusoid_shape),
      activation(act),
      linear_1(w.scope("linear_1"), shape.width, out),
      linear_2(w.scope("linear_2"), out, out) {}

at::Tensor TimeEmbedding::operator()(double timestep) const {
  const std::vector<float> values = sinusoid(timestep, shape);
  const at::Tensor waves = at::tensor(values).unsqueeze(0).to(linear_1.weight.options());  // [1, D]
  at::Tensor hidden = linear_1(waves);
  activate_(hidden, activation);
  at::Tensor time = linear_2(hidden);
  activate_(time, activation);
  return time;
}

}  // namespace emulsion::models
