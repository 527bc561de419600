#include "plugins/plugin_registry.h"

#include "check.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "emulsion/errors.h"
#include "emulsion/plugin.h"
#include "emulsion/str.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

// The refusals show the path as the folder was given: a relative one makes them comparable.
class InBuildTree {
 public:
  InBuildTree() : before_(fs::current_path()) {
    fs::current_path(fs::path(std::getenv("EMULSION_TEST_BUILD")) / "tests");
  }
  ~InBuildTree() { fs::current_path(before_); }
  InBuildTree(const InBuildTree&) = delete;
  InBuildTree& operator=(const InBuildTree&) = delete;

 private:
  fs::path before_;
};

PluginRegistry broken_plugins() {
  PluginRegistry registry;
  registry.add_folder("broken_plugins");
  return registry;
}

const PluginFile& file_named(const PluginRegistry& registry, const std::string& name) {
  const auto found = std::ranges::find(registry.files(), name, [](const PluginFile& file) {
    return file.library.filename().string();
  });
  REQUIRE(found != registry.files().end());
  return *found;
}

double doubled(const PluginRegistry& registry, double number, double offset) {
  const Params params({{"offset", offset}});
  const std::unique_ptr<Node> node = registry.catalog().at("good_double")->create(params);
  RunContext context({}, c10::Device(c10::kCPU), {{"number", number}}, {});
  node->run(context);
  return std::get<double>(context.take_outputs().at("number"));
}

// A folder of its own with copies of some of the broken plug-ins' files.
class CopiedPlugins {
 public:
  explicit CopiedPlugins(const std::vector<std::string>& names) {
    fs::remove_all(folder());
    fs::create_directories(folder());
    for (const std::string& name : names) fs::copy(fs::path("broken_plugins") / name, folder());
  }
  ~CopiedPlugins() { fs::remove_all(folder()); }
  CopiedPlugins(const CopiedPlugins&) = delete;
  CopiedPlugins& operator=(const CopiedPlugins&) = delete;

  static fs::path folder() { return "copied_plugins"; }
  static std::string text(const std::string& name) {
    std::ifstream file(folder() / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const std::string& name, const std::string& text) {
    std::ofstream(folder() / name) << text;
  }
};

}  // namespace

TEST_CASE("each broken library is refused with one line that names it") {
  const InBuildTree here;
  const PluginRegistry registry = broken_plugins();
  const auto refusal = [&](const std::string& name) { return file_named(registry, name).refusal; };
  CHECK(refusal("empty.so") ==
        str("broken_plugins/empty.so: cannot be loaded: ", fs::current_path().string(),
            "/broken_plugins/empty.so: file too short; rebuild the plug-in, or install what it "
            "needs"));
  CHECK(refusal("missing_dependency.so") ==
        "broken_plugins/missing_dependency.so: cannot be loaded: libbroken_needed.so: cannot open "
        "shared object file: No such file or directory; rebuild the plug-in, or install what it "
        "needs");
  CHECK(refusal("no_entry.so") ==
        "broken_plugins/no_entry.so: no Emulsion plug-in: expected an exported "
        "'emulsion_plugin', got none; write EMULSION_PLUGIN(describe) in it, or move it away");
  CHECK(refusal("short_entry.so") ==
        "broken_plugins/short_entry.so: entry: expected 32 bytes, got 12; rebuild the plug-in");
  CHECK(refusal("wrong_api.so") ==
        "broken_plugins/wrong_api.so: plug-in API: expected 3.0, got 7.2; rebuild the plug-in for "
        "this version");
  CHECK(refusal("wrong_stamp.so") ==
        str("broken_plugins/wrong_stamp.so: plug-in ABI: expected '", EMULSION_ABI_STAMP,
            "', got 'emulsion=1 torch=1.12.0 gcc9 cxx11abi=0 c++=201402'; rebuild the plug-in "
            "with this compiler and LibTorch"));
  CHECK(refusal("throws_in_describe.so") ==
        "broken_plugins/throws_in_describe.so: describe failed: no table found; mend the plug-in");
  CHECK(refusal("same_id_as_good.so") ==
        "broken_plugins/same_id_as_good.so: node 'good_double' is already that of "
        "'broken_plugins/good.so'; move one of the two away");
  CHECK(refusal("same_id_twice.so") ==
        "broken_plugins/same_id_twice.so: node 'twin' is described twice; mend the plug-in");
  for (const PluginFile& file : registry.files())
    CHECK(file.refusal.find('\n') == std::string::npos);
}

