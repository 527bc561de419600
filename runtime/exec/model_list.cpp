#include "exec/model_list.h"

#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "emulsion/str.h"
#include "exec/shipped_files.h"
#include "hub/hub_environment.h"
#include "hub/hub_snapshot.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownDigits = 8;  // of a commit

std::string where(const ListedModel& model) {
  if (model.commit.empty()) return "shipped";
  return str("hub's cache, commit ", model.commit.substr(0, kShownDigits),
             model.lacks.empty() ? "" : str(", without ", model.lacks));
}

void add_shipped(std::vector<ListedModel>& models) {
  for (const fs::path& folder : share_folders("models")) {
    std::error_code unreadable;
    for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
      const std::string name = entry.path().filename().string();
      const bool is_shadowed = std::ranges::count(models, name, &ListedModel::name) > 0;
      if (entry.is_directory(unreadable) && !is_shadowed)
        models.push_back({name, entry.path().string(), bytes_below(entry.path()), "", ""});
    }
  }
}

}  // namespace

std::vector<ListedModel> listed_models() {
  std::vector<ListedModel> models;
  add_shipped(models);
  std::ranges::sort(models, {}, &ListedModel::name);
  for (CachedEntry& entry : models_in_cache(read_hub_environment().cache))
    models.push_back({std::move(entry.model), entry.path.string(), entry.bytes,
                      std::move(entry.commit), std::move(entry.lacks)});
  return models;
}

std::string to_text(const std::vector<ListedModel>& models) {
  constexpr int kGap = 2, kSizeWidth = 8;
  std::size_t width = std::string_view("model").size();
  for (const ListedModel& model : models) width = std::max(width, model.name.size());
  std::ostringstream text;
  const auto row = [&](const std::string& name, const std::string& size, const std::string& place) {
    text << std::left << std::setw(static_cast<int>(width) + kGap) << name << std::right
         << std::setw(kSizeWidth) << size << std::string(kGap, ' ') << place << '\n';
  };
  row("model", "size", "where");
  for (const ListedModel& model : models) row(model.name, format_bytes(model.bytes), where(model));
  return text.str();
}

std::string to_json(const std::vector<ListedModel>& models) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ListedModel& model : models)
    list.push_back({{"model", model.name},
                    {"path", model.path},
                    {"bytes", model.bytes},
                    {"commit", model.commit},
                    {"lacks", model.lacks}});
  return list.dump(2) + "\n";
}

}  // namespace emulsion
