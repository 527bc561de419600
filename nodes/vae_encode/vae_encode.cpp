#include <ATen/CPUGeneratorImpl.h>

#include "models/cost.h"
#include "models/ops.h"
#include "models/tiles.h"
#include "models/vae_encoder.h"

namespace emulsion {
namespace {

models::TiledPasses plan_of(const std::string& variant, const std::vector<std::int64_t>& latent) {
  return models::tiled_passes(variant, {latent[0], latent[2], latent[3]});
}

// That of the run, or what stands in for it.
c10::ScalarType dtype_of(const WeightView& vae) {
  return vae.find("encoder.conv_in.weight")->dtype;
}

std::int64_t rounded(std::int64_t pixels, std::int64_t factor) {
  return std::max(factor, (pixels + factor / 2) / factor * factor);
}

// [B, c, h, w] of an image [B, 3, H, W]
std::vector<std::int64_t> latent_shape(const std::vector<std::int64_t>& image,
                                       const models::VaeConfig& config) {
  if (image.size() != 4 || image[1] != 3)
    throw GraphError(str("input 'image': expected [B, 3, H, W], got ", shape_text(image)));
  const std::int64_t factor = config.upscale(), H = image[2], W = image[3];
  if (H < factor || W < factor || H % factor != 0 || W % factor != 0)
    throw GraphError(str("input 'image': expected a width and height that are multiples of ",
                         factor, ", got ", W, " x ", H, "; scale or crop it to ",
                         rounded(W, factor), " x ", rounded(H, factor)));
  return {image[0], config.latent_channels, H / factor, W / factor};
}

class VaeEncode final : public Node {
 public:
  explicit VaeEncode(const Params& params) : seed_(params.find<std::int64_t>("seed")) {}

  Forecast forecast(const ForecastContext& context) const override {
    const models::VaeConfig config = models::read_vae_config(context.component("vae"));
    const WeightView weights = context.weights("vae");
    const models::VaeEncoder encoder(weights, config);
    weights.finish();
    const TensorSpec& image = context.tensor("image");
    const TensorSpec latent{latent_shape(image.shape, config), at::kFloat};
    const models::TiledPasses plan = plan_of(context.variant(), latent.shape);
    const std::int64_t side = config.upscale();
    const models::MapBatch pixels{plan.batch, side * plan.grid.height, side * plan.grid.width};
    const models::Cost pass = models::vae_encode_cost(
        config, pixels, dtype_of(weights), models::branch_load(weights), plan.grid.count() > 1);
    // Besides: the pixels of a tile, and from -1 to 1 in the dtype of the run.
    const Bytes input = 3 * pixels.pixels() * 8;
    Forecast forecast{.outputs = {{"latent", latent}},
                      .workspace = pass.workspace + input + 4 * latent.bytes(),
                      .work = models::repeated(pass.work, static_cast<double>(plan.passes)),
                      .passes = static_cast<double>(plan.passes),
                      .cpu_workspace = pass.cpu_workspace};
    forecast.work.traffic += static_cast<double>(6 * image.bytes());  // scaled and converted
    return forecast;
  }

  void run(RunContext& context) const override {
    const models::VaeConfig config = models::read_vae_config(context.component("vae"));
    const WeightView weights = context.weights("vae");
    const models::VaeEncoder encoder(weights, config);
    const at::Tensor& image = context.tensor("image");  // [B, 3, H, W]
    const std::vector<std::int64_t> shape = latent_shape(image.sizes().vec(), config);
    const auto checkpoint = [&] { context.check_cancelled(); };
    // Mean and deviation beside each other, so that both are blended alike.
    const std::int64_t c = shape[1];
    at::Tensor both = at::empty({shape[0], seed_ ? 2 * c : c, shape[2], shape[3]}, at::kFloat)
                          .to(context.device());
    const auto encode = [&](const at::Tensor& tile, models::NormStatistics* statistics) {
      const at::Tensor values = tile.mul(2).sub_(1).to(dtype_of(weights));  // -1..1
      const auto latent = encoder(values, checkpoint, statistics);
      return seed_ ? at::cat({latent.mean, latent.deviation}, 1) : latent.mean;
    };
    models::blend_tiles(image, config.upscale(), both, 1, plan_of(context.variant(), shape),
                        encode);
    at::Tensor latent = seed_ ? sample(both.narrow(1, 0, c), both.narrow(1, c, c)) : both;
    context.output("latent", latent.sub_(config.shift_factor).mul_(config.scaling_factor));
  }

 private:
  // [B, c, h, w]; a generator for each picture, so that it does not depend on its place.
  at::Tensor sample(const at::Tensor& mean, const at::Tensor& deviation) const {
    std::vector<std::int64_t> shape = mean.sizes().vec();
    at::Tensor latent = at::empty(shape, mean.options());
    shape[0] = 1;
    for (std::int64_t i = 0; i < mean.size(0); ++i) {
      at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(
          static_cast<std::uint64_t>(*seed_) + static_cast<std::uint64_t>(i));
      latent.narrow(0, i, 1).copy_(at::randn(shape, generator, at::kFloat));
    }
    return latent.mul_(deviation).add_(mean);
  }

  std::optional<std::int64_t> seed_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "vae_encode",
       .summary = "Encodes an image to a latent.",
       .inputs = {{"image", port::kImage,
                   "width and height multiples of 8, as most models have it"}},
       .outputs = {{"latent", port::kLatent, "without noise"}},
       .params = {{.name = "seed",
                   .fallback = std::int64_t{0},
                   .help = "Draws the latent from the distribution that the encoder gives; each "
                           "further picture takes the next number. Without it, its mean is taken.",
                   .optional = true,
                   .min = 0}},
       .slots = {{"vae", "an AutoencoderKL", true}},
       .variants = models::vae_variants(),
       .phase = Phase::Decode,
       .create = [](const Params& params) { return std::make_unique<VaeEncode>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
