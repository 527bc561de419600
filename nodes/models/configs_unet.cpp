#include <algorithm>

#include "emulsion/str.h"
#include "models/configs.h"
#include "models/configs_read.h"

namespace emulsion::models {
namespace {

using Level = UnetConfig::Level;

void refuse_other_families(const ConfigJson& json) {
  expect_text(json, "_class_name", {"UNet2DConditionModel"});
  expect_text(json, "addition_embed_type", {"text_time"}, "SDXL's is the only one supported");
  expect_absent(json, "class_embed_type", "a class embedding (unCLIP, upscaler)");
  expect_absent(json, "num_class_embeds", "a class embedding (unCLIP, upscaler)");
  expect_absent(json, "encoder_hid_dim", "a projected text state (Kandinsky, IF)");
  expect_absent(json, "encoder_hid_dim_type", "a projected text state (Kandinsky, IF)");
  expect_absent(json, "time_cond_proj_dim", "guidance as an input (LCM)");
  expect_absent(json, "dual_cross_attention", "dual cross-attention");
  expect_absent(json, "center_input_sample", "a centred sample");
  expect_absent(json, "cross_attention_norm", "a norm of the text states");
  expect_absent(json, "resnet_skip_time_act", "time without an activation");
  expect_absent(json, "time_embedding_act_fn", "an activation of the time embedding");
  expect_absent(json, "timestep_post_act", "an activation of the time embedding");
  expect_absent(json, "class_embeddings_concat", "a class embedding");
  expect_text(json, "attention_type", {"default"}, "GLIGEN is not supported");
  expect_text(json, "resnet_time_scale_shift", {"default"});
  expect_text(json, "time_embedding_type", {"positional"});
}

std::int64_t input_channels(const ConfigJson& json) {
  const std::int64_t channels = count(json, "in_channels", 4);
  const std::string expected =
      str("expected 'out_channels' (", count(json, "out_channels", 4), ")");
  if (channels == 9) json.refuse("in_channels", expected + "; inpainting models are not supported");
  if (channels == 8)
    json.refuse("in_channels", expected + "; instruct-pix2pix models are not supported");
  if (channels != count(json, "out_channels", 4)) json.refuse("in_channels", expected);
  return channels;
}

std::int64_t odd_kernel(const ConfigJson& json, const std::string& key) {
  const std::int64_t kernel = count(json, key, 3);
  if (kernel % 2 == 0 || kernel > 31) json.refuse(key, "expected an odd number below 32");
  return kernel;
}

// Whether each level attends to the text, from names such as "CrossAttnDownBlock2D".
std::vector<bool> attention_levels(const ConfigJson& json, const std::string& key,
                                   const std::string& plain, std::size_t levels, bool reversed) {
  std::vector<std::string> names(4, "CrossAttn" + plain);  // diffusers' default: all but one level
  names[reversed ? 0 : 3] = plain;
  if (json.has(key)) names = json.texts(key);
  if (names.size() != levels)
    json.refuse(key, str("expected ", levels, " names, one a level of 'block_out_channels'"));
  std::vector<bool> attends;
  for (const std::string& name : names) {
    attends.push_back(name == "CrossAttn" + plain);
    if (!attends.back() && name != plain)
      json.refuse(key, str("expected 'CrossAttn", plain, "' or '", plain, "', got '", name, "'"));
  }
  return attends;
}

void expect_all(const ConfigJson& json, const std::string& key,
                const std::vector<std::int64_t>& values, std::int64_t least, std::int64_t most) {
  const auto fits = [&](std::int64_t value) { return value >= least && value <= most; };
  if (!std::ranges::all_of(values, fits)) json.refuse(key, str("expected ", least, " to ", most));
}

// All levels, outermost first, as if each had attention.
std::vector<Level> read_levels(const ConfigJson& json, const std::vector<std::int64_t>& channels) {
  const std::size_t levels = channels.size();
  // 'attention_head_dim' holds the number of heads: a name that diffusers kept for its 40,000
  // published configs (its issue 2011).
  const bool named = json.has("num_attention_heads");
  const std::string heads_key = named ? "num_attention_heads" : "attention_head_dim";
  const auto heads = json.per_level(heads_key, levels, 8);
  const auto layers = json.per_level("layers_per_block", levels, 2);
  const auto depths = json.per_level("transformer_layers_per_block", levels, 1);
  const auto widths = json.per_level("cross_attention_dim", levels, 1280);
  const auto only_cross = json.flags_per_level("only_cross_attention", levels, false);
  expect_all(json, heads_key, heads, 1, 4096);
  expect_all(json, "layers_per_block", layers, 1, 256);
  expect_all(json, "transformer_layers_per_block", depths, 1, 256);
  expect_all(json, "cross_attention_dim", widths, 1, 1 << 20);
  if (widths != std::vector<std::int64_t>(levels, widths.front()))
    json.refuse("cross_attention_dim", "expected one width, that of the text states");
  std::vector<Level> list;
  for (std::size_t i = 0; i < levels; ++i)
    list.push_back({channels[i], layers[i], depths[i], heads[i], widths[i], only_cross[i]});
  return list;
}

Level with_attention(const ConfigJson& json, Level level, bool attends) {
  if (!attends) {
    level.transformer_layers = level.heads = level.context_width = 0;
  } else if (level.channels % level.heads != 0) {
    json.refuse(json.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim",
                str("expected the number of heads, a divisor of ", level.channels, " channels"));
  }
  return level;
}

// Depths on the way up, in running order, where they are not those of the way down.
void read_depths_up(const ConfigJson& json, std::vector<Level>& up) {
  const std::string key = "reverse_transformer_layers_per_block";
  if (!json.has(key)) return;
  const auto depths = json.per_level(key, up.size(), 1);
  expect_all(json, key, depths, 1, 256);
  for (std::size_t i = 0; i < up.size(); ++i)
    if (up[i].transformer_layers > 0) up[i].transformer_layers = depths[i];
}

Level read_middle(const ConfigJson& json, Level level) {
  const std::string key = "mid_block_type";
  expect_text(json, key, {"UNetMidBlock2DCrossAttn", "UNetMidBlock2D"});
  level.only_cross_attention = false;  // diffusers' middle block has no such switch
  if (json.is_null(key)) {
    level.layers = 0;
    return with_attention(json, level, false);
  }
  const bool attends = json.text(key, "UNetMidBlock2DCrossAttn") == "UNetMidBlock2DCrossAttn";
  level.layers = attends ? 2 : 1;
  return with_attention(json, level, attends);
}

void read_times(const ConfigJson& json, UnetConfig& config) {
  config.time_width = count(json, "time_embedding_dim", 4 * config.down.front().channels);
  config.flip_sin_to_cos = json.flag("flip_sin_to_cos", true);
  config.freq_shift = json.number("freq_shift", 0);
  if (config.down.front().channels < 4) json.refuse("block_out_channels", "expected 4 at least");
  if (!json.has("addition_embed_type")) return;
  config.size_width = count(json, "addition_time_embed_dim", 0);
  config.added_width = count(json, "projection_class_embeddings_input_dim", 0);
}

}  // namespace

std::int64_t UnetConfig::context_width() const {
  std::int64_t width = middle.context_width;
  for (const Level& level : down) width = std::max(width, level.context_width);
  for (const Level& level : up) width = std::max(width, level.context_width);
  return width;
}

UnetConfig read_unet_config(const Component& component) {
  const ConfigJson json(component);
  refuse_other_families(json);
  UnetConfig config;
  config.in_channels = input_channels(json);
  config.out_channels = config.in_channels;
  config.conv_in_kernel = odd_kernel(json, "conv_in_kernel");
  config.conv_out_kernel = odd_kernel(json, "conv_out_kernel");
  config.downsample_padding = count(json, "downsample_padding", 1, 0);
  if (config.downsample_padding > 1) json.refuse("downsample_padding", "expected 0 or 1");
  config.norm = {.groups = count(json, "norm_num_groups", 32),
                 .eps = json.number("norm_eps", 1e-5),
                 .activation = read_activation(json, "act_fn", "silu")};
  const auto channels = read_channels(json, config.norm, {320, 640, 1280, 1280});
  const auto levels = read_levels(json, channels);
  const std::size_t n = levels.size();
  const auto down = attention_levels(json, "down_block_types", "DownBlock2D", n, false);
  const auto up = attention_levels(json, "up_block_types", "UpBlock2D", n, true);
  for (std::size_t i = 0; i < n; ++i) {
    config.down.push_back(with_attention(json, levels[i], down[i]));
    config.up.push_back(with_attention(json, levels[n - 1 - i], up[i]));
    ++config.up.back().layers;  // one for each skip, and the level's input makes one more
  }
  read_depths_up(json, config.up);
  config.middle = read_middle(json, levels.back());
  config.middle_scale = json.number("mid_block_scale_factor", 1);
  if (config.middle_scale == 0) json.refuse("mid_block_scale_factor", "expected another than 0");
  read_times(json, config);
  return config;
}

}  // namespace emulsion::models
