#include "kernels/gate_row.h"

#include <algorithm>
#include <cmath>
#include <vector>
#include "check.h"

#include "fakes/bfloat16.h"
#include "fakes/numbers.h"

namespace emulsion::kernels {
namespace {

using fakes::at;

constexpr std::int64_t kWidth = 48;

// The furthest from the definition, of values of up to 4 and gates of up to 6.
template <class From, class To>
double error() {
  std::vector<float> numbers = fakes::numbers(2 * kWidth);
  std::vector<From> x(numbers.size());
  for (std::size_t i = 0; i < x.size(); ++i) narrow(numbers[i] * (i < kWidth ? 4 : 6), x[i]);
  std::vector<To> y(at(kWidth));
  gate_row(x.data(), kWidth, y.data());
  double worst = 0;
  for (std::int64_t c = 0; c < kWidth; ++c) {
    const double value = widened(x[at(c)]), gate = widened(x[at(kWidth + c)]);
    const double wanted = value * gate * (1 + std::erf(gate / std::sqrt(2.0))) / 2;
    worst = std::max(worst, std::abs(widened(y[at(c)]) - wanted) / (1 + std::abs(wanted)));
  }
  return worst;
}

TEST_CASE("values are multiplied with the gelu of their gates, whatever the types") {
  CHECK(error<float, float>() < 1e-6);
  CHECK(error<float, Bfloat16Bits>() < 1.0 / 256);
  CHECK(error<Bfloat16Bits, Bfloat16Bits>() < 1.0 / 256);
}

}  // namespace
}  // namespace emulsion::kernels
