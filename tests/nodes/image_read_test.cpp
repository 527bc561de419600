#include "check.h"

#include <filesystem>
#include <fstream>

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

// A file of the test's own, gone with it.
struct File {
  fs::path path;
  File(const std::string& name, const std::string& bytes)
      : path(fs::temp_directory_path() / str("emulsion_image_read_", name)) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  ~File() { fs::remove(path); }
};

fakes::NodeCase reading(const fs::path& file) {
  return {.id = "image_read", .params = {{"path", file.string()}}};
}

std::vector<float> values_of(const File& file) {
  const auto outputs = fakes::run_node(reading(file.path));
  const at::Tensor& image = std::get<at::Tensor>(outputs.at("image"));
  CHECK(to_text(fakes::forecast_node(reading(file.path)).outputs.at("image")) ==
        to_text(spec_of(outputs.at("image"))));
  CHECK(image.is_contiguous());
  const float* values = image.const_data_ptr<float>();
  std::vector<float> bytes(values, values + image.numel());
  for (float& value : bytes) value *= 255;
  return bytes;
}

std::string unhexed(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// Files that another library made.
const std::string kColour =
    "89504e470d0a1a0a0000000d49484452000000020000000108020000007b40e8dd0000000f494441"
    "54789c63f8cfc0c0252207000665013c922cf5eb0000000049454e44ae426082";
const std::string kTransparent =
    "89504e470d0a1a0a0000000d4948445200000002000000010806000000f4227f8a00000011494441"
    "54789c63f8cfc0d0c02522c700000b2101bcb5f00be60000000049454e44ae426082";
const std::string kGrey =
    "89504e470d0a1a0a0000000d4948445200000002000000010800000000d14920560000000b494441"
    "54789c63603f010000d900d0d7a6223c0000000049454e44ae426082";
const std::string kTurned =
    "49492a00080000000a00000104000100000002000000010104000100000003000000020103000100"
    "00000800000003010300010000000100000006010300010000000100000011010400010000008600"
    "00001201030001000000060000001601040001000000030000001701040001000000060000001c01"
    "0300010000000100000000000000010203040506";

}  // namespace

TEST_CASE("colours are read as planes from 0 to 1") {
  const std::vector<float> values = values_of(File("rgb.png", unhexed(kColour)));
  const std::vector<float> wanted{255, 10, 0, 20, 0, 30};  // red, green, blue of two pixels
  for (std::size_t i = 0; i < 6; ++i) CHECK(values[i] == doctest::Approx(wanted[i]));
}

TEST_CASE("alpha is dropped without changing the colours") {
  const std::vector<float> values = values_of(File("rgba.png", unhexed(kTransparent)));
  const std::vector<float> wanted{255, 10, 0, 20, 0, 30};
  for (std::size_t i = 0; i < 6; ++i) CHECK(values[i] == doctest::Approx(wanted[i]));
}

TEST_CASE("grey becomes three equal planes") {
  const std::vector<float> values = values_of(File("grey.png", unhexed(kGrey)));
  const std::vector<float> wanted{7, 200, 7, 200, 7, 200};
  for (std::size_t i = 0; i < 6; ++i) CHECK(values[i] == doctest::Approx(wanted[i]));
}

TEST_CASE("a picture that a camera held sideways is turned") {
  // stored as 3 rows of 2, to be turned by 90 degrees clockwise: the left column is the top row
  const File file("turned.tif", unhexed(kTurned));
  CHECK(to_text(fakes::forecast_node(reading(file.path)).outputs.at("image")) ==
        "[1, 3, 2, 3] float32");
  const std::vector<float> values = values_of(file);
  const std::vector<float> wanted{5, 3, 1, 6, 4, 2};
  for (std::size_t i = 0; i < 6; ++i) CHECK(values[i] == doctest::Approx(wanted[i]));
}

TEST_CASE("a file that is no picture is refused before the run with one line") {
  const auto message = [](const fs::path& path) {
    try {
      fakes::forecast_node(reading(path));
    } catch (const GraphError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  CHECK(message("nowhere.png").starts_with("'nowhere.png' cannot be read: "));
  const File text("text.png", "this is no picture");
  CHECK(message(text.path).starts_with(str("'", text.path.string(), "' cannot be read: ")));
  CHECK(message(text.path).find('\n') == std::string::npos);
}

}  // namespace emulsion
