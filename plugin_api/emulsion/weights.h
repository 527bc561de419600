#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "emulsion/value.h"

namespace emulsion {

// One part of a model (a tokenizer, a UNet, a scheduler's config) as found on disk.
struct Component {
  std::string place;                                   // for messages: "…/tiny-sd21/unet"
  std::string config;                                  // the JSON text, empty when there is none
  std::map<std::string, std::filesystem::path> files;  // other files by name: "vocab.json"
};

struct Weight {
  TensorSpec spec;  // in the dtype of the run
  at::Tensor data;  // undefined while only the header has been read
};

// The tensors of a component.  Filled by the runtime, read-only afterwards.  [any thread]
struct WeightSet {
  std::string place;
  std::map<std::string, Weight, std::less<>> weights;
};

// Names tensors below a dotted scope, and keeps account of what was asked for.  Models are built
// twice from the same code: in a forecast the tensors are undefined and only names and shapes are
// checked, in a run they hold data.  Faults are collected; finish() reports all of them at once.
// Copies and scopes share one account.  [one thread at a time per account]
class EMULSION_API WeightView {
 public:
  explicit WeightView(std::shared_ptr<const WeightSet> set);

  WeightView scope(std::string_view name) const;
  bool contains(std::string_view name) const;           // does not count as a use
  const TensorSpec* find(std::string_view name) const;  // null when absent
  // The tensor, whose shape must be `shape`; undefined in a forecast, and where it is faulty.
  at::Tensor tensor(std::string_view name, c10::IntArrayRef shape) const;
  // Takes every name below this scope that ends with one of `suffixes` as known and unneeded.
  void ignore(const std::vector<std::string>& suffixes) const;
  // Takes every name below the scope `name` as known and unneeded.
  void ignore_scope(std::string_view name) const;
  // Throws WeightError when a name was missing, had another shape, or was never asked for.
  void finish() const;
  const std::string& place() const { return set_->place; }
  const std::string& prefix() const { return prefix_; }

 private:
  struct Account;
  WeightView(std::shared_ptr<const WeightSet> set, std::shared_ptr<Account> account,
             std::string prefix);
  std::string full(std::string_view name) const;

  std::shared_ptr<const WeightSet> set_;
  std::shared_ptr<Account> account_;
  std::string prefix_;
};

}  // namespace emulsion
