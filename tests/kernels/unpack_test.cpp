#include "kernels/unpack.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
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

TEST_CASE("a part of a row is what the whole row has there") {
  const c10::InferenceMode inference;
  for (const Packing packing : fakes::kPackings) {
    CAPTURE(to_text(packing));
    const Weight weight = fakes::random_packed({3, 160}, packing, at::kBFloat16);
    at::Tensor part = at::empty({64}, at::kBFloat16);
    unpack_numbers(weight.data.select(0, 1).const_data_ptr<std::uint8_t>(), 32, 64, packing,
                   static_cast<Bfloat16Bits*>(part.mutable_data_ptr()));
    CHECK(part.equal(unpacked_rows(weight, 1, 1, at::kBFloat16)[0].narrow(0, 32, 64)));
  }
}

TEST_CASE("a weight of numbers is as it was") {
  const at::Tensor numbers = at::randn({5, 3, 2}).to(at::kBFloat16);
  const Weight weight = plain_weight(numbers);
  CHECK(weight.spec == TensorSpec{{5, 3, 2}, at::kBFloat16});
  CHECK((weight.packing == Packing::None));
  CHECK(weight.data.is_same(numbers));
}

}  // namespace
}  // namespace emulsion::kernels
