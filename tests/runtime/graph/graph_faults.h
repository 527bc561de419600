#pragma once

#include <map>
#include <string>
#include <string_view>

#include "emulsion/errors.h"
#include "fakes/fake_catalog.h"
#include "graph/validate.h"

namespace emulsion::fakes {

using Values = std::map<std::string, Param>;

inline Graph graph_of(std::string_view json, const Values& values = {},
                      Unset unset = Unset::IsFault) {
  return validate(parse_graph(json, "g.json"), catalog(), values, unset);
}

// What validate() says of a document, or "".
inline std::string faults_of(std::string_view json, const Values& values = {},
                             Unset unset = Unset::IsFault) {
  try {
    graph_of(json, values, unset);
    return "";
  } catch (const GraphError& error) {
    return error.what();
  }
}

}  // namespace emulsion::fakes
