#include "models/deep_features.h"

#include "models/ops.h"

namespace emulsion::models {
namespace {

std::int64_t units_of(const std::vector<UnetConfig::Level>& levels) {
  std::int64_t units = 0;
  for (const UnetConfig::Level& level : levels) units += level.layers;
  return units;
}

// Where the names of blocks begin that are evaluated outside of a map.
std::vector<std::string> outer_scopes(const UnetConfig& config, std::int64_t branch) {
  std::vector<std::string> scopes;
  const auto add_unit = [&](const char* way, std::size_t level, std::int64_t unit) {
    for (const char* part : {"resnets", "attentions"})
      scopes.push_back(str(way, ".", level, ".", part, ".", unit, "."));
  };
  std::int64_t skips = 1;
  for (std::size_t i = 0; i < config.down.size(); ++i) {
    for (std::int64_t j = 0; j < config.down[i].layers; ++j)
      if (skips++ <= branch) add_unit("down_blocks", i, j);
    if (skips++ <= branch) scopes.push_back(str("down_blocks.", i, ".downsamplers."));
  }
  std::int64_t left = units_of(config.up);
  for (std::size_t i = 0; i < config.up.size(); ++i) {
    for (std::int64_t j = 0; j < config.up[i].layers; ++j)
      if (left-- <= branch + 1) add_unit("up_blocks", i, j);
    if (left <= branch) scopes.push_back(str("up_blocks.", i, ".upsamplers."));
  }
  return scopes;
}

}  // namespace

TensorSpec deep_features_spec(const UnetConfig& config, const MapBatch& latent, std::int64_t branch,
                              c10::ScalarType dtype) {
  const std::int64_t units = units_of(config.up);
  if (branch >= units)
    throw GraphError(str("parameter 'cache_branch': expected at most ", units - 1,
                         ", the innermost skip connection of this UNet, got ", branch));
  std::int64_t height = latent.height, width = latent.width, skips = 1;
  for (const UnetConfig::Level& level : config.down) {
    skips += level.layers;
    if (skips++ > branch) break;
    height = (height + 1) / 2;
    width = (width + 1) / 2;
  }
  std::int64_t channels = config.down.back().channels, left = units;
  for (const UnetConfig::Level& level : config.up)
    for (std::int64_t j = 0; j < level.layers && left-- > branch + 1; ++j)
      channels = level.channels;
  return {{latent.batch, channels, height, width}, dtype};
}

double share_outside(const UnetConfig& config, const WeightView& weights, std::int64_t branch) {
  const std::vector<std::string> scopes = outer_scopes(config, branch);
  Bytes all = 0, outside = 0;
  for (const std::vector<std::string>& block : weights.use().blocks)
    for (const std::string& name : block) {
      const Bytes bytes = weights.find(name)->bytes();
      all += bytes;
      const auto leads = [&](const std::string& scope) { return name.starts_with(scope); };
      if (std::ranges::any_of(scopes, leads)) outside += bytes;
    }
  return all == 0 ? 1 : static_cast<double>(outside) / static_cast<double>(all);
}

}  // namespace emulsion::models
