#include "exec/shipped_files.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "graph/near_names.h"
#include "plugins/plugin_library.h"

namespace emulsion {

namespace fs = std::filesystem;

std::vector<fs::path> share_folders(const std::string& kind) {
  std::vector<fs::path> folders;
  const char* chosen = std::getenv("EMULSION_SHARE");
  if (chosen != nullptr && *chosen != '\0') folders.push_back(fs::path(chosen) / kind);
  for (const fs::path& folder : runtime_folders())  // bin or lib
    folders.push_back(folder.parent_path() / "share" / "emulsion" / kind);
  return folders;
}

std::vector<std::string> shipped_graphs() {
  std::vector<std::string> names;
  for (const fs::path& folder : share_folders("graphs")) {
    std::error_code none;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
      const fs::path& file = entry.path();
      if (file.extension() == ".json" && file.stem().extension() != ".schema")
        names.push_back(file.stem().string());
    }
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

fs::path find_graph(const std::string& graph) {
  std::error_code none;
  if (fs::is_regular_file(graph, none)) return graph;
  const std::string stem = graph.ends_with(".json") ? fs::path(graph).stem().string() : graph;
  for (const fs::path& folder : share_folders("graphs")) {
    fs::path file = folder / (stem + ".json");
    if (fs::is_regular_file(file, none)) return file;
  }
  throw GraphError(str("graph ", quoted(graph), ": no such file, nor a shipped graph",
                       expected_one_of(shipped_graphs(), stem)));
}

std::string read_text_file(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (!stream && !stream.eof()) throw GraphError(str(file.string(), ": cannot be read"));
  return text;
}

}  // namespace emulsion
