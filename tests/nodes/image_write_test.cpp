#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <sys/resource.h>
#include "check.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

// A folder of the test's own, gone with it.
struct Folder {
  fs::path path;
  explicit Folder(const std::string& name)
      : path(fs::temp_directory_path() / str("emulsion_image_write_", name)) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
};

fakes::NodeCase writing(const fs::path& file, const at::Tensor& image) {
  return {.id = "image_write", .params = {{"path", file.string()}}, .inputs = {{"image", image}}};
}

fakes::NodeCase reading(const fs::path& file) {
  return {.id = "image_read", .params = {{"path", file.string()}}};
}

at::Tensor read(const fs::path& file) {
  return std::get<at::Tensor>(fakes::run_node(reading(file)).at("image"));
}

// [1, 3, 4, 8], every value another one
at::Tensor ramp() { return at::arange(96, at::kFloat).div(95).reshape({1, 3, 4, 8}); }

std::string bytes_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string message(const fakes::NodeCase& node) {
  try {
    fakes::forecast_node(node);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a PNG holds 255 x, rounded") {
  const Folder folder("png");
  const fs::path file = folder.path / "a.png";
  const auto outputs = fakes::run_node(writing(file, ramp()));
  CHECK(std::get<std::string>(outputs.at("paths")) == file.string());
  CHECK(fakes::distance(read(file), ramp().mul(255).round().div(255)) < 1e-7);
  CHECK(bytes_of(file).find("Emulsion") != std::string::npos);
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);  // no partial file
}

TEST_CASE("each format gives the picture back") {
  const Folder folder("formats");
  const auto error_of = [&](const std::string& name, const std::string& bits) {
    fakes::NodeCase node = writing(folder.path / name, ramp());
    node.params["bits"] = bits;
    fakes::run_node(node);
    return fakes::distance(read(folder.path / name), ramp());
  };
  CHECK(error_of("a16.png", "16") < 1e-5);
  CHECK(error_of("half.exr", "auto") < 5e-4);
  CHECK(error_of("float.exr", "float") < 1e-6);
  CHECK(error_of("a.tif", "8") < 0.002);
  CHECK(error_of("a16.tiff", "16") < 1e-5);
  CHECK(error_of("float.tif", "float") < 1e-6);
  const at::Tensor flat = at::full({1, 3, 16, 16}, 0.5, at::kFloat);
  for (const char* name : {"a.jpg", "a.jpeg", "a.webp"}) {
    fakes::run_node(writing(folder.path / name, flat));
    CHECK(fakes::distance(read(folder.path / name), flat) < 0.01);
  }
}

TEST_CASE("an EXR is scene-linear") {
  const Folder folder("linear");
  const fs::path file = folder.path / "a.exr";
  fakes::NodeCase node = writing(file, at::full({1, 3, 1, 1}, 0.5, at::kFloat));
  fakes::run_node(node);
  // 0.5 in sRGB is 0.2140 linear, 0x32d9 as a half.
  CHECK(bytes_of(file).find(std::string("\xd9\x32")) != std::string::npos);
  node.params["colorspace"] = std::string("srgb");
  fakes::run_node(node);
  CHECK(bytes_of(file).find(std::string("\0\x38", 2)) != std::string::npos);  // 0.5
}

TEST_CASE("a batch goes to numbered files") {
  const Folder folder("batch");
  at::Tensor images = at::full({2, 3, 4, 4}, 0.0, at::kFloat);
  images.select(0, 1).fill_(1);
  const fakes::NodeCase node = writing(folder.path / "b.png", images);
  const std::string paths =
      (folder.path / "b_0001.png").string() + "\n" + (folder.path / "b_0002.png").string();
  CHECK(to_text(fakes::forecast_node(node).outputs.at("paths")) == paths);
  CHECK(std::get<std::string>(fakes::run_node(node).at("paths")) == paths);
  CHECK(read(folder.path / "b_0001.png").equal(images.narrow(0, 0, 1)));
  CHECK(read(folder.path / "b_0002.png").equal(images.narrow(0, 1, 1)));
}

TEST_CASE("values outside of 0..1 are cut off") {
  const Folder folder("range");
  at::Tensor image = at::full({1, 3, 1, 2}, 1.5, at::kFloat);
  image.select(3, 0).fill_(-0.5);
  fakes::run_node(writing(folder.path / "a.png", image));
  CHECK(read(folder.path / "a.png").equal(image.clamp(0, 1)));
}

TEST_CASE("what cannot be written is refused before the run") {
  CHECK(message(writing("no/such/x.png", ramp())) ==
        "folder 'no/such' does not exist: 'no/such/x.png' cannot be written; make it first");
  CHECK(message(writing("x.gif", ramp())) ==
        "'x.gif' has no ending of a picture: expected .png, .exr, .tif, .tiff, .jpg, .jpeg, .webp");
  fakes::NodeCase node = writing("x.jpg", ramp());
  node.params["bits"] = std::string("16");
  CHECK(message(node) == "'bits' is 16: a jpg file does not hold that; take 'auto'");
  CHECK(message(writing("x.png", ramp().narrow(1, 0, 1))) ==
        "input 'image' is [1, 1, 4, 8]: expected [B, 3, H, W]");
  const Folder folder("folder.png");
  CHECK(message(writing(folder.path, ramp())) ==
        str("'", folder.path.string(), "' is a folder: expected a file name"));
}

TEST_CASE("a picture that the disk does not take leaves nothing behind, and the one before") {
  const Folder folder("full");
  const fs::path file = folder.path / "x.png";
  std::ofstream(file) << "before";
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{50, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string fault;
  try {
    fakes::run_node(writing(file, ramp()));
  } catch (const RunError& e) {
    fault = e.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(fault == str("\'", file.string(),
                     "' cannot be written: File too large; free space, or give another place"));
  CHECK(bytes_of(file) == "before");
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("a run that is cancelled writes no picture") {
  const Folder folder("cancelled");
  const std::atomic<bool> cancelled = true;
  fakes::NodeCase node = writing(folder.path / "x.png", ramp());
  node.cancelled = &cancelled;
  CHECK_THROWS_AS(fakes::run_node(node), Cancelled);
  CHECK(fs::is_empty(folder.path));
}

}  // namespace emulsion
