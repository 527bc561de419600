#include "exec/adapter_forms.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/branches.h"

namespace emulsion {
namespace {

constexpr double kDoesNotFit = std::numeric_limits<double>::infinity();

// One way to have all components.
struct Form {
  Graph graph;
  std::vector<OpenComponent> components;
  Forecasts forecasts;
  double seconds = kDoesNotFit;  // predicted
};

class FormSearch {
 public:
  FormSearch(const RequestSetup& setup, bool keeps_weights)
      : setup_(setup), request_(setup.plan), keeps_weights_(keeps_weights) {
    request_.repeats = keeps_weights;
    for (std::size_t i = 0; i < setup.components.size(); ++i)
      if (auto found = divided(setup.components[i], setup.forecasts.components[i].use.branched))
        candidates_.push_back({static_cast<ComponentId>(i), *std::move(found)});
    std::ranges::stable_sort(candidates_, std::ranges::greater{}, [&](const Candidate& candidate) {
      return setup.forecasts.components[index(candidate.component)].bytes;
    });
  }

  bool has_choice() const { return !candidates_.empty(); }

  // All beside; then one component after the other is given back its changes, as long as that is
  // faster; last all of them, which may be all that fits.
  Form fastest() const {
    std::vector<bool> beside(candidates_.size(), true);
    Form best = form_of(beside);
    if (keeps_weights_ && best.seconds != kDoesNotFit) return best;
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      beside[i] = false;
      Form other = form_of(beside);
      beside[i] = other.seconds >= best.seconds;
      if (!beside[i]) best = std::move(other);
    }
    if (best.seconds != kDoesNotFit) return best;
    return form_of(std::vector<bool>(candidates_.size(), false));
  }

 private:
  struct Candidate {
    ComponentId component;
    DividedComponent divided;
  };

  Form form_of(const std::vector<bool>& beside) const {
    Form form{setup_.graph, setup_.components, {}};
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      if (!beside[i]) continue;
      const Candidate& candidate = candidates_[i];
      const ComponentRef& ref = setup_.graph.component(candidate.component);
      form.components[index(candidate.component)] = candidate.divided.weights;
      form.components.push_back(candidate.divided.branches);
      form.graph.components.push_back(
          {str(ref.name, ".lora"), ref.resource, ref.part, candidate.component});
    }
    form.forecasts = forecast_of(form.graph, setup_.nodes, form.components, setup_.forecasts.dtype);
    try {
      form.seconds = make_plan(form.graph, form.forecasts, request_).seconds;
    } catch (const PlanError&) {  // the caller's own plan will say what is missing
    }
    return form;
  }

  const RequestSetup& setup_;
  PlanRequest request_;
  bool keeps_weights_;
  std::vector<Candidate> candidates_;  // the largest first
};

}  // namespace

void choose_adapter_forms(RequestSetup& setup, bool keeps_weights) {
  const FormSearch search(setup, keeps_weights);
  if (!search.has_choice()) return;
  Form form = search.fastest();
  setup.graph = std::move(form.graph);
  setup.components = std::move(form.components);
  setup.forecasts = std::move(form.forecasts);
}

}  // namespace emulsion
