#pragma once

#include <string>
#include <utility>
#include <vector>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "graph/near_names.h"

namespace emulsion {

// Collects what is wrong with a document, so that a user reads all of it at once.  [one thread]
class Faults {
 public:
  explicit Faults(std::string file, std::vector<std::string> lines = {})
      : file_(std::move(file)), lines_(std::move(lines)) {}

  // `path` is that of the JSON value.
  template <class... Text>
  void add(const std::string& path, const Text&... text) {
    lines_.push_back(str(file_, ": ", path, ": ", text...));
  }
  const std::vector<std::string>& lines() const { return lines_; }
  void throw_if_any() const {
    if (!lines_.empty()) throw GraphError(joined(lines_, "\n"));
  }

 private:
  std::string file_;
  std::vector<std::string> lines_;
};

}  // namespace emulsion
