#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "emulsion/weights.h"

namespace emulsion {

struct Adapter;
class TensorFile;
struct StoredTensor;
struct OpenComponent;

using WeightNames = std::set<std::string, std::less<>>;

// Mixes in the same tensors of another component: (1 - ratio) own + ratio other, in float32.
// Integers stay.
struct Blend {
  std::shared_ptr<const OpenComponent> other;
  double ratio = 0;
};

// Applies what an adapter changes.
struct Adaptation {
  std::shared_ptr<const Adapter> adapter;
  std::string part;                                           // that the component is to it: "unet"
  std::map<std::string, double, std::less<>> strengths = {};  // by weight; others stay
};

// One of an adapter's changes, which is to run beside its weight.  The tensors are the adapter's.
struct OpenBranch {
  std::string weight;
  at::Tensor down, up;
  double scale = 1;  // with its strength
};

// A component of a model whose headers have been read and checked; no tensor has been touched.
struct OpenComponent {
  std::shared_ptr<const Component> component;
  std::vector<std::shared_ptr<const TensorFile>> files;  // one, several shards, or none
  // What becomes of the files' tensors on the way, in this order.
  std::vector<std::variant<Blend, Adaptation>> changes = {};
  // Of weights that may be packed, what is to be made of those that the files hold plain.
  Packing packing = Packing::None;
  // Instead of files: this component lies beside another one.  What tells it from others.
  std::vector<OpenBranch> branches = {};
  std::string branches_identity = {};
};

// The tensor in the component's files; null where there is none.  [any thread]
const StoredTensor* find_stored(const OpenComponent& component, std::string_view name);

}  // namespace emulsion
