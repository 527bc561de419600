#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace emulsion {

class TensorFile;

// The files that hold one component's weights.
struct WeightFiles {
  std::vector<std::filesystem::path> files;  // one, several shards in the order of names, or none
  std::filesystem::path index;               // of the shards, else empty
  std::map<std::string, std::string> shard_of;  // by tensor, as the index tells
};

// The config among the files of a component's folder, or empty where there is none. [any thread]
std::filesystem::path component_config(const std::filesystem::path& folder);

// Picks the weights of a component's folder: the plain ones, else a variant's (fp16 before others);
// of one variant, a whole file before shards.  Throws WeightError on shards without an index, on a
// damaged index, and on one that names a file which is not there.  [any thread]
WeightFiles weight_files(const std::filesystem::path& folder);

// Throws WeightError unless each tensor is in the one shard that the index names for it.
// [any thread]
void check_shards(const WeightFiles& weights,
                  const std::vector<std::shared_ptr<const TensorFile>>& files);

}  // namespace emulsion
