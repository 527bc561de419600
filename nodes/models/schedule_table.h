#pragma once

#include <vector>

#include "models/config_json.h"
#include "models/schedule.h"

namespace emulsion::models {

// The noise of every training step of a model.
class NoiseTable {
 public:
  // From the config's betas.  Throws WeightError.
  NoiseTable(const ConfigJson& config, Sampler sampler);

  std::int64_t steps() const { return static_cast<std::int64_t>(sigmas_.size()); }
  double min_sigma() const { return sigmas_.front(); }
  double max_sigma() const { return sigmas_.back(); }
  // Between whole timesteps: linear in sigma.  Outside, the nearest.
  double sigma(double timestep) const;
  // Between the table's sigmas: linear in log sigma.  Outside, the nearest.
  double timestep(double sigma) const;

 private:
  std::vector<double> sigmas_;
};

}  // namespace emulsion::models