TEST_CASE("a good library among broken ones still works") {
  const InBuildTree here;
  const PluginRegistry registry = broken_plugins();
  CHECK(file_named(registry, "good.so").refusal.empty());
  CHECK(file_named(registry, "good.so").nodes == std::vector<std::string>{"good_double"});
  CHECK(registry.library_of("good_double") == "broken_plugins/good.so");
  CHECK(doubled(registry, 4, 0.5) == 8.5);
}

TEST_CASE("only the good library and the one with the stale manifest are in the catalog") {
  const InBuildTree here;
  const PluginRegistry registry = broken_plugins();
  std::vector<std::string> ids;
  for (const auto& [id, node] : registry.catalog()) ids.push_back(id);
  CHECK(ids == std::vector<std::string>{"good_double", "stale_node"});
  CHECK(registry.files().size() == 11);
}

TEST_CASE("a stale manifest is found out when the library is loaded for its first node") {
  const InBuildTree here;
  const PluginRegistry registry = broken_plugins();
  CHECK(file_named(registry, "stale_manifest.so").refusal.empty());
  const NodeDescriptor& node = *registry.catalog().at("stale_node");
  CHECK(std::get<std::int64_t>(node.params.at(0).fallback) == 20);
  for (int attempt = 0; attempt < 2; ++attempt)
    CHECK_THROWS_WITH_AS(node.create({}),
                         "broken_plugins/stale_manifest.so: stale manifest: node 'stale_node' is "
                         "another than the library's; write the manifest again with "
                         "emulsion-describe",
                         PluginError);
  CHECK(registry.why("stale_node")
            .find("refused: broken_plugins/stale_manifest.so: stale "
                  "manifest: node 'stale_node'") != std::string::npos);
}

TEST_CASE("a manifest is enough to know a node, and the library is loaded at first use") {
  const InBuildTree here;
  const CopiedPlugins copied({"good.so", "good.emulsion.json"});
  CopiedPlugins::write("good.so", "not a library");
  PluginRegistry registry;
  registry.add_folder(CopiedPlugins::folder());
  CHECK(registry.catalog().at("good_double")->summary == "Doubles a number.");
  CHECK(registry.files().at(0).refusal.empty());
  CHECK_THROWS_WITH_AS(registry.catalog().at("good_double")->create({}),
                       doctest::Contains("copied_plugins/good.so: cannot be loaded: "),
                       PluginError);
}

TEST_CASE("a library without a manifest is loaded at once") {
  const InBuildTree here;
  const CopiedPlugins copied({"good.so"});
  PluginRegistry registry;
  registry.add_folder(CopiedPlugins::folder());
  CHECK(doubled(registry, 3, 1) == 7);
}

