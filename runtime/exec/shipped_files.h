#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace emulsion {

// The graphs and models that come with the program, in share/emulsion of the tree that this
// library is part of (EMULSION_SHARE, where it is set, comes first).  [any thread]
std::vector<std::filesystem::path> share_folders(const std::string& kind);

// The file that `graph` names: a path, or a shipped graph with or without ".json".  Throws
// GraphError with the near names.  [any thread]
std::filesystem::path find_graph(const std::string& graph);

// The names of all shipped graphs, in order.  [any thread]
std::vector<std::string> shipped_graphs();

// The whole file.  Throws GraphError where it cannot be read.  [any thread]
std::string read_text_file(const std::filesystem::path& file);

}  // namespace emulsion
