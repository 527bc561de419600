#include "models/tiles.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"

namespace emulsion::models {
namespace {

TEST_CASE("tiles of one size cover a picture and overlap by at least 12") {
  for (const char* variant : {"tiles_32", "tiles_64", "tiles_96"})
    for (const std::int64_t side : {33, 52, 53, 97, 128, 200, 301}) {
      CAPTURE(variant);
      CAPTURE(side);
      const TileGrid grid = tile_grid(variant, side, 20);
      CHECK(grid.columns == std::vector<std::int64_t>{0});
      CHECK(grid.width == 20);
      CHECK(grid.rows.front() == 0);
      CHECK(grid.rows.back() + grid.height == side);
      for (std::size_t i = 1; i < grid.rows.size(); ++i)
        CHECK(grid.rows[i - 1] + grid.height - grid.rows[i] >= 12);
    }
}

TEST_CASE("a picture no larger than a tile is one tile, and a batch goes by pictures") {
  const TiledPasses whole = tiled_passes("whole", {3, 40, 50});
  CHECK(whole.batch == 3);
  CHECK(whole.passes == 1);
  CHECK(tiled_passes("one_by_one", {3, 40, 50}).passes == 3);
  CHECK(tiled_passes("tiles_64", {3, 40, 50}).passes == 3);
  // Two by two tiles and their statistics, for each picture.
  CHECK(tiled_passes("tiles_32", {3, 40, 50}).passes == 3 * (2 * 2 + 1));
}

TEST_CASE("blended tiles of an unchanged picture are the picture") {
  const c10::InferenceMode inference;
  const at::Tensor picture = at::rand({2, 3, 2 * 70, 2 * 53});
  at::Tensor result = at::empty({2, 3, 4 * 70, 4 * 53});
  const auto enlarge = [](const at::Tensor& tile, NormStatistics*) {
    return upsample(tile, 2 * tile.size(2), 2 * tile.size(3));
  };
  blend_tiles(picture, 2, result, 4, tiled_passes("tiles_32", {2, 70, 53}), enlarge);
  CHECK(fakes::distance(result, enlarge(picture, nullptr)) < 1e-6);
}

TEST_CASE("tiles are given the statistics of the whole picture, made as small as a tile") {
  const c10::InferenceMode inference;
  std::vector<std::vector<std::int64_t>> sizes;
  at::Tensor result = at::empty({1, 3, 40, 64});
  int passes = 0;
  blend_tiles(at::rand({1, 3, 40, 64}), 1, result, 1, tiled_passes("tiles_32", {1, 40, 64}),
              [&](const at::Tensor& tile, NormStatistics* statistics) {
                CHECK(statistics != nullptr);
                sizes.push_back(tile.sizes().vec());
                ++passes;
                return tile;
              });
  CHECK(sizes.front() == std::vector<std::int64_t>{1, 3, 20, 32});
  CHECK(sizes.back() == std::vector<std::int64_t>{1, 3, 32, 32});
  CHECK(passes == tiled_passes("tiles_32", {1, 40, 64}).passes);
}

TEST_CASE("norms apply the statistics that the first pass took, in its order") {
  const c10::InferenceMode inference;
  const auto part = fakes::load_part(fakes::reference_model("sd15_like"), "vae");
  const WeightView norms = part.view().scope("decoder.mid_block.resnets.0");
  const NormConfig config{.groups = 8, .eps = 1e-6};
  const GroupNorm first(norms.scope("norm1"), 16, config), second(norms.scope("norm2"), 16, config);
  const at::Tensor x = at::rand({1, 16, 6, 8}), y = at::rand({1, 16, 3, 4}) * 3 + 1;
  NormStatistics statistics;
  statistics.begin_pass();
  const at::Tensor want_first = first(x), want_second = second(y);
  CHECK(fakes::distance(first(x, &statistics), want_first) < 1e-5);
  CHECK(fakes::distance(second(y, &statistics), want_second) < 1e-5);
  for (int pass = 0; pass < 2; ++pass) {
    statistics.begin_pass();
    const at::Tensor left = first(x.narrow(3, 0, 2), &statistics);
    CHECK(fakes::distance(left, want_first.narrow(3, 0, 2)) < 1e-5);
    CHECK(fakes::distance(second(y, &statistics), want_second) < 1e-5);
  }
}

}  // namespace
}  // namespace emulsion::models