TEST_CASE("a damaged manifest, or one of another library or build, is refused unloaded") {
  const InBuildTree here;
  const CopiedPlugins copied({"good.emulsion.json"});
  const std::string good = CopiedPlugins::text("good.emulsion.json");
  CopiedPlugins::write("good.so", "is never loaded");
  const auto refusal = [](const std::string& manifest) {
    CopiedPlugins::write("good.emulsion.json", manifest);
    PluginRegistry registry;
    registry.add_folder(CopiedPlugins::folder());
    CHECK(registry.catalog().empty() == !registry.files().at(0).refusal.empty());
    return registry.files().at(0).refusal;
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = good;
    REQUIRE(changed.find(from) != std::string::npos);
    return changed.replace(changed.find(from), from.size(), to);
  };
  CHECK(refusal(good).empty());
  const std::string place = "copied_plugins/good.emulsion.json: not the manifest of 'good.so': ";
  CHECK(refusal(with("\"good.so\"", "\"bad.so\"")) ==
        str(place, "it is of 'bad.so'; rebuild the plug-in"));
  CHECK(refusal(with("\"holding\": \"float\"", "\"holding\": \"wool\"")) ==
        str(place, "'wool' is not known; rebuild the plug-in"));
  CHECK(refusal("{}") == str(place, "key 'abi_stamp' not found; rebuild the plug-in"));
  CHECK(refusal(good.substr(0, 100)).starts_with(place));
  CHECK(refusal(with("\"major\": 3", "\"major\": 4")) ==
        "copied_plugins/good.so: plug-in API: expected 3.0, got 4.0; rebuild the plug-in for this "
        "version");
  CHECK(refusal(with(EMULSION_ABI_STAMP, "other")) ==
        str("copied_plugins/good.so: plug-in ABI: expected '", EMULSION_ABI_STAMP,
            "', got 'other'; rebuild the plug-in with this compiler and LibTorch"));
}

TEST_CASE("the first folder that has an id wins") {
  const InBuildTree here;
  const CopiedPlugins copied({"good.so"});
  PluginRegistry registry;
  registry.add_folder(CopiedPlugins::folder());
  registry.add_folder("broken_plugins");
  CHECK(registry.library_of("good_double") == "copied_plugins/good.so");
  CHECK(file_named(registry, "no_entry.so").refusal.size() > 0);
  CHECK(registry.why("good_double").starts_with("copied_plugins/good.so: taken\n"));
  CHECK(registry.why("good_double")
            .find("refused: broken_plugins/good.so: node 'good_double' is already that of "
                  "'copied_plugins/good.so'; move one of the two away\n") != std::string::npos);
}

TEST_CASE("why says where was looked when there is no such node") {
  const InBuildTree here;
  const CopiedPlugins copied({"good.so"});
  PluginRegistry registry;
  CHECK(registry.why("wool") == "no usable library has node 'wool'; looked in: no folder\n");
  registry.add_folder(CopiedPlugins::folder());
  registry.add_folder("a folder that is not there");
  CHECK(registry.why("wool") ==
        "no usable library has node 'wool'; looked in: 'copied_plugins' 'a folder that is not "
        "there'\n");
}

TEST_CASE("a node type can be added without a library, but not twice") {
  PluginRegistry registry;
  registry.add({.id = "fake", .summary = "Is a fake."});
  CHECK(registry.library_of("fake").empty());
  CHECK(registry.why("fake") == "node 'fake' is part of this program\n");
  CHECK_THROWS_WITH_AS(registry.add({.id = "fake", .summary = "Is another."}),
                       "node 'fake' is already there", PluginError);
}

TEST_CASE("threads that need the same library at once get it from one load") {
  const InBuildTree here;
  const PluginRegistry registry = broken_plugins();
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { right += doubled(registry, 1, 1) == 3 ? 1 : 0; });
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 4);
}

TEST_CASE("the environment's folders come first, and one that comes twice counts once") {
  const InBuildTree here;
  const CopiedPlugins copied({"good.so"});
  const fs::path build = std::getenv("EMULSION_TEST_BUILD");
  setenv("EMULSION_PLUGIN_PATH", "copied_plugins::not there:./copied_plugins", 1);
  const std::vector<fs::path> found = plugin_folders({"broken_plugins", "copied_plugins"});
  unsetenv("EMULSION_PLUGIN_PATH");
  REQUIRE(found.size() >= 2);
  CHECK(found[0] == "copied_plugins");
  CHECK(found[1] == "broken_plugins");
  const fs::path shipped = build / "lib/emulsion/nodes";
  if (fs::exists(shipped)) {
    REQUIRE(found.size() == 3);
    CHECK(fs::equivalent(found[2], shipped));
  }
}
