#include <ATen/ops/arange.h>
#include <sys/resource.h>
#include "check.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include "emulsion/errors.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

// A folder of the test's own, gone with it.
struct Folder {
  fs::path path;
  explicit Folder(const std::string& name)
      : path(fs::temp_directory_path() / str("emulsion_tensor_write_", name)) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
};

fakes::NodeCase writing(const fs::path& file, const at::Tensor& latent) {
  return {
      .id = "tensor_write", .params = {{"path", file.string()}}, .inputs = {{"latent", latent}}};
}

at::Tensor latent() { return at::arange(32, at::kFloat).reshape({1, 4, 2, 4}); }

}  // namespace

TEST_CASE("a latent is written as safetensors in float32 and read again") {
  const Folder folder("plain");
  const fs::path file = folder.path / "out.safetensors";
  const auto outputs = fakes::run_node(writing(file, latent().to(at::kBFloat16)));
  CHECK(std::get<std::string>(outputs.at("paths")) == file.string());
  CHECK(to_text(fakes::forecast_node(writing(file, latent())).outputs.at("paths")) ==
        file.string());

  std::ifstream stream(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  const std::string header =
      R"({"latent":{"data_offsets":[0,128],"dtype":"F32","shape":[1,4,2,4]}})";
  CHECK(bytes.substr(8, header.size()) == header);
  CHECK(bytes.size() == 8 + (header.size() + 7) / 8 * 8 + 128);
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);  // no partial file

  const auto again = fakes::run_node({.id = "tensor_read", .params = {{"path", file.string()}}});
  CHECK(std::get<at::Tensor>(again.at("latent")).equal(latent()));
}

TEST_CASE("a latent for a folder that does not exist is refused before the run") {
  CHECK_THROWS_WITH_AS(fakes::forecast_node(writing("no/such/x.safetensors", latent())),
                       "folder 'no/such' does not exist: 'no/such/x.safetensors' cannot be "
                       "written; make it first",
                       RunError);
}

TEST_CASE("a latent that the disk does not take leaves nothing behind") {
  const Folder folder("full");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{100, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    fakes::run_node(writing(folder.path / "x.safetensors", latent()));
  } catch (const RunError& e) {
    message = e.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(message == str("\'", (folder.path / "x.safetensors").string(),
                       "' cannot be written: File too large; free space, or give another place"));
  CHECK(fs::is_empty(folder.path));
}

}  // namespace emulsion
