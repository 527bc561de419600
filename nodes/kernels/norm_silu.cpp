#include "kernels/norm_silu.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/record_function.h>

#include "kernels/panel_tile.h"
#include "kernels/tensor_ops.h"
#include "kernels/vector_lanes.h"
#include "kernels/vector_near.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kGrain = 256;   // pixels that a thread takes at least
constexpr std::int64_t kFlushed = 32;  // pixels whose sums float32 holds

// Sums over pixels of x - shift and of its square, by channel; the shift, a pixel, keeps the
// difference of large numbers small.
struct Sums {
  std::vector<double> first, second;  // [C]
};

template <class Element>
EMULSION_INLINED void add_pixels(const Element* x, const float* shift, std::int64_t pixels,
                                 std::int64_t C, float* __restrict first,
                                 float* __restrict second) {
  for (std::int64_t p = 0; p < pixels; ++p)
    for (std::int64_t c = 0; c < C; ++c) {
      const float value = widened(x[p * C + c]) - shift[c];
      first[c] += value;
      second[c] += value * value;
    }
}

EMULSION_VECTOR_CLONES void add_up(const float* x, const float* shift, std::int64_t pixels,
                                   std::int64_t C, float* first, float* second) {
  add_pixels(x, shift, pixels, C, first, second);
}

EMULSION_VECTOR_CLONES void add_up(const Bfloat16Bits* x, const float* shift, std::int64_t pixels,
                                   std::int64_t C, float* first, float* second) {
  add_pixels(x, shift, pixels, C, first, second);
}

template <class Element>
EMULSION_INLINED void apply(const Element* x, Element* __restrict y, const float* scale,
                            const float* shift, std::int64_t pixels, std::int64_t C) {
  for (std::int64_t p = 0; p < pixels; ++p)
    for (std::int64_t c = 0; c < C; ++c)
      narrow(silu(widened(x[p * C + c]) * scale[c] + shift[c]), y[p * C + c]);
}

EMULSION_VECTOR_CLONES void normalise(const float* x, float* y, const float* scale,
                                      const float* shift, std::int64_t pixels, std::int64_t C) {
  apply(x, y, scale, shift, pixels, C);
}

EMULSION_VECTOR_CLONES void normalise_lanes(const Bfloat16Bits* x, Bfloat16Bits* y,
                                            const float* scale, const float* shift,
                                            std::int64_t pixels, std::int64_t C) {
  apply(x, y, scale, shift, pixels, C);
}

#if defined(__x86_64__) && defined(__GNUC__)
// Sixteen channels, or those of them in `lanes`.
EMULSION_AVX512_PAIRS EMULSION_INLINED void normalise_near(const Bfloat16Bits* x, __mmask16 lanes,
                                                           const float* scale, const float* shift,
                                                           Bfloat16Bits* y) {
  const __m512 normed = _mm512_fmadd_ps(load_widened(x, lanes), _mm512_maskz_loadu_ps(lanes, scale),
                                        _mm512_maskz_loadu_ps(lanes, shift));
  _mm256_mask_storeu_epi16(y, lanes,
                           reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(near_silu(normed))));
}

EMULSION_AVX512_PAIRS void normalise_pairs(const Bfloat16Bits* x, Bfloat16Bits* y,
                                           const float* scale, const float* shift,
                                           std::int64_t pixels, std::int64_t C) {
  const std::int64_t whole = C / kWideLanes * kWideLanes;
  const auto rest = static_cast<__mmask16>((1U << (C - whole)) - 1);
  for (std::int64_t p = 0; p < pixels; ++p, x += C, y += C) {
    for (std::int64_t c = 0; c < whole; c += kWideLanes)
      normalise_near(x + c, kAll, scale + c, shift + c, y + c);
    if (rest != 0) normalise_near(x + whole, rest, scale + whole, shift + whole, y + whole);
  }
}
#endif

void normalise(const Bfloat16Bits* x, Bfloat16Bits* y, const float* scale, const float* shift,
               std::int64_t pixels, std::int64_t C) {
#if defined(__x86_64__) && defined(__GNUC__)
  static const bool has_pairs = has_panel_tiles(Words::BfloatPairs);
  if (has_pairs) return normalise_pairs(x, y, scale, shift, pixels, C);
#endif
  normalise_lanes(x, y, scale, shift, pixels, C);
}

