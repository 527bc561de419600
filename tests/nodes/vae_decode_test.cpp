#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/stack.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

fakes::NodeCase decode(const std::string& model, const at::Tensor& latent) {
  return {.id = "vae_decode",
          .model = fakes::reference_model(model),
          .parts = {{"vae", "vae"}},
          .inputs = {{"latent", latent}}};
}

at::Tensor image_of(const fakes::NodeCase& node) {
  return std::get<at::Tensor>(fakes::run_node(node).at("image"));
}

TEST_CASE("an image is the decoded latent, unscaled, from -1..1 to 0..1 and cut off there") {
  const auto reference = fakes::reference_tensors("sd21_v_like");
  const auto node = decode("sd21_v_like", reference.at("vae.latent") * 0.52539);
  const at::Tensor image = image_of(node);
  const at::Tensor want = (reference.at("vae.decoded") + 1).mul(0.5).clamp(0, 1);
  CHECK(fakes::distance(image, want) < 2e-5);
  CHECK(image.is_contiguous());
  CHECK(to_text(fakes::forecast_node(node).outputs.at("image")) == "[2, 3, 48, 80] float32");
}

TEST_CASE("an image is float32 in every run") {
  const auto reference = fakes::reference_tensors("sd15_like");
  auto node = decode("sd15_like", reference.at("vae.latent") * 0.18215);
  node.dtype = c10::kBFloat16;
  const at::Tensor want = (reference.at("vae.decoded") + 1).mul(0.5).clamp(0, 1);
  const at::Tensor image = image_of(node);
  CHECK(dtype_text(image.scalar_type()) == "float32");
  CHECK(fakes::distance(image, want) < 0.05);
  CHECK(to_text(fakes::forecast_node(node).outputs.at("image")) == "[2, 3, 24, 40] float32");
}

TEST_CASE("a decoder that overflows float16 computes in bfloat16 in its stead") {
  const auto reference = fakes::reference_tensors("sdxl_like");
  auto node = decode("sdxl_like", reference.at("zeroed_negative_prompt.latent"));
  const auto in = [&](c10::ScalarType dtype) {
    node.dtype = dtype;
    return image_of(node);
  };
  CHECK(in(c10::kHalf).equal(in(c10::kBFloat16)));
  CHECK(fakes::distance(in(c10::kHalf), reference.at("zeroed_negative_prompt.image")) < 0.05);
}

TEST_CASE("pictures decoded one by one give what a batch gives") {
  const auto reference = fakes::reference_tensors("sd15_like");
  auto node = decode("sd15_like", reference.at("vae.latent"));
  const at::Tensor batch = image_of(node);
  const Forecast together = fakes::forecast_node(node);
  for (const char* variant : {"one_by_one", "tiles_96", "tiles_32"}) {
    CAPTURE(variant);
    node.variant = variant;
    CHECK(fakes::distance(image_of(node), batch) < 1e-5);
    CHECK(fakes::forecast_node(node).passes == 2);
    CHECK(fakes::forecast_node(node).workspace < together.workspace);
  }
}

// A red disc on blue: what a tile sees of it depends on where it is.
at::Tensor disc_image(std::int64_t height, std::int64_t width) {
  const at::Tensor y = at::arange(height).unsqueeze(1) - 200, x = at::arange(width) - 190;
  const at::Tensor inside = (y * y + x * x).lt(90 * 90).to(at::kFloat);  // [H, W]
  return at::stack({inside * 0.6 + 0.25, inside * -0.2 + 0.35, inside * -0.5 + 0.7}).unsqueeze(0);
}

// Mean distance of neighbours across each line between columns (dim 3) or rows (dim 2).
at::Tensor steps(const at::Tensor& map, std::int64_t dim) {
  const std::int64_t n = map.size(dim) - 1;
  at::Tensor step = (map.narrow(dim, 1, n) - map.narrow(dim, 0, n)).abs();
  return dim == 3 ? step.mean({0, 1, 2}) : step.mean({0, 1, 3});
}

TEST_CASE("a picture in tiles is close to the whole one, and no line shows where tiles end") {
  const c10::InferenceMode inference;
  const std::filesystem::path model = "../examples/models/tiny-sd21";
  const fakes::NodeCase encode{.id = "vae_encode",
                               .model = model,
                               .parts = {{"vae", "vae"}},
                               .inputs = {{"image", disc_image(320, 448)}}};
  auto node = decode("", std::get<at::Tensor>(fakes::run_node(encode).at("latent")));
  node.model = model;
  const at::Tensor whole = image_of(node);
  node.variant = "tiles_32";
  const at::Tensor difference = image_of(node) - whole;
  CHECK(difference.abs().mean().item<double>() < 0.02);
  const at::Tensor columns = steps(difference, 3), rows = steps(difference, 2);
  const auto at_line = [](const at::Tensor& list, std::int64_t line) {
    return list[line - 1].item<double>();
  };
  // Tiles begin at rows 0 and 8, and at columns 0, 12 and 24, all times 8, and are 256 pixels long.
  for (const std::int64_t line : {64, 256}) CHECK(at_line(rows, line) < rows.max().item<double>());
  for (const std::int64_t line : {96, 192, 256, 352})
    CHECK(at_line(columns, line) < 0.5 * columns.max().item<double>());
}

TEST_CASE("a latent of another number of channels is refused before the run") {
  const auto reference = fakes::reference_tensors("sd15_like");
  const auto node = decode("sd15_like", reference.at("vae.latent").narrow(1, 0, 3).contiguous());
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "input 'latent': expected [B, 4, h, w], got [2, 3, 6, 10]", GraphError);
}

}  // namespace
}  // namespace emulsion
