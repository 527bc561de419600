#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "weights/weight_store.h"

namespace emulsion {

// What a value is made from, as a number: equal for equal results, in all runs of a session.
using ResultKey = std::size_t;

// Numbers for descriptions.  [one thread at a time]
class KeyTable {
 public:
  ResultKey key_of(const std::string& description);

 private:
  std::map<std::string, ResultKey> keys_;
};

// The keys by ValueId: of node type, parameters (those that name files with what tells the file
// from what it was before), components, dtype, and the keys of what feeds the node; a loop is one
// unit, which gives its carries.  Absent for what is inside of loops, for what nodes with effects
// give, and for all that is made from it.
std::vector<std::optional<ResultKey>> result_keys(const Graph& graph,
                                                  const std::vector<OpenComponent>& components,
                                                  c10::ScalarType dtype, KeyTable& table);

}  // namespace emulsion
