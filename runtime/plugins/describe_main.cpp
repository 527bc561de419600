// emulsion-describe LIBRARY MANIFEST.json: writes the manifest of a plug-in at build time.
#include <exception>
#include <iostream>

#include "emulsion/plugin.h"
#include "plugins/manifest.h"
#include "plugins/plugin_library.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "emulsion-describe: expected LIBRARY MANIFEST.json\n";
    return 1;
  }
  try {
    const std::filesystem::path library = argv[1];
    emulsion::write_manifest({.abi_stamp = EMULSION_ABI_STAMP,
                              .api_major = EMULSION_API_MAJOR,
                              .api_minor = EMULSION_API_MINOR,
                              .library = library.filename().string(),
                              .nodes = emulsion::load_library(library)},
                             argv[2]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
