#include "kernels/unpack.h"

#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/packed.h"

namespace emulsion::kernels {
namespace {

TEST_CASE("the kernels give the numbers that the plain form gives, of any rows") {
  const c10::InferenceMode inference;
  for (const Packing packing : fakes::kPackings)
    for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      CAPTURE(to_text(packing));
      const Weight weight = fakes::random_packed({45, 64, 3, 3}, packing, dtype);
      const at::Tensor wanted = unpacked(weight.data, packing).to(dtype).view({45, 64, 3, 3});
      CHECK(unpacked_rows(weight, 0, 45, dtype).equal(wanted));
      CHECK(unpacked_rows(weight, 7, 11, dtype).equal(wanted.narrow(0, 7, 11)));
    }
}

TEST_CASE("an int8 row may have any length") {
  const c10::InferenceMode inference;
  for (const std::int64_t n : {1, 7, 33, 40000}) {
    const Weight weight = fakes::random_packed({3, n}, Packing::Int8, at::kFloat);
    CHECK(unpacked_rows(weight, 0, 3, at::kFloat).equal(unpacked(weight.data, Packing::Int8)));
  }
}

}  // namespace
}  // namespace emulsion::kernels
