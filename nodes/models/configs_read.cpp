#include "models/configs_read.h"

#include <algorithm>
#include <map>

#include "emulsion/str.h"

namespace emulsion::models {
namespace {

constexpr std::int64_t kLargest = 1 << 24;  // keeps products of a few sizes below 2^63
constexpr std::size_t kMaxLevels = 16;

const std::map<std::string, Activation>& activations() {
  static const std::map<std::string, Activation> names = {{"silu", Activation::Silu},
                                                          {"swish", Activation::Silu},
                                                          {"gelu", Activation::Gelu},
                                                          {"gelu_new", Activation::GeluTanh},
                                                          {"quick_gelu", Activation::QuickGelu},
                                                          {"relu", Activation::Relu},
                                                          {"mish", Activation::Mish}};
  return names;
}

std::string quoted(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += str(text.empty() ? "'" : ", '", name, "'");
  return text;
}

}  // namespace

void expect_text(const ConfigJson& json, const std::string& key,
                 const std::vector<std::string>& supported, const std::string& hint) {
  if (!json.has(key)) return;
  const std::string value = json.text(key, "");
  if (std::ranges::find(supported, value) != supported.end()) return;
  json.refuse(key, str("expected ", quoted(supported), hint.empty() ? "" : "; ", hint));
}

void expect_absent(const ConfigJson& json, const std::string& key, const std::string& what) {
  if (!json.has(key)) return;
  if (json.is_flag(key) && !json.flag(key, false)) return;
  json.refuse(key, str("expected none; ", what, " is not supported"));
}

std::int64_t count(const ConfigJson& json, const std::string& key, std::int64_t fallback,
                   std::int64_t least) {
  const std::int64_t value = json.whole(key, fallback);
  if (value < least || value > kLargest)
    json.refuse(key, str("expected ", least, " to ", kLargest));
  return value;
}

Activation read_activation(const ConfigJson& json, const std::string& key,
                           const std::string& fallback) {
  const auto found = activations().find(json.text(key, fallback));
  if (found == activations().end())
    json.refuse(key, "expected 'silu', 'gelu', 'gelu_new', 'quick_gelu', 'relu' or 'mish'");
  return found->second;
}

std::vector<std::int64_t> read_channels(const ConfigJson& json, const NormConfig& norm,
                                        const std::vector<std::int64_t>& fallback) {
  const std::string key = "block_out_channels";
  std::vector<std::int64_t> channels = json.has(key) ? json.wholes(key) : fallback;
  if (channels.empty() || channels.size() > kMaxLevels)
    json.refuse(key, str("expected 1 to ", kMaxLevels, " levels"));
  for (const std::int64_t level : channels)
    if (level < 1 || level > kLargest || level % norm.groups != 0)
      json.refuse(key, str("expected multiples of 'norm_num_groups' (", norm.groups, ")"));
  return channels;
}

}  // namespace emulsion::models
