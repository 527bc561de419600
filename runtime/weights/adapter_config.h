#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "weights/safetensors.h"

namespace emulsion {

// What PEFT keeps beside an adapter's tensors.  Immutable.  [any thread]
class AdapterConfig {
 public:
  // From the metadata that diffusers writes, else from `adapter_config.json` beside the file, else
  // empty.  Throws WeightError when it is no JSON object.
  explicit AdapterConfig(const SafetensorsFile& file);

  // alpha / rank of a module, or 1 where nothing tells.  `rank` is what its tensors tell, 0 where
  // they do not.
  double scale(const std::string& part, const std::string& module, std::int64_t rank) const;

 private:
  struct Numbers {
    double alpha = 0, rank = 0;                   // 0: not told
    std::map<std::string, double> alphas, ranks;  // of modules whose names end like this
    bool by_root = false;                         // rsLoRA (Kalajdzievski 2023): alpha / sqrt(rank)
  };

  void read(const std::string& place, const std::string& text, bool by_part);

  std::map<std::string, Numbers> parts_;  // "" for all
};

}  // namespace emulsion
