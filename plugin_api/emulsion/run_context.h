#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "emulsion/value.h"
#include "emulsion/weights.h"

namespace emulsion {

// What a slot of a node is bound to.
struct Slot {
  std::shared_ptr<const Component> component;
  std::shared_ptr<const WeightSet> weights;  // null for a slot without weights
};

// What the two contexts share: where a node stands, apart from its inputs.
struct Site {
  std::map<std::string, Slot, std::less<>> slots;
  std::string variant;
  c10::ScalarType dtype = c10::ScalarType::Float;  // of weights and arithmetic in this run
};

// What a node knows before the run: shapes, header-only weights, and scalars where they are fixed.
// [the thread that plans]
class EMULSION_API ForecastContext {
 public:
  using Inputs = std::map<std::string, ValueSpec, std::less<>>;
  ForecastContext(Site site, Inputs inputs) : site_(std::move(site)), inputs_(std::move(inputs)) {}

  bool has(std::string_view port) const { return inputs_.find(port) != inputs_.end(); }
  const TensorSpec& tensor(std::string_view port) const;
  const BundleSpec& bundle(std::string_view port) const;
  // A scalar or string; throws PlanError where only the run will tell it.
  template <class T>
  const T& value(std::string_view port) const {
    const T* known = std::get_if<T>(&at(port));
    if (known == nullptr) throw_unknown(port);
    return *known;
  }

  WeightView weights(std::string_view slot) const;  // no data, see WeightView
  const Component& component(std::string_view slot) const;
  const std::string& variant() const { return site_.variant; }
  c10::ScalarType dtype() const { return site_.dtype; }

  // For the runtime: what weights() was asked for, by slot.
  const std::map<std::string, WeightView, std::less<>>& views() const { return views_; }

 private:
  const ValueSpec& at(std::string_view port) const;
  [[noreturn]] static void throw_unknown(std::string_view port);

  Site site_;
  Inputs inputs_;
  mutable std::map<std::string, WeightView, std::less<>> views_;  // made at the first call
};

// What a host wants to hear of while a node works.  [called on the run thread]
struct RunHooks {
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(const std::string& line)> warn;
};

// What a node found in one iteration of a loop and would only find again in the next, by names of
// its own.
using Memo = std::map<std::string, Bundle, std::less<>>;

// What a node has while it runs: everything is on device().  [run thread]
class EMULSION_API RunContext {
 public:
  using Values = std::map<std::string, Value, std::less<>>;
  RunContext(Site site, c10::Device device, Values inputs, RunHooks hooks)
      : site_(std::move(site)),
        device_(device),
        inputs_(std::move(inputs)),
        hooks_(std::move(hooks)) {}

  bool has(std::string_view port) const { return inputs_.find(port) != inputs_.end(); }
  template <class T>
  const T& value(std::string_view port) const {
    const T* held = std::get_if<T>(&at(port));
    if (held == nullptr) throw_wrong_holding(port);
    return *held;
  }
  const at::Tensor& tensor(std::string_view port) const { return value<at::Tensor>(port); }
  const Bundle& bundle(std::string_view port) const { return value<Bundle>(port); }

  WeightView weights(std::string_view slot) const;
  const Component& component(std::string_view slot) const;
  const std::string& variant() const { return site_.variant; }
  c10::ScalarType dtype() const { return site_.dtype; }
  c10::Device device() const { return device_; }

  // Empty at first, and whenever the runtime needed the room; gone after the loop, and outside of
  // one after run().  No result may depend on what is there: look whether it still belongs to the
  // inputs.  It takes no more than Forecast::memo, which is counted for the whole loop.
  Memo& memo() { return memo_; }

  // Gives a result.  A tensor must own its whole storage: a view would keep the rest alive.
  void output(std::string_view port, Value value);
  // Throws Cancelled when the host asked to stop; call it at least once a second.
  void check_cancelled() const;
  // One line for the user; the runtime adds which node it came from.
  void warn(const std::string& line) const;

  // For the runtime: the tensors of a slot without an account of their use, and what run() gave.
  const WeightSet& weight_set(std::string_view slot) const;
  Values take_outputs() { return std::move(outputs_); }

 private:
  const Value& at(std::string_view port) const;
  [[noreturn]] static void throw_wrong_holding(std::string_view port);

  Site site_;
  c10::Device device_;
  Values inputs_, outputs_;
  Memo memo_;
  RunHooks hooks_;
};

}  // namespace emulsion
