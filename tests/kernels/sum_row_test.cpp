#include "kernels/sum_row.h"

#include <vector>

#include "check.h"
#include "fakes/numbers.h"

namespace emulsion::kernels {
namespace {

using fakes::at, fakes::numbers;

constexpr std::int64_t kCount = 37;  // no multiple of a vector

TEST_CASE("rows are added number by number, also onto themselves") {
  std::vector<float> x = numbers(kCount), sums(at(kCount));
  const std::vector<float> more = numbers(kCount);
  add_row(x.data(), more.data(), kCount, sums.data());
  for (std::int64_t i = 0; i < kCount; ++i) CHECK(sums[at(i)] == x[at(i)] + more[at(i)]);
  add_row(x.data(), more.data(), kCount, x.data());
  CHECK(x == sums);
}

TEST_CASE("bfloat16 is widened before it is added to") {
  std::vector<Bfloat16Bits> x(at(kCount));
  narrow_row(numbers(kCount).data(), kCount, x.data());
  std::vector<float> sums(at(kCount), 0.001F);
  add_row(x.data(), sums.data(), kCount, sums.data());
  for (std::int64_t i = 0; i < kCount; ++i) CHECK(sums[at(i)] == widened(x[at(i)]) + 0.001F);
}

TEST_CASE("rows are rounded to the nearest bfloat16, and floats are left as they are") {
  const std::vector<float> x = {1, 1 + 1.0F / 256, 1 + 3.0F / 256, -3.14159274F};
  std::vector<Bfloat16Bits> near(x.size());
  narrow_row(x.data(), 4, near.data());
  CHECK(widened(near[0]) == 1);
  CHECK(widened(near[1]) == 1);  // ties to even
  CHECK(widened(near[2]) == 1 + 4.0F / 256);
  CHECK(widened(near[3]) == -3.140625F);
  std::vector<float> same(x.size());
  narrow_row(x.data(), 4, same.data());
  CHECK(same == x);
}

}  // namespace
}  // namespace emulsion::kernels
