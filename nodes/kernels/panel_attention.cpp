#include "kernels/panel_attention.h"

#include <ATen/record_function.h>

#include <array>
#include <limits>

#include "kernels/panel_softmax.h"
#include "kernels/panel_tile.h"
#include "kernels/rounding.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/vector_lanes.h"

namespace emulsion::kernels {
namespace {

// Whose scores are worked on at a time.
constexpr std::int64_t kQueries = 64, kKeys = 512;
// From one query's scores to the next: whole pages apart, they would compete for the same lines of
// a cache.
constexpr std::int64_t kScores = kKeys + kPanelColumns;
constexpr std::int64_t kMostPacked = 1 << 20;  // words of keys and values at a time
constexpr float kLowest = std::numeric_limits<float>::lowest();
constexpr std::int64_t kPairedPanels = 2 * kPanelColumns;

// Zeros beside a head fill its last panel, and change nothing.
std::int64_t panel_width(std::int64_t head_width) { return rounded_up(head_width, kPanelColumns); }

// Where things lie, in words.
struct Layout {
  Words words;
  std::int64_t keys, padded_keys;  // the latter a multiple of 32
  std::int64_t width;              // of a head, in numbers, a multiple of 16
  std::int64_t heads;              // packed at a time

  Layout(const AttentionShape& shape, c10::ScalarType dtype)
      : words(words_of(dtype, panel_width(shape.head_width))),
        keys(shape.keys),
        padded_keys(rounded_up(shape.keys, kPairedPanels)),
        width(panel_width(shape.head_width)),
        heads(std::clamp<std::int64_t>(kMostPacked / head(), 1, shape.heads)) {}

