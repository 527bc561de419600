#include <sys/wait.h>
#include "check.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "emulsion/str.h"
#include "plugins/manifest.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

struct Ended {
  int status = 0;
  std::string text;  // of both streams
};

Ended describe(const std::string& arguments) {
  const fs::path build = std::getenv("EMULSION_TEST_BUILD");
  const std::string command = str("cd '", (build / "tests/broken_plugins").string(),
                                  "' && ../../bin/emulsion-describe ", arguments, " 2>&1");
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Ended ended;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) ended.text += static_cast<char>(c);
  ended.status = WEXITSTATUS(pclose(pipe));
  return ended;
}

const fs::path kFolder = fs::temp_directory_path() / "emulsion_describe_test";

}  // namespace

TEST_CASE("emulsion-describe writes the manifest of a library") {
  fs::remove_all(kFolder);
  fs::create_directories(kFolder);
  const Ended ended = describe(str("good.so ", (kFolder / "good.emulsion.json").string()));
  CHECK(ended.text.empty());
  CHECK(ended.status == 0);
  const std::optional<Manifest> manifest = read_manifest(kFolder / "good.so");
  REQUIRE(manifest.has_value());
  CHECK(manifest->nodes.at(0).id == "good_double");
  CHECK(std::get<double>(manifest->nodes.at(0).params.at(0).fallback) == 0.0);
  CHECK(std::distance(fs::directory_iterator(kFolder), {}) == 1);
  fs::remove_all(kFolder);
}

TEST_CASE("emulsion-describe refuses with one line, and writes nothing") {
  fs::remove_all(kFolder);
  fs::create_directories(kFolder);
  const Ended broken = describe(str("wrong_api.so ", (kFolder / "x.json").string()));
  CHECK(broken.text ==
        "wrong_api.so: plug-in API: expected 3.0, got 7.2; rebuild the plug-in for this "
        "version\n");
  CHECK(broken.status == 1);
  CHECK(
      describe(str("good.so ", (kFolder / "none/x.json").string())).text ==
      str((kFolder / "none/x.json").string(), ": cannot be written: No such file or directory\n"));
  CHECK(describe("good.so").text == "emulsion-describe: expected LIBRARY MANIFEST.json\n");
  CHECK(describe("good.so").status == 1);
  CHECK(fs::is_empty(kFolder));
  fs::remove_all(kFolder);
}
