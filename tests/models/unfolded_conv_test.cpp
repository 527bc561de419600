#include "models/unfolded_conv.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"

namespace emulsion::models {
namespace {

TEST_CASE("a convolution as one product gives what the definition gives, in either layout") {
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({2, 24, 5, 7}), weight = at::randn({20, 24, 3, 3}).mul_(0.07);
  const at::Tensor bias = at::randn({20});
  const at::Tensor want =
      at::conv2d(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble), 1, 1);
  for (const auto layout : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const at::Tensor y = unfolded_conv2d(x.contiguous(layout), weight, bias);
    CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
    CHECK(fakes::distance(y, want) < 5e-6);
  }
}

TEST_CASE("it pays on maps with few pixels for their filters") {
  CHECK(UnfoldedShape{1280, 1280, 128}.pays());
  CHECK_FALSE(UnfoldedShape{1280, 1280, 512}.pays());
  CHECK_FALSE(UnfoldedShape{1280, 4, 64}.pays());
}

}  // namespace
}  // namespace emulsion::models
