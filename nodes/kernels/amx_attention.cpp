#include "kernels/amx_attention.h"

#include <ATen/record_function.h>

#include <array>
#include <limits>
#include <numbers>

#include "kernels/amx_pack.h"
#include "kernels/amx_scores.h"
#include "kernels/panel_tile.h"
#include "kernels/panel_tile_amx.h"
#include "kernels/rounding.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/vector_clones.h"

namespace emulsion::kernels {
namespace {

// Queries that meet the same keys one after the other, while a cache has these, and keys whose
// weights are kept.
constexpr std::int64_t kQueries = 2 * kAmxQueries, kKeys = 1024;
// From one query's weights to the next: whole pages apart, they would compete for the same lines
// of a cache.
constexpr std::int64_t kWeights = kKeys + 32;
constexpr std::int64_t kMostPacked = 1 << 20;  // words of keys and values at a time
constexpr float kLowest = std::numeric_limits<float>::lowest();
constexpr float kMostSum = 0x1p64F;  // of weights, before values are likely to overflow

// Where things lie, in words of 32 bits.
struct Layout {
  std::int64_t width;    // of a head's queries and keys: a multiple of 32, in numbers
  std::int64_t columns;  // of its values: a multiple of 16
  std::int64_t keys;     // a multiple of 32
  std::int64_t heads;    // packed at a time

  explicit Layout(const AttentionShape& shape)
      : width(rounded_up(shape.head_width, 32)),
        columns(rounded_up(shape.head_width, kPanelColumns)),
        keys(rounded_up(shape.keys, kAmxKeyBlock)),
        heads(std::clamp<std::int64_t>(kMostPacked / head(), 1, shape.heads)) {}

  std::int64_t packed_keys() const { return keys * width / 2; }
  std::int64_t panel() const { return keys / 2 * kPanelColumns; }  // of values
  std::int64_t head() const { return packed_keys() + keys * columns / 2; }
  std::int64_t queries() const { return kQueries * width / 2; }
  std::int64_t weights() const { return kQueries * kWeights / 2; }
  std::int64_t thread() const {
    return queries() + weights() + kQueries * (columns + kAmxSumColumns);
  }
};

// What a thread works on.
struct Buffer {
  Bfloat16Bits *queries, *weights;
  float *sums, *together;

  Buffer(const Layout& at, float* first)
      : queries(reinterpret_cast<Bfloat16Bits*>(first)),
        weights(reinterpret_cast<Bfloat16Bits*>(first + at.queries())),
        sums(first + at.queries() + at.weights()),
        together(sums + kQueries * at.columns) {}
};

// Rows of `columns` numbers, of `width` with zeros behind them -> `padded` of them.
void copy_rows(const Bfloat16Bits* from, std::int64_t stride, std::int64_t rows,
               std::int64_t columns, std::int64_t padded, std::int64_t width, Bfloat16Bits* to) {
  for (std::int64_t i = 0; i < padded; ++i, to += width) {
    const std::int64_t there = i < rows ? columns : 0;
    std::copy_n(from + i * stride, there, to);
    std::fill(to + there, to + width, Bfloat16Bits{});
  }
}

// -> y, rounded
EMULSION_VECTOR_CLONES void scale(const float* values, float factor, std::int64_t width,
                                  Bfloat16Bits* y) {
  for (std::int64_t c = 0; c < width; ++c) narrow(factor * values[c], y[c]);
}

EMULSION_VECTOR_CLONES void scale(float* values, float factor, std::int64_t width) {
  for (std::int64_t c = 0; c < width; ++c) values[c] *= factor;
}

// One sample's tensors, from a head on.
struct Sample {
  const Bfloat16Bits *q, *k, *v;
  std::int64_t q_stride, k_stride, v_stride;  // from one row to the next
  Bfloat16Bits* y;
  std::int64_t y_stride;

  Sample(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
         const at::Tensor& result, std::int64_t sample)
      : q(first(queries, sample)),
        k(first(keys, sample)),
        v(first(values, sample)),
        q_stride(queries.stride(1)),
        k_stride(keys.stride(1)),
        v_stride(values.stride(1)),
        y(static_cast<Bfloat16Bits*>(result.mutable_data_ptr()) + sample * result.stride(0)),
        y_stride(result.stride(1)) {}

  static const Bfloat16Bits* first(const at::Tensor& x, std::int64_t sample) {
    return static_cast<const Bfloat16Bits*>(x.const_data_ptr()) + sample * x.stride(0);
  }
};

class Attending {
 public:
  explicit Attending(const AttentionShape& shape)
      : shape_(shape),
        at_(shape),
        packed_(at::empty({at_.heads, at_.head()}, at::kFloat)),
        buffers_(at::empty({at::get_num_threads(), at_.thread()}, at::kFloat)),
        scale_(static_cast<float>(std::numbers::log2e /
                                  std::sqrt(static_cast<double>(shape.head_width)))) {}

  void run(const Sample& sample) {
    const std::int64_t blocks = quotient_up(shape_.queries, kQueries);
    for (std::int64_t first = 0; first < shape_.heads; first += at_.heads) {
      const std::int64_t heads = std::min(at_.heads, shape_.heads - first);
      take_turns(heads, [&](std::int64_t h, std::int64_t thread) {
        pack(sample, (first + h) * shape_.head_width, packed(h), buffer(thread).queries);
      });
      take_turns(heads * blocks, [&](std::int64_t i, std::int64_t thread) {
        attend(sample, (first + i / blocks) * shape_.head_width, i % blocks * kQueries,
               packed(i / blocks), buffer(thread));
      });
    }
  }

 private:
  enum class Look : std::uint8_t { First, All };  // for the highest score: among which keys

