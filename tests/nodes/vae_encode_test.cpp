#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

constexpr double kScale = 0.18215;  // of sd15_like

struct EncodeCase {
  std::map<std::string, at::Tensor> reference = fakes::reference_tensors("sd15_like");
  at::Tensor image = (reference.at("vae.image") + 1) / 2;  // [1, 3, 20, 28] in 0..1

  fakes::NodeCase node() const {
    return {.id = "vae_encode",
            .model = fakes::reference_model("sd15_like"),
            .parts = {{"vae", "vae"}},
            .inputs = {{"image", image}}};
  }
};

at::Tensor latent_of(const fakes::NodeCase& node) {
  return std::get<at::Tensor>(fakes::run_node(node).at("latent"));
}

TEST_CASE("a latent is the mean of the encoder's distribution, scaled") {
  const EncodeCase encode;
  const at::Tensor latent = latent_of(encode.node());
  CHECK(fakes::distance(latent, encode.reference.at("vae.encoded_mean") * kScale) < 2e-5);
  CHECK(to_text(fakes::forecast_node(encode.node()).outputs.at("latent")) ==
        to_text(spec_of(latent)));
  CHECK(latent.is_contiguous());
}

TEST_CASE("with a seed a latent is drawn, each picture from a generator of its own") {
  EncodeCase encode;
  encode.image = at::cat({encode.image, encode.image});
  auto node = encode.node();
  node.params["seed"] = std::int64_t{8};
  const at::Tensor latent = latent_of(node);
  for (const std::int64_t i : {0, 1}) {
    const at::Tensor noise =
        at::randn({1, 4, 5, 7}, at::make_generator<at::CPUGeneratorImpl>(8U + i), at::kFloat);
    const at::Tensor want = encode.reference.at("vae.encoded_mean") +
                            encode.reference.at("vae.encoded_deviation") * noise;
    CHECK(fakes::distance(latent.narrow(0, i, 1), want * kScale) < 2e-5);
  }
}

TEST_CASE("pictures encoded one by one or in tiles that are larger give what a batch gives") {
  EncodeCase encode;
  encode.image = at::cat({encode.image, encode.image * 0.5});
  auto node = encode.node();
  const at::Tensor want = latent_of(node);
  for (const char* variant : {"one_by_one", "tiles_96", "tiles_32"}) {
    CAPTURE(variant);
    node.variant = variant;
    CHECK(fakes::distance(latent_of(node), want) < 1e-5);
    CHECK(fakes::forecast_node(node).passes == 2);
  }
}

TEST_CASE("an image that does not divide into latent pixels is refused with one that does") {
  EncodeCase encode;
  encode.image = encode.image.narrow(3, 0, 26).contiguous();
  CHECK_THROWS_WITH_AS(fakes::forecast_node(encode.node()),
                       "input 'image': expected a width and height that are multiples of 4, got 26 "
                       "x 20; scale or crop it to 28 x 20",
                       GraphError);
}

}  // namespace
}  // namespace emulsion