  std::int64_t in_words(std::int64_t numbers) const { return kernels::in_words(words, numbers); }
  std::int64_t packed_keys() const { return padded_keys * in_words(width); }
  std::int64_t head() const { return 2 * packed_keys(); }  // its keys and values
  // Scores, sums of values, and copies of queries that are widened.
  std::int64_t thread() const { return kQueries * (kScores + 2 * width); }
};

// Sixteen keys from `first` on, `stride` apart -> words [width, 16]; zeros for those that are not.
template <class Element>
EMULSION_INLINED void turn_keys(const Element* first, std::int64_t count, std::int64_t stride,
                                std::int64_t width, float* to) {
  for (std::int64_t half = 0; half < kPanelColumns; half += kLanes)
    for (std::int64_t k = 0; k < width; k += kLanes) {
      Lanes v[kLanes];
      load_columns(first + half * stride + k, stride, count - half, v);
      for (std::int64_t i = 0; i < kLanes; ++i)
        lanes_at(to + (k + i) * kPanelColumns + half) = v[i];
    }
}

EMULSION_VECTOR_CLONES void pack_keys(const float* first, std::int64_t count, std::int64_t stride,
                                      std::int64_t width, float* to) {
  turn_keys(first, count, stride, width, to);
}
EMULSION_VECTOR_CLONES void pack_keys(const Bfloat16Bits* first, std::int64_t count,
                                      std::int64_t stride, std::int64_t width, float* to) {
  turn_keys(first, count, stride, width, to);
}

// Sixteen columns of so many values -> words [keys, 16]
template <class Element>
EMULSION_INLINED void copy_values(const Element* first, std::int64_t keys, std::int64_t padded,
                                  std::int64_t stride, float* to) {
  for (std::int64_t s = 0; s < padded; ++s) {
    WideLanes v = {};
    if (s < keys) widen_lanes(first + s * stride, v);
    wide_lanes_at(to + s * kPanelColumns) = v;
  }
}

EMULSION_VECTOR_CLONES void pack_values(const float* first, std::int64_t keys, std::int64_t padded,
                                        std::int64_t stride, float* to) {
  copy_values(first, keys, padded, stride, to);
}
EMULSION_VECTOR_CLONES void pack_values(const Bfloat16Bits* first, std::int64_t keys,
                                        std::int64_t padded, std::int64_t stride, float* to) {
  copy_values(first, keys, padded, stride, to);
}

// The same in pairs of keys: words [keys / 2, 16].
EMULSION_VECTOR_CLONES void pair_values(const Bfloat16Bits* first, std::int64_t keys,
                                        std::int64_t padded, std::int64_t stride, float* to) {
  using Bits [[gnu::vector_size(64)]] = std::uint32_t;
  for (std::int64_t s = 0; s < padded; s += 2) {
    WideLanes low = {}, high = {};
    if (s < keys) widen_lanes(first + s * stride, low);
    if (s + 1 < keys) widen_lanes(first + (s + 1) * stride, high);
    wide_lanes_at(to + s / 2 * kPanelColumns) = reinterpret_cast<WideLanes>(
        (reinterpret_cast<Bits>(low) >> 16) | reinterpret_cast<Bits>(high));
  }
}

EMULSION_VECTOR_CLONES void divide(const float* values, float sum, std::int64_t width, float* y) {
  for (std::int64_t c = 0; c < width; ++c) y[c] = values[c] / sum;
}
EMULSION_VECTOR_CLONES void divide(const float* values, float sum, std::int64_t width,
                                   Bfloat16Bits* y) {
  for (std::int64_t c = 0; c < width; ++c) narrow(values[c] / sum, y[c]);
}

EMULSION_VECTOR_CLONES void widen_row(const Bfloat16Bits* x, std::int64_t width, float* to) {
  for (std::int64_t c = 0; c < width; ++c) to[c] = widened(x[c]);
}

// Attention of one sample, with what it allocates.
template <class Element>
class Attending {
 public:
  Attending(const AttentionShape& shape, const at::Tensor& q, const at::Tensor& y)
      : shape_(shape),
        at_(shape, q.scalar_type()),
        packed_(at::empty({at_.heads, at_.head()}, q.options().dtype(at::kFloat))),
        buffers_(at::empty({at::get_num_threads(), at_.thread()}, packed_.options())),
        stride_(q.size(2)),
        scale_(static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_width)))),
        y_(static_cast<Element*>(y.mutable_data_ptr())) {}

  void run(const Element* q, const Element* k, const Element* v, std::int64_t sample) {
    const std::int64_t blocks = (shape_.queries + kQueries - 1) / kQueries;
    for (std::int64_t first = 0; first < shape_.heads; first += at_.heads) {
      const std::int64_t heads = std::min(at_.heads, shape_.heads - first);
      const std::int64_t offset = first * at_.width;
      take_turns(heads, [&](std::int64_t h, std::int64_t) {
        pack(k + offset + h * at_.width, v + offset + h * at_.width, packed(h));
      });
      take_turns(heads * blocks, [&](std::int64_t i, std::int64_t thread) {
        const std::int64_t h = i / blocks, query = i % blocks * kQueries;
        const std::int64_t row = sample * shape_.queries + query;
        attend(q + query * stride_ + offset + h * at_.width,
               std::min(kQueries, shape_.queries - query), packed(h),
               buffers_.mutable_data_ptr<float>() + thread * at_.thread(),
               y_ + row * stride_ + offset + h * at_.width);
      });
    }
  }

 private:
  float* packed(std::int64_t head) { return packed_.mutable_data_ptr<float>() + head * at_.head(); }

  void pack(const Element* k, const Element* v, float* to) const {
    const bool pairs = at_.words == Words::BfloatPairs;
    float* values = to + at_.packed_keys();
    for (std::int64_t s = 0; s < at_.padded_keys; s += kPanelColumns) {
      float* panel = to + s * at_.in_words(at_.width);
      const std::int64_t count = std::clamp<std::int64_t>(at_.keys - s, 0, kPanelColumns);
      if (pairs)  // words of two numbers are turned as floats are
        pack_keys(reinterpret_cast<const float*>(k + s * stride_), count, stride_ / 2,
                  at_.width / 2, panel);
      else
        pack_keys(k + s * stride_, count, stride_, at_.width, panel);
    }
    for (std::int64_t c = 0; c < at_.width; c += kPanelColumns) {
      float* panel = values + c * at_.in_words(at_.padded_keys);
      if constexpr (std::is_same_v<Element, Bfloat16Bits>) {
        if (pairs) {
          pair_values(v + c, at_.keys, at_.padded_keys, stride_, panel);
          continue;
        }
      }
      pack_values(v + c, at_.keys, at_.padded_keys, stride_, panel);
    }
  }

  // Queries of one head -> y
  void attend(const Element* q, std::int64_t count, const float* keys, float* buffer,
              Element* y) const {
    float *const scores = buffer, *const values = scores + kQueries * kScores;
    std::array<const void*, kQueries> queries, weights;
    std::array<Seen, kQueries> seen;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      queries[at] = query(q + i * stride_, values + (kQueries + i) * at_.width);
      weights[at] = scores + i * kScores;
      seen[at] = {kLowest, 0};
    }
    std::fill_n(values, count * at_.width, 0.0F);
    for (std::int64_t s = 0; s < at_.padded_keys; s += kKeys) {
      const std::int64_t padded = std::min(kKeys, at_.padded_keys - s);
      score(queries.data(), count, keys, s, padded, scores);
      for (std::int64_t i = 0; i < count; ++i)
        weigh({.scores = scores + i * kScores,
               .count = std::min(padded, at_.keys - s),
               .padded = padded,
               .scale = scale_,
               .values = values + i * at_.width,
               .width = at_.width},
              at_.words, seen[static_cast<std::size_t>(i)]);
      add_values(weights.data(), count, keys, s, padded, values);
    }
    for (std::int64_t i = 0; i < count; ++i)
      divide(values + i * at_.width, seen[static_cast<std::size_t>(i)].sum, at_.width,
             y + i * stride_);
  }

  // Where a query lies as it is multiplied.
  const void* query(const Element* q, float* wide) const {
    if constexpr (std::is_same_v<Element, Bfloat16Bits>) {
      if (at_.words == Words::Floats) {
        widen_row(q, at_.width, wide);
        return wide;
      }
    }
    return q;
  }

  void score(const void* const* queries, std::int64_t count, const float* keys, std::int64_t first,
             std::int64_t padded, float* scores) const {
    const std::int64_t width = at_.in_words(at_.width);
    multiply({.rows = queries,
              .count = count,
              .panel = keys + first * width,
              .panels = padded / kPanelColumns,
              .distance = width * kPanelColumns,
              .depth = width,
              .y = scores,
              .stride = kScores},
             at_.words);
  }

  void add_values(const void* const* weights, std::int64_t count, const float* keys,
                  std::int64_t first, std::int64_t padded, float* values) const {
    multiply({.rows = weights,
              .count = count,
              .panel = keys + at_.packed_keys() + at_.in_words(first) * kPanelColumns,
              .panels = at_.width / kPanelColumns,
              .distance = at_.in_words(at_.padded_keys) * kPanelColumns,
              .depth = at_.in_words(padded),
              .y = values,
              .stride = at_.width,
              .adds = true},
             at_.words);
  }

  AttentionShape shape_;
  Layout at_;
  at::Tensor packed_;   // of each head keys [S / 16, K, 16], then values [K / 16, S, 16]
  at::Tensor buffers_;  // of each thread
  std::int64_t stride_;
  float scale_;
  Element* y_;
};

