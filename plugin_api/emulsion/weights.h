#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "emulsion/packing.h"
#include "emulsion/value.h"

namespace emulsion {

// One part of a model (a tokenizer, a UNet, a scheduler's config) as found on disk.
struct Component {
  std::string place;                                   // for messages: "…/tiny-sd21/unet"
  std::string config;                                  // the JSON text, empty when there is none
  std::map<std::string, std::filesystem::path> files;  // other files by name: "vocab.json"
};

struct Weight {
  TensorSpec spec;  // in the dtype of the run, whether packed or not
  at::Tensor data;  // undefined while only the header has been read
  // How `data` is packed.  Of a header: how it will be if all who use it can work with that.
  Packing packing = Packing::None;
};

// A change of low rank that runs beside the weight of a linear layer or a convolution:
// y += scale * up(down(x)).
struct Branch {
  Weight
      down;   // [rank, in], or [rank, in, kernel, kernel] with the convolution's stride and padding
  Weight up;  // [out, rank], or [out, rank, 1, 1]
  double scale = 1;
};

// Brings the tensors that do not stay in memory.  [run thread]
class WeightStream {
 public:
  virtual ~WeightStream() = default;
  // The tensor `name`, once the block that it belongs to is there; lets go of the block before.
  virtual at::Tensor fetch(const std::string& name) = 0;
};

// The tensors of a component.  Filled by the runtime, read-only afterwards.  [any thread]
struct WeightSet {
  std::string place;
  std::map<std::string, Weight, std::less<>> weights;
  std::shared_ptr<WeightStream> stream = {};  // null unless some weights come block by block
  bool header_only = false;                   // no tensor holds data
  // By the weight that they lie beside; all of them are in memory.
  std::map<std::string, std::vector<Branch>, std::less<>> branches = {};
};

// The names that a model asked for, in order.
struct WeightUse {
  std::vector<std::string> lasting;                  // outside of blocks
  std::vector<std::vector<std::string>> blocks;      // in the order in which blocks were begun
  std::set<std::string, std::less<>> branched = {};  // weights whose branches were asked for
  std::set<std::string, std::less<>> packed = {};    // weights that may be left packed
};

// Names tensors below a dotted scope, and keeps account of what was asked for.  Models are built
// twice from the same code: in a forecast the tensors are undefined and only names and shapes are
// checked, in a run they hold data.  Faults are collected; finish() reports all of them at once.
// Copies and scopes share one account.  [one thread at a time per account]
//
// A model that can do with one part of its weights at a time says so with block(), and keeps no
// handle of a block while it works with another (see Streamed in nodes/models/streamed.h).
class EMULSION_API WeightView {
 public:
  explicit WeightView(std::shared_ptr<const WeightSet> set);

  WeightView scope(std::string_view name) const;
  // The same place; what is taken through the result and its scopes is a block of its own.  Blocks
  // are used in the order in which the forecast begins them, each by itself.
  WeightView block() const;
  bool contains(std::string_view name) const;           // does not count as a use
  const TensorSpec* find(std::string_view name) const;  // null when absent
  // The tensor, whose shape must be `shape`; undefined in a forecast, and where it is faulty.
  at::Tensor tensor(std::string_view name, c10::IntArrayRef shape) const;
  // The same for who can work with a packed weight; `shape` is the one that it has unpacked.  It is
  // left packed where nobody asks for the tensor.
  Weight packed(std::string_view name, c10::IntArrayRef shape) const;
  // What runs beside the weight `name`, in this order.  Who asks applies it; beside other weights
  // there is nothing.
  std::vector<Branch> branches(std::string_view name) const;
  // Takes every name below this scope that ends with one of `suffixes` as known and unneeded.
  void ignore(const std::vector<std::string>& suffixes) const;
  // Takes every name below the scope `name` as known and unneeded.
  void ignore_scope(std::string_view name) const;
  // Throws WeightError when a name was missing, had another shape, or was never asked for.
  void finish() const;
  const std::string& place() const { return set_->place; }
  const std::string& prefix() const { return prefix_; }
  bool header_only() const { return set_->header_only; }
  const WeightSet& set() const { return *set_; }
  // Of all views with this account, so far.
  const WeightUse& use() const;
  std::int64_t parameters() const;  // in the shapes that were asked for, whether there or not

 private:
  struct Account;
  WeightView(std::shared_ptr<const WeightSet> set, std::shared_ptr<Account> account,
             std::string prefix, std::size_t block);
  std::string full(std::string_view name) const;
  // Null where it is missing or faulty, which is noted.
  const Weight* checked(const std::string& key, c10::IntArrayRef shape) const;
  at::Tensor data_of(const std::string& key, const Weight& weight) const;

  std::shared_ptr<const WeightSet> set_;
  std::shared_ptr<Account> account_;
  std::string prefix_;
  std::size_t block_ = 0;  // 1 for the first; 0: none
};

}  // namespace emulsion
