#include "emulsion/run_context.h"

#include <c10/core/Storage.h>

#include <stdexcept>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

// A port or slot that the descriptor lacks is the plug-in author's mistake, not a user's.
template <class Map>
const typename Map::mapped_type& entry(const Map& map, std::string_view kind,
                                       std::string_view name) {
  const auto found = map.find(name);
  if (found == map.end()) throw std::logic_error(str("no ", kind, " '", name, "'"));
  return found->second;
}

const std::shared_ptr<const WeightSet>& weights_of(const Site& site, std::string_view name) {
  const Slot& slot = entry(site.slots, "slot", name);
  if (slot.weights == nullptr) throw std::logic_error(str("slot '", name, "' has no weights"));
  return slot.weights;
}

WeightView view_of(const Site& site, std::string_view name) {
  return WeightView(weights_of(site, name));
}

bool owns_its_storage(const at::Tensor& tensor) {
  return !tensor.defined() || tensor.storage().nbytes() == tensor.nbytes();
}

bool owns_its_storage(const Value& value) {
  if (const auto* tensor = std::get_if<at::Tensor>(&value)) return owns_its_storage(*tensor);
  if (const auto* bundle = std::get_if<Bundle>(&value))
    for (const auto& [name, tensor] : *bundle)
      if (!owns_its_storage(tensor)) return false;
  return true;
}

}  // namespace

const ValueSpec& ForecastContext::at(std::string_view port) const {
  return entry(inputs_, "input", port);
}

void ForecastContext::throw_unknown(std::string_view port) {
  throw PlanError(str("input '", port,
                      "' decides the shapes, but is known only in the run; give it a constant"));
}

const TensorSpec& ForecastContext::tensor(std::string_view port) const {
  return std::get<TensorSpec>(at(port));
}

const BundleSpec& ForecastContext::bundle(std::string_view port) const {
  return std::get<BundleSpec>(at(port));
}

WeightView ForecastContext::weights(std::string_view slot) const {
  return views_.try_emplace(std::string(slot), view_of(site_, slot)).first->second;
}

const Component& ForecastContext::component(std::string_view slot) const {
  return *entry(site_.slots, "slot", slot).component;
}

const Value& RunContext::at(std::string_view port) const { return entry(inputs_, "input", port); }

void RunContext::throw_wrong_holding(std::string_view port) {
  throw std::logic_error(str("input '", port, "' is read as another holding than it has"));
}

WeightView RunContext::weights(std::string_view slot) const { return view_of(site_, slot); }

const WeightSet& RunContext::weight_set(std::string_view slot) const {
  return *weights_of(site_, slot);
}

const Component& RunContext::component(std::string_view slot) const {
  return *entry(site_.slots, "slot", slot).component;
}

void RunContext::output(std::string_view port, Value value) {
  if (!owns_its_storage(value))
    throw std::logic_error(str("output '", port, "' is a view, which keeps its whole storage"));
  outputs_.insert_or_assign(std::string(port), std::move(value));
}

void RunContext::check_cancelled() const {
  if (hooks_.cancelled != nullptr && hooks_.cancelled->load(std::memory_order_relaxed))
    throw Cancelled("cancelled");
}

void RunContext::warn(const std::string& line) const {
  if (hooks_.warn) hooks_.warn(line);
}

}  // namespace emulsion
