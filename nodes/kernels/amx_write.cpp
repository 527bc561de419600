#include "kernels/amx_write.h"

#include "kernels/vector_near.h"

#if defined(__x86_64__) && defined(__GNUC__)

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kHalf = kWrittenColumns / 2;  // floats of a register

enum class Kind : std::uint8_t { Plain, Added, Gated };

EMULSION_AVX512_PAIRS EMULSION_INLINED __m512 sum(const float* sums, const float* bias) {
  return _mm512_add_ps(_mm512_loadu_ps(sums), _mm512_loadu_ps(bias));
}

// Biases of a row's sample.  Rows come in order, so that it changes rarely.
class Biases {
 public:
  Biases(const AmxResult& result, std::int64_t out, std::int64_t column)
      : first_(result.bias + column), rows_(result.rows_a_bias), out_(out), at_(first_) {}

  EMULSION_INLINED const float* of(std::int64_t row) {
    if (rows_ > 0 && (row < begin_ || row >= begin_ + rows_)) {
      begin_ = row / rows_ * rows_;
      at_ = first_ + row / rows_ * out_;
    }
    return at_;
  }

 private:
  const float* first_;
  std::int64_t rows_, out_, begin_ = 0;
  const float* at_;
};

template <Kind kKind>
EMULSION_AVX512_PAIRS void write(const AmxSums& sums, const AmxResult& result, std::int64_t out) {
  Biases biases(result, out, sums.column);
  const auto* const added = static_cast<const Bfloat16Bits*>(result.added);
  auto* const y = static_cast<Bfloat16Bits*>(result.y);
  const float* values = sums.first;
  for (std::int64_t i = sums.place; i < sums.place + sums.count; ++i, values += sums.stride) {
    const std::int64_t row = sums.places == nullptr ? i : sums.places[i];
    if (row < 0) continue;
    const float* const bias = biases.of(row);
    const std::int64_t at = row * out + sums.column;
    __m512 low = sum(values, bias), high = sum(values + kHalf, bias + kHalf);
    if constexpr (kKind == Kind::Added) {
      low = _mm512_add_ps(low, load_widened(added + at));
      high = _mm512_add_ps(high, load_widened(added + at + kHalf));
    }
    if constexpr (kKind == Kind::Gated) {
      const float *const gates = values + sums.gates, *const gate_bias = bias + out;
      low = _mm512_mul_ps(low, near_gelu(sum(gates, gate_bias)));
      high = _mm512_mul_ps(high, near_gelu(sum(gates + kHalf, gate_bias + kHalf)));
    }
    _mm512_storeu_si512(y + at, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
}

}  // namespace

void write_amx(const AmxSums& sums, const AmxResult& result, std::int64_t out) {
  if (sums.gates != 0)
    write<Kind::Gated>(sums, result, out);
  else if (result.added != nullptr)
    write<Kind::Added>(sums, result, out);
  else
    write<Kind::Plain>(sums, result, out);
}

}  // namespace emulsion::kernels
#else
namespace emulsion::kernels {

void write_amx(const AmxSums& /*sums*/, const AmxResult& /*result*/, std::int64_t /*out*/) {}

}  // namespace emulsion::kernels
#endif
