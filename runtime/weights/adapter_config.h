#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

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

  // How OFT's blocks become rotations: see ColumnRotation, with `limit` for one block of one.
  struct Cayley {
    std::int64_t terms = 5;
    double limit = 0;
  };
  const Cayley& cayley() const { return cayley_; }
  // Whether IA3's factors are of what goes into a module, and not of what comes out.
  bool scales_inputs(const std::string& module) const;

 private:
  struct Numbers {
    double alpha = 0, rank = 0;                   // 0: not told
    std::map<std::string, double> alphas, ranks;  // of modules whose names end like this
    bool by_root = false;                         // rsLoRA (Kalajdzievski 2023): alpha / sqrt(rank)
  };

  void read(const std::string& place, const std::string& text, bool by_part);
  void read_forms(const nlohmann::json& config);

  std::map<std::string, Numbers> parts_;  // "" for all
  Cayley cayley_;
  std::vector<std::string> feed_forward_;  // ends of modules' names
};

}  // namespace emulsion
