#include "models/ops.h"
#include "models/vae.h"
#include "models/workspace.h"

namespace emulsion {
namespace {

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
    const std::int64_t B = latent.shape[0], h = latent.shape[2], w = latent.shape[3];
    const std::int64_t side = config.upscale();
    const TensorSpec image{{B, 3, side * h, side * w}, at::kFloat};
    // The decoder's result is held while it becomes the image, after all else is gone.
    const Bytes result = image.bytes() + latent.count() * 8;
    return {.outputs = {{"image", image}},
            .workspace = result + models::vae_decode_workspace(config, {B, h, w}, context.dtype())};
  }

  void run(RunContext& context) const override {
    const models::VaeConfig config = models::read_vae_config(context.component("vae"));
    const models::VaeDecoder decoder(context.weights("vae"), config);
    const at::Tensor latent = context.tensor("latent")
                                  .div(config.scaling_factor)
                                  .add_(config.shift_factor)
                                  .to(context.dtype());  // [B, C, h, w]
    const auto checkpoint = [&] { context.check_cancelled(); };
    at::Tensor image = decoder(latent, checkpoint).to(at::kFloat).contiguous();  // [B, 3, H, W]
    context.output("image", image.add_(1).mul_(0.5).clamp_(0, 1));
  }
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back({.id = "vae_decode",
                   .summary = "Decodes a latent to an image.",
                   .inputs = {{"latent", port::kLatent, "without noise"}},
                   .outputs = {{"image", port::kImage}},
                   .slots = {{"vae", "an AutoencoderKL", true}},
                   .variants = {"whole"},
                   .phase = Phase::Decode,
                   .create = [](const Params&) { return std::make_unique<VaeDecode>(); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
