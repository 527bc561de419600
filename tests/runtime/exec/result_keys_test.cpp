#include "exec/result_keys.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "check.h"
#include "fakes/fake_catalog.h"
#include "fakes/fake_model.h"
#include "graph/validate.h"

using namespace emulsion;

namespace {

// Reads a picture and writes it.
constexpr const char* kGraph = R"({
  "emulsion": 1,
  "inputs": {"file": {"type": "text"}},
  "nodes": {
    "read": {"type": "image_read", "params": {"path": "$file"}},
    "blur": {"type": "blur", "in": {"latent": "source.latent"}, "params": {"amount": 1.5}},
    "again": {"type": "blur", "in": {"latent": "source.latent"}, "params": {"amount": 1.5}},
    "more": {"type": "blur", "in": {"latent": "source.latent"}, "params": {"amount": 2.5}},
    "source": {"type": "source"}},
  "outputs": {"image": "read.image", "latent": "more.latent"}})";

class Keys {
 public:
  Keys(const std::string& file, KeyTable& table, c10::ScalarType dtype = at::kFloat)
      : graph_(validate(parse_graph(kGraph, "keys.json"), fakes::catalog(), {{"file", file}})),
        keys_(result_keys(graph_, {}, dtype, table)) {}

  std::optional<ResultKey> of(const std::string& value) const {
    for (std::size_t i = 0; i < keys_.size(); ++i)
      if (graph_.values[i].name == value) return keys_[i];
    return std::nullopt;
  }

 private:
  Graph graph_;
  std::vector<std::optional<ResultKey>> keys_;
};

}  // namespace

TEST_CASE("equal nodes have equal keys, others different ones") {
  KeyTable table;
  const Keys keys("none.png", table);
  REQUIRE(keys.of("blur.latent"));
  CHECK(keys.of("blur.latent") == keys.of("again.latent"));
  CHECK(keys.of("blur.latent") != keys.of("more.latent"));
  CHECK(keys.of("blur.latent") != keys.of("source.latent"));
  CHECK(keys.of("blur.latent") == Keys("other.png", table).of("blur.latent"));
  CHECK(keys.of("blur.latent") != Keys("none.png", table, at::kHalf).of("blur.latent"));
}

TEST_CASE("a file that was changed gives another key") {
  const auto file = std::filesystem::temp_directory_path() /
                    ("emulsion_result_keys_" + std::to_string(getpid()) + ".png");
  KeyTable table;
  std::ofstream(file) << "one";
  const auto before = Keys(file.string(), table).of("read.image");
  CHECK(Keys(file.string(), table).of("read.image") == before);
  std::ofstream(file) << "another";
  CHECK(Keys(file.string(), table).of("read.image") != before);
  std::filesystem::remove(file);
  CHECK(Keys(file.string(), table).of("read.image") != before);
}

TEST_CASE("a folder is another one when a file in it was changed, or is new") {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("emulsion_result_keys_folder_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  KeyTable table;
  std::ofstream(folder / "a") << "one";
  const auto before = Keys(folder.string(), table).of("read.image");
  CHECK(Keys(folder.string(), table).of("read.image") == before);
  std::ofstream(folder / "a") << "another";
  const auto changed = Keys(folder.string(), table).of("read.image");
  CHECK(changed != before);
  std::ofstream(folder / "b") << "one";
  CHECK(Keys(folder.string(), table).of("read.image") != changed);
  std::filesystem::remove_all(folder);
}

TEST_CASE("a loop is one unit that gives its carries, and nothing of its inside has a key") {
  const fakes::Pipeline pipeline;
  const fakes::Model model;
  KeyTable table;
  const auto keys = result_keys(pipeline.graph, model.open(pipeline.graph), at::kFloat, table);
  std::set<std::string> with_key;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i]) with_key.insert(pipeline.graph.values[i].name);
  CHECK((with_key == std::set<std::string>{"encode.condition", "noise.latent", "noise.iterations",
                                           "denoise.latent", "denoise.history", "decode.image"}));
}