  float* packed(std::int64_t head) { return packed_.mutable_data_ptr<float>() + head * at_.head(); }
  Buffer buffer(std::int64_t thread) {
    return {at_, buffers_.mutable_data_ptr<float>() + thread * at_.thread()};
  }

  // `rows` holds sixteen keys whose panel needs zeros.
  void pack(const Sample& sample, std::int64_t column, float* to, Bfloat16Bits* rows) const {
    for (std::int64_t s = 0; s < at_.keys; s += kPanelColumns) {
      const Bfloat16Bits* from = sample.k + s * sample.k_stride + column;
      const std::int64_t count = std::clamp<std::int64_t>(shape_.keys - s, 0, kPanelColumns);
      const bool is_whole = count == kPanelColumns && at_.width == shape_.head_width;
      if (!is_whole)
        copy_rows(from, sample.k_stride, count, shape_.head_width, kPanelColumns, at_.width, rows);
      pack_rows_amx(is_whole ? from : rows, is_whole ? sample.k_stride : at_.width, at_.width,
                    to + s * at_.width / 2);
    }
    for (std::int64_t c = 0; c < at_.columns; c += kPanelColumns)
      pack_pairs_amx(sample.v + column + c, sample.v_stride, shape_.keys, at_.keys,
                     std::min(kPanelColumns, shape_.head_width - c),
                     to + at_.packed_keys() + c / kPanelColumns * at_.panel());
  }

  void attend(const Sample& sample, std::int64_t column, std::int64_t query, const float* packed,
              const Buffer& buffer) const {
    const std::int64_t count = std::min(kQueries, shape_.queries - query);
    copy_rows(sample.q + query * sample.q_stride + column, sample.q_stride, count,
              shape_.head_width, kQueries, at_.width, buffer.queries);
    {
      const AmxTiles tiles;
      if (!sum_up(Look::First, count, packed, buffer)) sum_up(Look::All, count, packed, buffer);
    }
    for (std::int64_t i = 0; i < count; ++i)
      scale(buffer.sums + i * at_.columns, 1 / buffer.together[i * kAmxSumColumns],
            shape_.head_width, sample.y + (query + i) * sample.y_stride + column);
  }

  // Whether all sums are within the range of floats.
  bool sum_up(Look look, std::int64_t count, const float* packed, const Buffer& buffer) const {
    std::array<float, kQueries> highest;
    highest.fill(kLowest);
    std::fill_n(buffer.sums, kQueries * (at_.columns + kAmxSumColumns), 0.0F);
    for (std::int64_t key = 0; key < at_.keys; key += kKeys)
      for (std::int64_t i = 0; i < count; i += kAmxQueries)
        add_keys(look, key, i, packed, buffer, highest.data() + i);
    for (std::int64_t i = 0; i < count; ++i)  // no number is not less
      if (!(buffer.together[i * kAmxSumColumns] < kMostSum)) return false;
    return true;
  }

  // Those from `key` on, for queries from `query` on.
  void add_keys(Look look, std::int64_t key, std::int64_t query, const float* packed,
                const Buffer& buffer, float* highest) const {
    const AmxScores scores{.queries = buffer.queries + query * at_.width,
                           .keys = packed + key * at_.width / 2,
                           .width = at_.width,
                           .count = std::min(kKeys, shape_.keys - key),
                           .padded = std::min(kKeys, at_.keys - key),
                           .scale = scale_};
    const AmxValues values{.panels = packed + at_.packed_keys() + key / 2 * kPanelColumns,
                           .distance = at_.panel(),
                           .columns = at_.columns,
                           .sums = buffer.sums + query * at_.columns,
                           .together = buffer.together + query * kAmxSumColumns};
    Bfloat16Bits* const weights = buffer.weights + query * kWeights;
    if (look == Look::All) raise(scores, values, highest);
    if (look == Look::First && key == 0)
      raise_and_weigh_amx(scores, highest, weights, kWeights);
    else
      weigh_amx(scores, highest, weights, kWeights);
    add_values_amx(weights, kWeights, scores.padded, values);
  }

  // What was summed up before had another highest score.
  void raise(const AmxScores& scores, const AmxValues& values, float* highest) const {
    std::array<float, kAmxQueries> before;
    std::copy_n(highest, kAmxQueries, before.begin());
    raise_amx(scores, highest);
    for (std::int64_t i = 0; i < kAmxQueries; ++i) {
      const float factor = std::exp2(before[static_cast<std::size_t>(i)] - highest[i]);
      scale(values.sums + i * at_.columns, factor, at_.columns);
      values.together[i * kAmxSumColumns] *= factor;
    }
  }

  AttentionShape shape_;
  Layout at_;
  at::Tensor packed_;   // of each head keys [S / 16, K / 2, 16], then values [K / 16, S / 2, 16]
  at::Tensor buffers_;  // of each thread
  float scale_;
};

}  // namespace

bool amx_attends(c10::ScalarType dtype) { return dtype == at::kBFloat16 && has_amx(); }

std::int64_t amx_attention_scratch(const AttentionShape& shape, std::int64_t threads) {
  const Layout at(shape);
  return at.heads * at.head() + threads * at.thread();
}

at::Tensor amx_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         std::int64_t heads) {
  RECORD_FUNCTION("amx_attention", std::vector<c10::IValue>({q, k, v, heads}));
  at::Tensor y = at::empty(q.sizes(), q.options());
  Attending attending({q.size(0), q.size(1), k.size(1), heads, q.size(2) / heads});
  for (std::int64_t b = 0; b < q.size(0); ++b) attending.run({q, k, v, y, b});
  return y;
}

}  // namespace emulsion::kernels