template <class Element>
Sums sums_of(const Element* x, const std::vector<float>& shift, std::int64_t pixels) {
  const std::size_t C = shift.size();
  const auto channels = static_cast<std::int64_t>(C);
  const std::int64_t parts = std::min<std::int64_t>(at::get_num_threads(), 1 + pixels / kGrain);
  std::vector<Sums> by_part(static_cast<std::size_t>(parts));
  at::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      Sums sums{std::vector<double>(C), std::vector<double>(C)};
      for (std::int64_t p = part * pixels / parts; p < (part + 1) * pixels / parts; p += kFlushed) {
        std::vector<float> first(C), second(C);
        const std::int64_t count = std::min(kFlushed, (part + 1) * pixels / parts - p);
        add_up(x + p * channels, shift.data(), count, channels, first.data(), second.data());
        for (std::size_t c = 0; c < C; ++c) sums.first[c] += first[c], sums.second[c] += second[c];
      }
      by_part[static_cast<std::size_t>(part)] = std::move(sums);
    }
  });
  Sums whole = std::move(by_part[0]);
  for (std::size_t i = 1; i < by_part.size(); ++i)
    for (std::size_t c = 0; c < C; ++c) {
      whole.first[c] += by_part[i].first[c];
      whole.second[c] += by_part[i].second[c];
    }
  return whole;
}

struct Layer {
  std::int64_t groups;
  std::vector<float> weight, bias;  // [C]
  double eps;
};

// Adds a sample's.
void add_affine(const Sums& sums, const std::vector<float>& shift, std::int64_t pixels,
                const Layer& layer, ChannelAffine& affine) {
  const std::size_t C = shift.size(), width = C / static_cast<std::size_t>(layer.groups);
  const auto count = static_cast<double>(pixels), channels = static_cast<double>(width);
  for (std::size_t begin = 0; begin < C; begin += width) {
    double mean = 0, variance = 0;
    for (std::size_t c = begin; c < begin + width; ++c)
      mean += (shift[c] + sums.first[c] / count) / channels;
    for (std::size_t c = begin; c < begin + width; ++c) {
      const double own = sums.first[c] / count, away = shift[c] + own - mean;
      variance += (sums.second[c] / count - own * own + away * away) / channels;
    }
    const double rate = 1 / std::sqrt(std::max(variance, 0.0) + layer.eps);
    for (std::size_t c = begin; c < begin + width; ++c) {
      affine.scale.push_back(static_cast<float>(rate * layer.weight[c]));
      affine.shift.push_back(static_cast<float>(layer.bias[c] - mean * rate * layer.weight[c]));
    }
  }
}

std::vector<float> floats_of(const at::Tensor& values) {
  const at::Tensor wide = values.to(at::kFloat).contiguous();
  return {wide.const_data_ptr<float>(), wide.const_data_ptr<float>() + wide.numel()};
}

template <class Element>
ChannelAffine affine_of_samples(const at::Tensor& x, const Layer& layer) {
  const std::int64_t C = x.size(1), pixels = x.size(2) * x.size(3);
  ChannelAffine affine{C, {}, {}};
  const auto* sample = static_cast<const Element*>(x.const_data_ptr());
  for (std::int64_t b = 0; b < x.size(0); ++b, sample += pixels * C) {
    std::vector<float> shift(layer.weight.size());
    for (std::size_t c = 0; c < shift.size(); ++c) shift[c] = widened(sample[c]);
    add_affine(sums_of(sample, shift, pixels), shift, pixels, layer, affine);
  }
  return affine;
}

template <class Element>
void apply_to_samples(const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& y) {
  const std::int64_t C = x.size(1), pixels = x.size(2) * x.size(3);
  const auto* from = static_cast<const Element*>(x.const_data_ptr());
  auto* to = static_cast<Element*>(y.mutable_data_ptr());
  for (std::int64_t b = 0; b < x.size(0); ++b, from += pixels * C, to += pixels * C) {
    const float *const scale = affine.scale.data() + b * C, *const shift =
                                                                affine.shift.data() + b * C;
    at::parallel_for(0, pixels, kGrain, [&](std::int64_t begin, std::int64_t end) {
      normalise(from + begin * C, to + begin * C, scale, shift, end - begin, C);
    });
  }
}

}  // namespace

bool suits_norm_silu(const at::Tensor& x) {
  const bool is_known = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  return x.is_cpu() && is_known && x.numel() > 0 && x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

ChannelAffine affine_of(const at::Tensor& x, const GroupNormWeights& norm) {
  const Layer layer{norm.groups, floats_of(norm.weight), floats_of(norm.bias), norm.eps};
  return x.scalar_type() == at::kFloat ? affine_of_samples<float>(x, layer)
                                       : affine_of_samples<Bfloat16Bits>(x, layer);
}

void affine_silu(const Bfloat16Bits* x, std::int64_t pixels, const ChannelAffine& affine,
                 std::int64_t sample, Bfloat16Bits* y) {
  const std::int64_t at = sample * affine.channels;
  normalise(x, y, affine.scale.data() + at, affine.shift.data() + at, pixels, affine.channels);
}

at::Tensor norm_silu(const at::Tensor& x, const GroupNormWeights& norm) {
  RECORD_FUNCTION("norm_silu", std::vector<c10::IValue>({x}));
  at::Tensor y = at::empty_like(x);
  const ChannelAffine affine = affine_of(x, norm);
  if (x.scalar_type() == at::kFloat)
    apply_to_samples<float>(x, affine, y);
  else
    apply_to_samples<Bfloat16Bits>(x, affine, y);
  return y;
}

}  // namespace emulsion::kernels
