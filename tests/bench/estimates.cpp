#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "fakes/run_node.h"

// Runs the nodes on a model of full size, and compares the memory that they forecast with what they
// take.  One line for each: node, variant, size, dtype, threads, forecast, measured, their ratio,
// seconds.  A ratio is to lie between 1 and 1.15.
namespace emulsion {
namespace {

struct Setting {
  std::filesystem::path model;  // with a folder for each dtype
  bool is_sdxl = false;
  std::int64_t size = 512;  // pixels on a side
  c10::ScalarType dtype = c10::kFloat;

  std::filesystem::path folder() const { return model / (dtype == c10::kFloat ? "f32" : "bf16"); }
};

Bundle condition(const Setting& setting) {
  const std::int64_t width = setting.is_sdxl ? 2048 : 1024;
  Bundle condition = {{"hidden", at::randn({1, 77, width}).to(setting.dtype)}};
  if (!setting.is_sdxl) return condition;
  condition["pooled"] = at::randn({1, 1280}).to(setting.dtype);
  condition["time_ids"] = at::ones({1, 6});
  return condition;
}

std::vector<fakes::NodeCase> node_cases(const Setting& setting) {
  const at::Tensor latent = at::randn({1, 4, setting.size / 8, setting.size / 8});
  const at::Tensor ids = at::ones({1, 77}, at::kLong);
  const Bundle tokens = {{"ids", ids}, {"weights", at::full({1, 77}, 1.1)}, {"empty", ids}};
  const Bundle schedule = {{"sigmas", at::tensor({3.0, 0.0}, c10::kDouble)},
                           {"timesteps", at::tensor({500.0}, c10::kDouble)}};
  std::vector<fakes::NodeCase> list = {
      {.id = "text_encoder",
       .parts = {{"encoder", "text_encoder"}},
       .inputs = {{"tokens", tokens}}},
      {.id = "unet_step",
       .parts = {{"unet", "unet"}, {"config", "scheduler"}},
       .inputs = {{"latent", latent},
                  {"schedule", schedule},
                  {"index", std::int64_t{0}},
                  {"positive", condition(setting)},
                  {"negative", condition(setting)}}},
      {.id = "vae_decode", .parts = {{"vae", "vae"}}, .inputs = {{"latent", latent}}},
      {.id = "vae_encode",
       .parts = {{"vae", "vae"}},
       .inputs = {{"image", at::rand({1, 3, setting.size, setting.size})}}},
  };
  if (setting.is_sdxl) {
    fakes::NodeCase second = list.front();
    second.parts = {{"encoder", "text_encoder_2"}};
    list.push_back(std::move(second));
  }
  for (fakes::NodeCase& node : list) {
    node.model = setting.folder();
    node.dtype = setting.dtype;
  }
  return list;
}

// With one picture the others are the same as these.
bool is_of_interest(const std::string& variant) { return variant != "one_by_one"; }

bool compare(const fakes::NodeCase& node, const Setting& setting) {
  const Bytes bound = fakes::forecast_peak(fakes::forecast_node(node));
  const auto begin = std::chrono::steady_clock::now();
  const Bytes peak = fakes::peak_of_run(node);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const double ratio = static_cast<double>(bound) / static_cast<double>(peak);
  const bool holds = ratio >= 1 && ratio <= 1.15;
  std::printf("%-13s %-11s %4d %-5s %d %11s %11s %6.3f %6.1f s%s\n", node.id.c_str(),
              node.variant.c_str(), static_cast<int>(setting.size),
              node.dtype == c10::kFloat ? "f32" : "bf16", at::get_num_threads(),
              format_bytes(bound).c_str(), format_bytes(peak).c_str(), ratio, seconds.count(),
              holds ? "" : "  OUT");
  std::fflush(stdout);
  return holds;
}

// Whether `text` is in the comma-separated list; all are in an empty one.
bool chosen(const char* list, const std::string& text) {
  return std::string(list).empty() ||
         str(",", list, ",").find(str(",", text, ",")) < std::string::npos;
}

// MODEL (a folder named sd21 or sdxl) [SIZES [DTYPES [NODES [VARIANTS]]]], each a comma-separated
// list, empty for all
bool compare_all(const std::vector<const char*>& arguments) {
  const auto argument = [&](std::size_t i) { return i < arguments.size() ? arguments[i] : ""; };
  const bool is_sdxl = std::filesystem::path(argument(0)).filename() == "sdxl";
  const auto sizes =
      is_sdxl ? std::vector<std::int64_t>{1024} : std::vector<std::int64_t>{512, 768};
  bool all_hold = true;
  for (const std::int64_t size : sizes)
    for (const auto& [name, dtype] : {std::pair("f32", c10::kFloat), {"bf16", c10::kBFloat16}}) {
      if (!chosen(argument(1), std::to_string(size)) || !chosen(argument(2), name)) continue;
      const Setting setting{argument(0), is_sdxl, size, dtype};
      if (!std::filesystem::exists(setting.folder())) continue;
      for (fakes::NodeCase& node : node_cases(setting))
        for (const std::string& variant : fakes::descriptor_of(node.id).variants) {
          if (!is_of_interest(variant)) continue;
          if (!chosen(argument(3), node.id) || !chosen(argument(4), variant)) continue;
          node.variant = variant;
          all_hold = compare(node, setting) && all_hold;
        }
    }
  return all_hold;
}

}  // namespace
}  // namespace emulsion

int main(int count, char** arguments) {
  if (count < 2) {
    std::fputs("usage: estimates MODEL [SIZES [DTYPES [NODES [VARIANTS]]]]\n", stderr);
    return 2;
  }
  return emulsion::compare_all({arguments + 1, arguments + count}) ? 0 : 1;
}
