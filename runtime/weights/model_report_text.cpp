#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "emulsion/memory.h"
#include "emulsion/str.h"
#include "weights/model_report.h"

namespace emulsion {
namespace {

constexpr std::int64_t kInpainting = 9;

std::string joined(const std::vector<std::string>& names, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(most, names.size()); ++i)
    text += str(i == 0 ? "" : ", ", names[i]);
  return names.size() > most ? str(text, " and ", names.size() - most, " more") : text;
}

std::string dtypes_of(const ModelReport::Part& part) {
  std::string text;
  for (const auto& [dtype, tensors] : part.dtypes) {
    text += str(text.empty() ? "" : ", ", dtype);
    if (part.dtypes.size() > 1) text += str(" (", tensors, ")");
  }
  return text;
}

void write_parts(const ModelReport& report, std::ostream& text) {
  text << '\n'
       << std::left << std::setw(16) << "part" << std::right << std::setw(8) << "tensors"
       << std::setw(15) << "parameters" << std::setw(12) << "size"
       << "  dtypes\n";
  for (const auto& [name, part] : report.parts)
    text << std::left << std::setw(16) << name << std::right << std::setw(8) << part.tensors
         << std::setw(15) << part.parameters << std::setw(12) << format_bytes(part.bytes) << "  "
         << dtypes_of(part) << '\n';
}

void write_names(const char* what, const std::vector<std::string>& names, std::ostream& text) {
  constexpr std::size_t kNamed = 5;  // --json has them all
  if (!names.empty())
    text << what << " (" << names.size() << "): " << joined(names, kNamed) << '\n';
}

// Trainers put whole settings and pictures there.
std::string one_line(std::string value) {
  constexpr std::size_t kShown = 100;
  std::ranges::replace_if(
      value, [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
  return value.size() > kShown ? str(value.substr(0, kShown), "… (", value.size(), " bytes)")
                               : value;
}

}  // namespace

std::string to_text(const ModelReport& report) {
  std::ostringstream text;
  text << report.place << ": " << report.family
       << (report.input_channels == kInpainting ? ", for inpainting" : "") << ", "
       << (report.single_file ? "a single file" : "a folder in diffusers' layout") << '\n';
  if (!report.prediction.empty())
    text << "prediction: " << report.prediction
         << (report.prediction_reason.empty() ? "" : str(" (", report.prediction_reason, ")"))
         << '\n';
  write_parts(report, text);
  text << '\n';
  for (const auto& [part, place] : report.vocabularies)
    text << "vocabulary of " << part << ": "
         << (place.empty() ? "none found, see docs/models.md on where to put it" : place) << '\n';
  write_names("missing parts", report.missing_parts, text);
  write_names("tensors without a use", report.unneeded, text);
  write_names("unknown tensors", report.unknown, text);
  for (const auto& [key, value] : report.metadata)
    text << "metadata " << key << ": " << one_line(value) << '\n';
  return text.str();
}

std::string to_json(const ModelReport& report) {
  using Json = nlohmann::ordered_json;
  Json parts = Json::object();
  for (const auto& [name, part] : report.parts)
    parts[name] = {{"tensors", part.tensors},
                   {"parameters", part.parameters},
                   {"bytes", part.bytes},
                   {"dtypes", part.dtypes}};
  const Json json = {{"model", report.place},
                     {"layout", report.single_file ? "single_file" : "folder"},
                     {"family", report.family},
                     {"input_channels", report.input_channels},
                     {"prediction", report.prediction},
                     {"prediction_reason", report.prediction_reason},
                     {"parts", parts},
                     {"missing_parts", report.missing_parts},
                     {"vocabularies", report.vocabularies},
                     {"unneeded", report.unneeded},
                     {"unknown", report.unknown},
                     {"metadata", report.metadata}};
  // Whatever a file holds, the result is valid JSON.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace emulsion
