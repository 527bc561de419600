#pragma once

#include <string>
#include <vector>

#include "emulsion/memory.h"

namespace emulsion {

// A model that is on this machine and has a name.
struct ListedModel {
  std::string name;  // as a graph's `model` takes it
  std::string path;
  Bytes bytes = 0;
  std::string commit;  // of the hub's cache, else empty
  std::string lacks;   // what a whole model would have besides; empty: nothing
};

// The shipped models, and those in the hub's cache.  [any thread]
std::vector<ListedModel> listed_models();

std::string to_text(const std::vector<ListedModel>& models);  // for people
std::string to_json(const std::vector<ListedModel>& models);

}  // namespace emulsion