template <class Element>
void attend_samples(const AttentionShape& shape, const at::Tensor& q, const at::Tensor& k,
                    const at::Tensor& v, const at::Tensor& y) {
  const auto first_of = [](const at::Tensor& x, std::int64_t sample) {
    return static_cast<const Element*>(x.const_data_ptr()) + sample * x.size(1) * x.size(2);
  };
  Attending<Element> attending(shape, q, y);
  for (std::int64_t b = 0; b < shape.batch; ++b)
    attending.run(first_of(q, b), first_of(k, b), first_of(v, b), b);
}

// Heads of whole panels; those of `shape` may have been narrower.
at::Tensor attend_samples(const AttentionShape& shape, const at::Tensor& q, const at::Tensor& k,
                          const at::Tensor& v) {
  at::Tensor y = at::empty(q.sizes(), q.options());
  if (q.scalar_type() == at::kFloat)
    attend_samples<float>(shape, q, k, v, y);
  else
    attend_samples<Bfloat16Bits>(shape, q, k, v, y);
  return y;
}

}  // namespace

bool panels_attend(c10::ScalarType dtype) {
  const bool is_known = dtype == at::kFloat || dtype == at::kBFloat16;
  return is_known && has_panel_tiles();
}

std::int64_t panel_attention_scratch(const AttentionShape& shape, c10::ScalarType dtype,
                                     std::int64_t threads) {
  const Layout at(shape, dtype);
  const std::int64_t widened =
      at.width == shape.head_width
          ? 0
          : 2 * shape.batch * (shape.queries + shape.keys) * shape.heads * at.width;
  return (dtype == at::kFloat ? widened : widened / 2) + at.heads * at.head() +
         threads * at.thread();
}

at::Tensor panel_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           std::int64_t heads) {
  RECORD_FUNCTION("panel_attention", std::vector<c10::IValue>({q, k, v, heads}));
  const AttentionShape shape{q.size(0), q.size(1), k.size(1), heads, q.size(2) / heads};
  const std::int64_t missing = panel_width(shape.head_width) - shape.head_width;
  if (missing == 0) return attend_samples(shape, q, k, v);
  const auto padded = [&](const at::Tensor& x) {
    return at::pad(x.unflatten(-1, {heads, -1}), {0, missing}).flatten(2);
  };
  return attend_samples(shape, padded(q), padded(k), padded(v))
      .unflatten(-1, {heads, -1})
      .narrow(-1, 0, shape.head_width)
      .flatten(2);
}

}  // namespace emulsion::kernels
