#include "models/cost.h"
#include "models/ops.h"
#include "models/tiles.h"
#include "models/vae.h"

namespace emulsion {
namespace {

models::TiledPasses plan_of(const std::string& variant, const std::vector<std::int64_t>& latent) {
  return models::tiled_passes(variant, {latent[0], latent[2], latent[3]});
}

// That of the run, or what stands in for it.
c10::ScalarType dtype_of(const WeightView& vae) {
  return vae.find("decoder.conv_in.weight")->dtype;
}

class VaeDecode final : public Node {
 public:
  Forecast forecast(const ForecastContext& context) const override {
    const models::VaeConfig config = models::read_vae_config(context.component("vae"));
    const WeightView weights = context.weights("vae");
    const models::VaeDecoder decoder(weights, config);
    weights.finish();
    const TensorSpec& latent = context.tensor("latent");
    if (latent.shape.size() != 4 || latent.shape[1] != config.latent_channels)
      throw GraphError(str("input 'latent': expected [B, ", config.latent_channels, ", h, w], got ",
                           shape_text(latent.shape)));
    const std::int64_t side = config.upscale();
    const TensorSpec image{{latent.shape[0], 3, side * latent.shape[2], side * latent.shape[3]},
                           at::kFloat};
    const models::TiledPasses plan = plan_of(context.variant(), latent.shape);
    const models::Cost pass = models::vae_decode_cost(
        config, {plan.batch, plan.grid.height, plan.grid.width}, dtype_of(weights),
        models::branch_load(weights), plan.grid.count() > 1);
    Forecast forecast{.outputs = {{"image", image}},
                      .workspace = pass.workspace + 3 * latent.bytes(),
                      .work = models::repeated(pass.work, static_cast<double>(plan.passes)),
                      .passes = static_cast<double>(plan.passes),
                      .cpu_workspace = pass.cpu_workspace};
    forecast.work.traffic += static_cast<double>(8 * image.bytes());  // copied, scaled, cut off
    return forecast;
  }

  void run(RunContext& context) const override {
    const models::VaeConfig config = models::read_vae_config(context.component("vae"));
    const WeightView weights = context.weights("vae");
    const models::VaeDecoder decoder(weights, config);
    const at::Tensor latent = context.tensor("latent")
                                  .div(config.scaling_factor)
                                  .add_(config.shift_factor)
                                  .to(dtype_of(weights));  // [B, C, h, w]
    const auto checkpoint = [&] { context.check_cancelled(); };
    const std::int64_t B = latent.size(0), side = config.upscale();
    at::Tensor image = at::empty({B, 3, side * latent.size(2), side * latent.size(3)},
                                 latent.options().dtype(at::kFloat));
    models::blend_tiles(latent, 1, image, side, plan_of(context.variant(), latent.sizes().vec()),
                        [&](const at::Tensor& tile, models::NormStatistics* statistics) {
                          return decoder(tile, checkpoint, statistics);
                        });
    context.output("image", image.add_(1).mul_(0.5).clamp_(0, 1));
  }
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back({.id = "vae_decode",
                   .summary = "Decodes a latent to an image.",
                   .inputs = {{"latent", port::kLatent, "without noise"}},
                   .outputs = {{"image", port::kImage}},
                   .slots = {{"vae", "an AutoencoderKL", true}},
                   .variants = models::vae_variants(),
                   .phase = Phase::Decode,
                   .create = [](const Params&) { return std::make_unique<VaeDecode>(); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
