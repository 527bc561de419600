#include "plugins/manifest.h"

#include "check.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "emulsion/plugin.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

// Every member is another than its default.
NodeDescriptor full_descriptor() {
  return {.id = "full",
          .summary = "Has all that a descriptor can have.",
          .inputs = {{"image", port::kImage, "A *picture*.", true}},
          .outputs = {{"paths", port::kPaths, "Where it went."}},
          .params = {{.name = "amount",
                      .fallback = 1.0,
                      .help = "“How much”",
                      .label = "The amount",
                      .optional = true,
                      .min = 0.1,
                      .max = 1e300,
                      .display_min = 0.25,
                      .display_max = 2,
                      .unit = "px",
                      .animatable = false},
                     {.name = "count",
                      .fallback = std::int64_t{9007199254740993},
                      .help = "",
                      .multiple_of = 8},
                     {.name = "flag", .fallback = true, .help = ""},
                     {.name = "text",
                      .fallback = std::string("a"),
                      .help = "",
                      .choices = {"a", "b"},
                      .multiline = true,
                      .file = true}},
          .slots = {{"unet", "The denoiser.", true}},
          .variants = {"batched", "sequential"},
          .runs_on = Home::Host,
          .file_endings = {".png", ".exr"}};
}

}  // namespace

TEST_CASE("a descriptor survives the way through JSON text, member by member") {
  const NodeDescriptor node = full_descriptor();
  const NodeDescriptor read = descriptor_of(nlohmann::ordered_json::parse(to_json(node).dump()));
  CHECK(to_json(read) == to_json(node));
  CHECK(read.id == "full");
  CHECK(read.inputs.at(0).name == "image");
  CHECK(read.inputs.at(0).type.name == "image");
  CHECK(read.inputs.at(0).type.holding == Holding::Tensor);
  CHECK(read.inputs.at(0).type.layout == port::kImage.layout);
  CHECK(read.inputs.at(0).type.home == Home::Device);
  CHECK(read.inputs.at(0).optional);
  CHECK(read.outputs.at(0).type.home == Home::Host);
  CHECK(read.outputs.at(0).type.holding == Holding::String);
  CHECK(read.params.at(0).fallback == node.params.at(0).fallback);
  CHECK(read.params.at(0).min == 0.1);
  CHECK(read.params.at(0).max == 1e300);
  CHECK(read.params.at(0).display_max == 2);
  CHECK(!read.params.at(0).animatable);
  CHECK(read.params.at(1).fallback == node.params.at(1).fallback);
  CHECK(!read.params.at(1).min.has_value());
  CHECK(read.params.at(1).multiple_of == 8);
  CHECK(read.params.at(2).fallback == Param(true));
  CHECK(read.params.at(3).choices == std::vector<std::string>{"a", "b"});
  CHECK(read.params.at(3).multiline);
  CHECK(read.params.at(3).file);
  CHECK(read.slots.at(0).has_weights);
  CHECK(read.variants == node.variants);
  CHECK(read.runs_on == Home::Host);
  CHECK(read.file_endings == node.file_endings);
}

TEST_CASE("a manifest that cannot be written leaves nothing behind") {
  const fs::path folder = fs::temp_directory_path() / "emulsion_manifest_test";
  fs::remove_all(folder);
  fs::create_directories(folder / "taken.json" / "full");
  CHECK_THROWS_AS(write_manifest({}, folder / "taken.json"), PluginError);
  CHECK_THROWS_AS(write_manifest({}, folder / "none" / "x.json"), PluginError);
  CHECK(std::distance(fs::directory_iterator(folder), {}) == 1);
  fs::remove_all(folder);
}

TEST_CASE("a manifest that was written is read again, and an absent one is none") {
  const fs::path folder = fs::temp_directory_path() / "emulsion_manifest_test";
  fs::remove_all(folder);
  fs::create_directories(folder);
  CHECK(!read_manifest(folder / "full.so").has_value());
  CHECK(manifest_path("a/full.so") == "a/full.emulsion.json");
  write_manifest(
      {EMULSION_ABI_STAMP, EMULSION_API_MAJOR, EMULSION_API_MINOR, "full.so", {full_descriptor()}},
      manifest_path(folder / "full.so"));
  const std::optional<Manifest> read = read_manifest(folder / "full.so");
  REQUIRE(read.has_value());
  CHECK(read->abi_stamp == EMULSION_ABI_STAMP);
  CHECK(read->library == "full.so");
  CHECK(to_json(read->nodes.at(0)) == to_json(full_descriptor()));
  fs::remove_all(folder);
}
