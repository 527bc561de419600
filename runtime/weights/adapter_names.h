#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "weights/adapter.h"

namespace emulsion {

// The name of an adapter's tensor, taken apart: "lora_unet_conv_in" and "down".
struct AdapterKey {
  std::string module;    // in the file's spelling, without what PEFT puts around it
  std::string piece;     // empty: of no known form
  bool by_peft = false;  // or by diffusers, which have alpha and rank in a config
};

// The pieces are called "down", "up", "up_bias" and "core" (LoRA), "norms" and "row_norms" (DoRA;
// the second is PEFT's, which is along the rows whatever its shape), "oft_R", "boft_R", "boft_s"
// and "ia3_l" (PEFT's), and else as LyCORIS ends their names: "alpha", "hada_w1_a", "lokr_w2",
// "oft_blocks", "a1" (GLoRA), "diff_b".  [any thread]
AdapterKey take_apart(const std::string& name);

// What a module's name in an adapter stands for.
struct AdapterTarget {
  std::string part;                  // "unet"
  std::vector<std::string> modules;  // one, or three whose weights the adapter's model has stacked
};

// Every spelling of a model's modules that trainers have for them.  Made of the model's own names:
// where dots have become underscores, a spelling can't be taken apart again.  [any thread]
class AdapterNames {
 public:
  explicit AdapterNames(const PartTensors& base);

  std::optional<AdapterTarget> find(const std::string& module) const;

 private:
  using Modules = std::map<std::string, std::vector<std::string>>;  // by spelling

  void add(const std::string& part, const std::string& module);
  void add_spelling(const std::string& part, const std::string& spelling,
                    const std::vector<std::string>& modules);

  std::map<std::string, Modules> dotted_, joined_;  // by part
};

}  // namespace emulsion
