#pragma once

#include <stdexcept>
#include <string>

#include "emulsion/export.h"

namespace emulsion {

// What users read: one line, `place: what: expected, got; what to do`, names in single quotes.
// A node states only what is wrong; the runtime adds where.  The classes are defined in
// libemulsion_plugin_api, so that a catch works across libraries.
class EMULSION_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~Error() override;
};

// The graph, or a value given to it, is wrong (exit status 2).
class EMULSION_API GraphError : public Error {
 public:
  using Error::Error;
  ~GraphError() override;
};

// A plug-in library cannot be used.
class EMULSION_API PluginError : public Error {
 public:
  using Error::Error;
  ~PluginError() override;
};

// A model is missing, damaged, or of another family (exit status 3).
class EMULSION_API WeightError : public Error {
 public:
  using Error::Error;
  ~WeightError() override;
};

// Nothing that fits in the budgets computes this graph (exit status 4).
class EMULSION_API PlanError : public Error {
 public:
  using Error::Error;
  ~PlanError() override;
};

// A node failed while running (exit status 1).
class EMULSION_API RunError : public Error {
 public:
  using Error::Error;
  ~RunError() override;
};

// A device had less memory than its budget promised.
class EMULSION_API OutOfMemory : public RunError {
 public:
  using RunError::RunError;
  ~OutOfMemory() override;
};

// The host asked the run to stop (exit status 130 or 143).
class EMULSION_API Cancelled : public RunError {
 public:
  using RunError::RunError;
  ~Cancelled() override;
};

}  // namespace emulsion
