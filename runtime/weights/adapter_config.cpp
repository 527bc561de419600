#include "weights/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

using nlohmann::json;

constexpr const char* kMetadata = "lora_adapter_metadata";
constexpr const char* kBeside = "adapter_config.json";

double number(const json& config, const std::string& key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number() ? found->get<double>() : 0;
}

// PEFT reads some names as regular expressions; what trainers write are names, escaped at most.
std::string plain_name(std::string pattern) {
  if (pattern.starts_with(".*")) pattern.erase(0, 2);
  std::erase_if(pattern, [](char c) { return c == '\\' || c == '^' || c == '$'; });
  return pattern;
}

std::map<std::string, double> numbers(const json& config, const std::string& key) {
  std::map<std::string, double> result;
  const auto found = config.find(key);
  if (found == config.end() || !found->is_object()) return result;
  for (const auto& [pattern, value] : found->items()) {
    if (value.is_number()) result.emplace(plain_name(pattern), value.get<double>());
  }
  return result;
}

double of_module(const std::map<std::string, double>& numbers, const std::string& module,
                 double otherwise) {
  for (const auto& [name, value] : numbers)
    if (module == name || module.ends_with("." + name)) return value;
  return otherwise;
}

}  // namespace

AdapterConfig::AdapterConfig(const SafetensorsFile& file) {
  const auto told = file.metadata().find(kMetadata);
  if (told != file.metadata().end()) {
    read(str(file.path().string(), ": metadata '", kMetadata, "'"), told->second, true);
    return;
  }
  const std::filesystem::path beside = file.path().parent_path() / kBeside;
  std::error_code unreadable;
  if (!std::filesystem::is_regular_file(beside, unreadable)) return;
  std::ifstream stream(beside, std::ios::binary);
  read(beside.string(), {std::istreambuf_iterator<char>(stream), {}}, false);
}

void AdapterConfig::read(const std::string& place, const std::string& text, bool by_part) {
  const json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object())
    throw WeightError(str(place, ": expected a JSON object; fetch the adapter again"));
  read_forms(config);
  std::vector<std::string> parts = {""};
  if (by_part) parts = {"unet", "text_encoder", "text_encoder_2"};
  for (const std::string& part : parts) {
    const std::string start = by_part ? part + "." : "";
    Numbers& found = parts_[part];
    found.alpha = number(config, start + "lora_alpha");
    if (found.alpha == 0) found.alpha = number(config, start + "alpha");  // LoHa and LoKr
    found.rank = number(config, start + "r");
    found.alphas = numbers(config, start + "alpha_pattern");
    found.ranks = numbers(config, start + "rank_pattern");
    const auto root = config.find(start + "use_rslora");
    found.by_root = root != config.end() && *root == true;
  }
}

// What a key lacks is as in PEFT's own defaults.
void AdapterConfig::read_forms(const json& config) {
  constexpr double kEpsilon = 6e-5;
  if (config.value("use_cayley_neumann", json(true)) == false)
    cayley_.terms = 0;
  else if (const double terms = number(config, "num_cayley_neumann_terms"); terms >= 1)
    cayley_.terms = static_cast<std::int64_t>(terms);
  const double epsilon = number(config, "eps");
  if (config.value("coft", json(false)) == true) cayley_.limit = epsilon > 0 ? epsilon : kEpsilon;
  const json modules = config.value("feedforward_modules", json());
  if (modules.is_string()) feed_forward_.push_back(plain_name(modules.get<std::string>()));
  if (!modules.is_array()) return;
  for (const json& module : modules)
    if (module.is_string()) feed_forward_.push_back(module.get<std::string>());
}

bool AdapterConfig::scales_inputs(const std::string& module) const {
  return std::ranges::any_of(feed_forward_,
                             [&](const std::string& end) { return module.ends_with(end); });
}

double AdapterConfig::scale(const std::string& part, const std::string& module,
                            std::int64_t rank) const {
  auto found = parts_.find(part);
  if (found == parts_.end()) found = parts_.find("");
  if (found == parts_.end()) return 1;
  const Numbers& numbers = found->second;
  const double alpha = of_module(numbers.alphas, module, numbers.alpha);
  const double ranks =
      rank > 0 ? static_cast<double>(rank) : of_module(numbers.ranks, module, numbers.rank);
  if (alpha == 0 || ranks == 0) return 1;
  return alpha / (numbers.by_root ? std::sqrt(ranks) : ranks);
}

}  // namespace emulsion
