#include "kernels/linear.h"

#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/packed.h"

namespace emulsion::kernels {
namespace {

constexpr c10::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16};

TEST_CASE("a packed linear layer is one with the unpacked weight, also by tiles") {
  const c10::InferenceMode inference;
  for (const c10::ScalarType dtype : kDtypes)
    for (const Packing packing : fakes::kPackings)
      for (const std::int64_t out : {24, 2000}) {
        CAPTURE(to_text(packing));
        CAPTURE(out);
        const Weight weight = fakes::random_packed({out, 640}, packing, dtype);
        const at::Tensor x = at::randn({2, 5, 640}).to(dtype), bias = at::randn({out}).to(dtype);
        const at::Tensor wanted = linear(x, fakes::unpacked_weight(weight).data, bias);
        const at::Tensor y = linear(x, weight, bias);
        CHECK((y.scalar_type() == dtype));
        CHECK(fakes::packed_error(y, wanted) < fakes::packed_tolerance(dtype));
        CHECK(fakes::packed_error(linear(x, weight, at::Tensor()), wanted.sub(bias)) <
              2 * fakes::packed_tolerance(dtype));
      }
  CHECK(unpacked_outputs(640, 2000) < 2000);
}

}  // namespace
}  // namespace emulsion::kernels
