#include "check.h"

#include <filesystem>
#include <fstream>

#include "emulsion/errors.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

// A file of the test's own, gone with it.
struct File {
  fs::path path;
  File(const std::string& name, const std::string& header, const std::string& data)
      : path(fs::temp_directory_path() / str("emulsion_tensor_read_", name)) {
    const std::uint64_t length = header.size();
    std::ofstream stream(path, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(&length), sizeof length);
    stream << header << data;
  }
  ~File() { fs::remove(path); }
};

fakes::NodeCase reading(const fs::path& path, const std::string& name = "latent") {
  return {.id = "tensor_read", .params = {{"path", path.string()}, {"name", name}}};
}

std::string message(const File& file, const std::string& name = "latent") {
  try {
    fakes::forecast_node(reading(file.path, name));
  } catch (const GraphError& e) {
    return std::string(e.what()).substr(file.path.string().size());
  }
  return "no error";
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  int begin, int end) {
  return str('"', name, R"(":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":[)",
             begin, ",", end, "]}");
}

}  // namespace

TEST_CASE("the tensor of the name is read, in half precision, too") {
  const std::string two("\0\x3c\0\x40", 4);  // 1 and 2 in float16
  const File file("half",
                  str("{", entry("a", "F32", "[1]", 0, 4), ",",
                      entry("b", "F16", "[1,2,1,1]", 4, 8), R"(,"__metadata__":{"x":"y"}})"),
                  "abcd" + two);
  CHECK(to_text(fakes::forecast_node(reading(file.path, "b")).outputs.at("latent")) ==
        "[1, 2, 1, 1] float32");
  const auto outputs = fakes::run_node(reading(file.path, "b"));
  const float* values = std::get<at::Tensor>(outputs.at("latent")).const_data_ptr<float>();
  CHECK(values[0] == 1);
  CHECK(values[1] == 2);
}

TEST_CASE("a tensor that is alone is read whatever its name") {
  const File file("alone", str("{", entry("x", "F32", "[1,1,1,1]", 0, 4), "}"), "abcd");
  CHECK(message(file) == "no error");
}

TEST_CASE("damaged files are refused before the run with one line") {
  CHECK_THROWS_WITH_AS(fakes::forecast_node(reading("nowhere.safetensors")),
                       "nowhere.safetensors: no such file, or it cannot be read; expected "
                       ".safetensors",
                       GraphError);
  const std::string one = entry("latent", "F32", "[1,1,1,1]", 0, 4);
  File cut("cut", str("{", one, "}"), "");
  CHECK(message(cut) ==
        ": tensor 'latent' is [1, 1, 1, 1] float32 at the bytes 0 to 4 of 0; the file is damaged");
  fs::resize_file(cut.path, 20);
  CHECK(message(cut) == ": not a safetensors file: expected a header inside of its 20 bytes");
  CHECK(message(File("list", "[]", "")) ==
        ": not a safetensors file: its header is not a JSON object");
  CHECK(message(File("short", str("{", entry("latent", "F32", "[1,1,1,2]", 0, 4), "}"), "abcd")) ==
        ": tensor 'latent' is [1, 1, 1, 2] float32 at the bytes 0 to 4 of 4; the file is damaged");
  CHECK(message(File("dtype", str("{", entry("latent", "I64", "[1]", 0, 8), "}"), "abcdefgh")) ==
        ": tensor 'latent' has the dtype \"I64\": expected F32, F16, BF16 or F64");
  CHECK(message(File("entry", R"({"latent":{"dtype":"F32"}})", "")) ==
        ": tensor 'latent' has no shape or no offsets; the file is damaged");
  CHECK(message(File("huge",
                     str("{", entry("latent", "F32", "[4294967296,4294967296,1,1]", 0, 4), "}"),
                     "abcd")) ==
        ": tensor 'latent' is [4294967296, 4294967296, 1, 1] float32 at the bytes 0 to 4 of 4; "
        "the file is damaged");
  CHECK(message(File("flat", str("{", entry("latent", "F32", "[1]", 0, 4), "}"), "abcd")) ==
        ": the tensor is [1] float32: expected a latent, [B, C, height, width]");
  CHECK(message(File("names", str("{", one, ",", entry("b", "F32", "[1]", 0, 4), "}"), "abcd"),
                "c") == ": no tensor 'c'; it has 'b', 'latent'");
}

}  // namespace emulsion
