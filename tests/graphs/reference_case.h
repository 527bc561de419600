#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "emulsion/session.h"
#include "emulsion/str.h"
#include "fakes/reference.h"

// The cases that tests/reference made with diffusers' pipelines.
namespace emulsion::fakes {

inline constexpr double kLatentTolerance = 1e-3, kPixelTolerance = 1.0 / 255;

inline nlohmann::json read_json(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return nlohmann::json::parse(stream);
}

// The reference model, or a copy of it by links whose scheduler has other settings.
class ModelOf {
 public:
  ModelOf(const std::string& name, const nlohmann::json& scheduler_options)
      : folder_(std::filesystem::absolute(reference_model(name))) {
    if (scheduler_options.empty()) return;
    copy_ = std::filesystem::temp_directory_path() / str("emulsion_fidelity_", std::rand());
    std::filesystem::create_directories(copy_ / "scheduler");
    nlohmann::json config = read_json(folder_ / "scheduler" / "scheduler_config.json");
    config.update(scheduler_options);
    std::ofstream(copy_ / "scheduler" / "scheduler_config.json") << config;
    for (const std::filesystem::directory_entry& entry :
         std::filesystem::directory_iterator(folder_))
      if (entry.path().filename() != "scheduler")
        std::filesystem::copy(entry.path(), copy_ / entry.path().filename(),
                              std::filesystem::copy_options::recursive);
    folder_ = copy_;
  }
  ~ModelOf() {
    if (!copy_.empty()) std::filesystem::remove_all(copy_);
  }
  ModelOf(const ModelOf&) = delete;
  ModelOf& operator=(const ModelOf&) = delete;

  std::string path() const { return folder_.string(); }

 private:
  std::filesystem::path folder_, copy_;
};

inline const at::Tensor& tensor(const Outcome& outcome, const std::string& name) {
  return std::get<at::Tensor>(outcome.outputs.at(name));
}

}  // namespace emulsion::fakes
