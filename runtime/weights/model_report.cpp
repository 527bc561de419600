#include "weights/model_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/checkpoint.h"
#include "weights/config_text.h"
#include "weights/weight_store.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

ModelReport::Part part_of(const StoredTensors& tensors) {
  ModelReport::Part part;
  for (const auto& [name, stored] : tensors) {
    ++part.tensors;
    part.parameters += stored.spec.count();
    part.bytes += stored.bytes();
    ++part.dtypes[stored.packing == Packing::None ? dtype_text(stored.spec.dtype)
                                                  : std::string(to_text(stored.packing))];
  }
  return part;
}

std::vector<std::string> missing_parts(const Checkpoint& checkpoint) {
  std::vector<std::string> wanted = {"unet", "vae"};
  if (checkpoint.family != Family::SdxlRefiner) wanted.emplace_back("text_encoder");
  if (checkpoint.family == Family::Sdxl || checkpoint.family == Family::SdxlRefiner)
    wanted.emplace_back("text_encoder_2");
  std::erase_if(wanted, [&](const std::string& part) { return checkpoint.has(part); });
  return wanted;
}

bool has_vocabulary(const Component& tokenizer) {
  const auto has = [&](const char* file) { return tokenizer.files.contains(file); };
  return has("tokenizer.json") || (has("vocab.json") && has("merges.txt"));
}

void add_vocabularies(const fs::path& model, const Checkpoint& checkpoint,
                      const std::vector<fs::path>& folders, ModelReport& report) {
  if (!checkpoint.has("unet")) return;
  for (const std::string suffix : {"", "_2"}) {
    if (!checkpoint.has("text_encoder" + suffix)) continue;
    std::string& place = report.vocabularies["tokenizer" + suffix];
    try {
      const auto tokenizer = open_component(model, "tokenizer" + suffix, folders).component;
      if (has_vocabulary(*tokenizer)) place = tokenizer->place;
    } catch (const WeightError&) {  // which a run says at length
    }
  }
}

// A config of the scheduler has the last word.
void add_prediction(const fs::path& model, const Checkpoint& checkpoint, ModelReport& report) {
  if (!checkpoint.has("unet")) return;
  const FoundPrediction& found = checkpoint.prediction;
  report.prediction = found.type;
  report.prediction_reason = found.reason;
  std::string config;
  try {
    config = open_component(model, "scheduler").component->config;
  } catch (const WeightError& fault) {  // there is more to tell than that
    if (!report.single_file) report.prediction_reason = fault.what();
    return;
  }
  const json scheduler = parse_config(config);
  const std::string told =
      scheduler.is_object() ? scheduler.value("prediction_type", "epsilon") : found.type;
  if (told == found.type) return;
  report.prediction = told;
  report.prediction_reason = "the scheduler's config";
}

void add_names(const Checkpoint& checkpoint, ModelReport& report) {
  report.unneeded = checkpoint.unneeded;
  report.unknown = checkpoint.unknown;
  for (const auto& [name, part] : checkpoint.parts) {
    report.unneeded.insert(report.unneeded.end(), part.unneeded.begin(), part.unneeded.end());
    report.unknown.insert(report.unknown.end(), part.unknown.begin(), part.unknown.end());
  }
  std::ranges::sort(report.unneeded);
  std::ranges::sort(report.unknown);
}

}  // namespace

ModelReport report_of(const fs::path& model, const std::vector<fs::path>& vocabularies) {
  std::error_code unreadable;
  ModelReport report;
  report.place = model.string();
  report.single_file = fs::is_regular_file(model, unreadable);
  const Checkpoint checkpoint =
      report.single_file ? read_checkpoint(model) : checkpoint_of_folder(model);
  report.family = to_text(checkpoint.family);
  for (const auto& [name, part] : checkpoint.parts) report.parts[name] = part_of(part.tensors);
  report.missing_parts = missing_parts(checkpoint);
  if (checkpoint.file) report.metadata = checkpoint.file->metadata();
  if (const auto unet = checkpoint.parts.find("unet"); unet != checkpoint.parts.end()) {
    const auto conv_in = unet->second.tensors.find("conv_in.weight");
    if (conv_in != unet->second.tensors.end() && conv_in->second.spec.shape.size() == 4)
      report.input_channels = conv_in->second.spec.shape[1];
  }
  add_prediction(model, checkpoint, report);
  add_vocabularies(model, checkpoint, vocabularies, report);
  add_names(checkpoint, report);
  return report;
}

}  // namespace emulsion
