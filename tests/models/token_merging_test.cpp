#include "models/token_merging.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include <set>

#include "fakes/reference.h"

namespace emulsion::models {
namespace {

TokenMerging merging_of(double ratio, std::uint64_t seed = 3) {
  return {.ratio = ratio, .seed = seed, .height = 7, .width = 10};
}

TEST_CASE("the share that is merged is that of all tokens, at most all but one of each square") {
  CHECK(MergedCount(8, 8, 0.5).left == 32);
  CHECK(MergedCount(8, 8, 0.75).left == 16);
  CHECK(MergedCount(8, 8, 0.9).left == 16);
  CHECK(MergedCount(7, 10, 0.1).left == 63);
  CHECK(MergedCount(7, 10, 0).left == 70);
}

TEST_CASE("merged tokens are the means of groups, and each goes back to its group's places") {
  const c10::InferenceMode inference;
  const at::Tensor tokens = at::randn({2, 70, 6});
  const MergedTokens merge(tokens, merging_of(0.4));
  const at::Tensor merged = merge.merged(tokens);
  REQUIRE(merged.sizes() == at::IntArrayRef({2, 42, 6}));
  // Each merged token back in its places: their mean is the token itself.
  const at::Tensor places = at::arange(42, at::kFloat).view({1, 42, 1}).expand({2, 42, 1});
  const at::Tensor group = merge.restored(places.contiguous());  // [2, 70, 1]
  for (std::int64_t b = 0; b < 2; ++b)
    for (std::int64_t i = 0; i < 42; ++i) {
      const at::Tensor of_group = group[b].squeeze(-1).eq(static_cast<double>(i));
      const at::Tensor mean = tokens[b].index({of_group}).mean(0);
      CHECK(fakes::distance(merged[b][i], mean) < 1e-5);
    }
}

TEST_CASE("equal tokens are merged before others") {
  const c10::InferenceMode inference;
  at::Tensor tokens = at::randn({1, 70, 16});
  tokens.narrow(1, 0, 40).copy_(tokens.narrow(1, 0, 1).clone().expand({1, 40, 16}));
  const MergedTokens merge(tokens, merging_of(0.4));  // 28 of the 30 that are no targets
  const at::Tensor back = merge.restored(merge.merged(tokens));
  CHECK(fakes::distance(back, tokens) < 1e-5);
}

TEST_CASE("other seeds draw other tokens, the same one the same") {
  const c10::InferenceMode inference;
  const at::Tensor tokens = at::randn({1, 70, 6});
  const auto merged = [&](std::uint64_t seed) {
    return MergedTokens(tokens, merging_of(0.5, seed)).merged(tokens);
  };
  CHECK(merged(1).equal(merged(1)));
  CHECK_FALSE(merged(1).equal(merged(2)));
}

}  // namespace
}  // namespace emulsion::models
