#include "exec/warm_run.h"

#include <algorithm>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/adapter_forms.h"
#include "exec/recovery.h"
#include "weights/adapter.h"

namespace emulsion {
namespace {

// Gives the first plan that fits; the dtypes are tried in their order.
template <class Attempt>
PlannedRequest first_that_fits(const Request& request, const Notice& notice,
                               const Attempt& attempt) {
  const std::vector<c10::ScalarType> dtypes = dtypes_of(request);
  for (std::size_t i = 0; i + 1 < dtypes.size(); ++i) {
    try {
      return attempt(dtypes[i]);
    } catch (const PlanError&) {  // the last one's refusal names the smallest budget
    }
  }
  PlannedRequest planned = attempt(dtypes.back());
  if (notice && dtypes.size() > 1)
    notice(str("does not fit in ", dtype_text(dtypes.front()), "; computed in ",
               dtype_text(dtypes.back()), " instead"));
  return planned;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i)
    text += str(i == 0 ? "'" : ", '", names[i], "'");
  return names.size() > kNamed ? str(text, " and ", names.size() - kNamed, " more") : text;
}

// A line for each adapter of whose tensors some belong to nothing, or are for prompts; the report
// has them all.
void tell_unmatched(const std::vector<UsedAdapter>& adapters, const Notice& notice) {
  if (!notice) return;
  for (const UsedAdapter& used : adapters) {
    const std::vector<std::string>& unmatched = used.adapter->unmatched;
    if (!unmatched.empty())
      notice(str("adapter '", used.source, "': ", unmatched.size(),
                 unmatched.size() == 1 ? " tensor has" : " tensors have",
                 " no place in the model and no effect: ", listed(unmatched)));
    if (!used.adapter->embeddings.empty())
      notice(str("adapter '", used.source, "': has embeddings for prompts as well: ",
                 listed(used.adapter->embeddings), "; give the file as 'embeddings' to name them"));
  }
}

std::vector<RunReport::Adapter> rows_of(const std::vector<UsedAdapter>& adapters) {
  std::vector<RunReport::Adapter> rows;
  for (const UsedAdapter& used : adapters)
    rows.push_back(
        {used.adapter->file.string(), used.resource, used.strength, used.adapter->unmatched});
  return rows;
}

// What is free now does not count what this session holds, and can let go of.
void add_what_is_held(const Request& request, const WarmState& warm,
                      std::vector<DeviceBudget>& devices) {
  for (DeviceBudget& device : devices) {
    const bool has_size = std::ranges::any_of(request.devices, [&](const std::string& text) {
      return text.find('=') != std::string::npos && parse_device(text).name == device.name;
    });
    if (!has_size) device.capacity += warm.used(device.name);
  }
}

// A budget that has become smaller holds from the first moment on.
void make_room(WarmState& warm, const std::vector<DeviceBudget>& devices) {
  const auto is_over = [&](const DeviceBudget& device) {
    return warm.used(device.name) > device.capacity;
  };
  while (!warm.is_empty() && std::ranges::any_of(devices, is_over)) warm.forget_some();
}

// With all that is there; where that leaves no way, with the weights alone, and then with nothing.
PlannedRequest plan_with(WarmState& warm, bool keep, RequestSetup setup) {
  make_room(warm, setup.plan.devices);
  while (true) {
    PlanRequest request = setup.plan;
    request.repeats = keep;
    if (keep || !warm.is_empty()) {
      warm.offer_weights(setup, request);
      warm.offer_results(setup, request);
    }
    try {
      ExecutionPlan plan = make_plan(setup.graph, setup.forecasts, request);
      return {std::move(setup), std::move(request), std::move(plan)};
    } catch (const PlanError&) {
      if (warm.is_empty()) throw;
      warm.forget_some();
    }
  }
}

}  // namespace

PlannedRequest plan_request(const Request& request, const BoundGraph& bound, const Notice& notice) {
  WarmState nothing;
  PlannedRequest planned = first_that_fits(request, notice, [&](c10::ScalarType dtype) {
    RequestSetup setup = set_up(request, bound, dtype, notice);
    choose_adapter_forms(setup, request.keep);
    return plan_with(nothing, false, std::move(setup));
  });
  tell_unmatched(planned.setup.adapters, notice);
  return planned;
}

WarmRun run_warm(const Request& request, const BoundGraph& bound, WarmState& warm,
                 const RunOptions& options) {
  const PlannedRequest planned = first_that_fits(request, options.warn, [&](c10::ScalarType dtype) {
    RequestSetup setup = set_up(request, bound, dtype, options.warn);
    add_what_is_held(request, warm, setup.plan.devices);
    choose_adapter_forms(setup, request.keep);
    return plan_with(warm, request.keep, std::move(setup));
  });
  const RequestSetup& setup = planned.setup;
  tell_unmatched(setup.adapters, options.warn);
  RunState state(setup.graph, setup.plan.devices, warm.meters(setup.plan.devices));
  const Bytes before = warm.result_bytes();
  const DevicePlan& host = planned.plan.devices.back();
  warm.give_weights(planned.request, state);
  if (request.keep || before > 0)
    warm.give_results(planned.request, host.budget.capacity - host.peak, state);
  if (!request.keep) state.kept = {};
  WarmRun run{{}, {}, setup.written};
  try {
    Outputs outputs = execute_recovering(planned.plan, planned.request, setup.forecasts,
                                         setup.program(), state, options);
    for (auto& [name, value] : outputs)
      run.outputs.emplace(name, copied(std::exchange(value, false), c10::DeviceType::CPU));
  } catch (const Cancelled&) {
    if (request.keep) warm.take_weights(setup, planned.plan, state);
    throw;
  }
  run.report = state.recorder.report();
  run.report.adapters = rows_of(setup.adapters);
  if (!request.keep) {
    warm.forget();
    return run;
  }
  warm.take_weights(setup, planned.plan, state);
  warm.take_results(std::move(state.kept));
  run.report.devices.back().planned_peak += std::max(before, warm.result_bytes());
  return run;
}

}  // namespace emulsion
