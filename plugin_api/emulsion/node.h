#pragma once

#include <map>
#include <string>

#include "emulsion/descriptor.h"
#include "emulsion/run_context.h"
#include "emulsion/work.h"

namespace emulsion {

struct Forecast {
  std::map<std::string, ValueSpec> outputs;  // every output, exactly as run() will give it
  Bytes workspace = 0;                       // upper bound for temporaries; outputs not counted
  Work work = {};                            // none: taken as no time at all
  double passes = 1;                         // times that run() goes through its weights' blocks
  Bytes cpu_workspace = 0;                   // what a CPU takes more, or less
  Bytes memo = 0;                            // upper bound for RunContext::memo() in a loop
};

// A stage.  Const throughout: a node keeps its parameters, never tensors, and computes the same
// from the same inputs.  Errors are thrown as Error with what is wrong; the runtime adds where.
class Node {
 public:
  virtual ~Node() = default;
  // Shapes and bytes for the context's variant, without allocating; checks configs, names and
  // shapes of weights, so that a damaged model is refused before anything is loaded. Pure.
  // [any thread]
  virtual Forecast forecast(const ForecastContext& context) const = 0;
  // Inputs, weights and outputs are on context.device(); autograd is off.  [run thread]
  virtual void run(RunContext& context) const = 0;
};

}  // namespace emulsion
