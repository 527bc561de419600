#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include "check.h"

#include <iterator>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

// What the message says after the path, or "fine".
std::string fault_of(const std::string& bytes) {
  const Scratch scratch;
  const fs::path path = scratch.write("x.safetensors", bytes);
  try {
    const SafetensorsFile file(path);
    return "fine";
  } catch (const WeightError& error) {
    const std::string text = error.what(), place = path.string() + ": ";
    REQUIRE(text.starts_with(place));
    return text.substr(place.size());
  }
}

std::string fault_of_header(const std::string& header, std::size_t data_bytes) {
  return fault_of(raw_safetensors(header, std::string(data_bytes, '\0')));
}

// One tensor 'a' of the given members, and 16 bytes of data.
std::string fault_of_tensor(const std::string& members) {
  return fault_of_header("{\"a\":{" + members + "}}", 16);
}

std::string length_only(std::uint64_t length, const std::string& rest) {
  std::string bytes = raw_safetensors("", rest);
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes;
}

}  // namespace

TEST_CASE("a file that is empty or shorter than a header's length is refused") {
  CHECK(fault_of("") == "expected a safetensors file, got 0 bytes; fetch the file again");
  CHECK(fault_of("1234567") == "expected a safetensors file, got 7 bytes; fetch the file again");
}

TEST_CASE("a header longer than the file is refused") {
  CHECK(fault_of(length_only(100, "{}")) ==
        "cut short: expected a header of 100 bytes, got 2; fetch the file again");
  CHECK(fault_of(length_only(99'999'999, "{}")) ==
        "cut short: expected a header of 99999999 bytes, got 2; fetch the file again");
}

TEST_CASE("a header length that no file has is taken for another format") {
  CHECK(fault_of(length_only(100'000'001, "{}")) ==
        "no safetensors file: header length: expected at most 100000000, got 100000001; fetch the "
        "file again");
  CHECK(fault_of("<!DOCTYPE html>") ==
        "no safetensors file: header length: expected at most 100000000, got "
        "5789751444030890300; fetch the file again");
  CHECK(fault_of(length_only(~std::uint64_t{0}, "{}")) ==
        "no safetensors file: header length: expected at most 100000000, got "
        "18446744073709551615; fetch the file again");
}

TEST_CASE("a header that is no JSON object is refused") {
  CHECK(fault_of_header("{\"a\":", 0) == "header: not JSON, at byte 6; fetch the file again");
  CHECK(fault_of_header("\xff\xfe", 0) == "header: not JSON, at byte 1; fetch the file again");
  CHECK(fault_of_header("[1]", 0) == "header: expected a JSON object; fetch the file again");
  CHECK(fault_of_header("", 0) == "header: not JSON, at byte 1; fetch the file again");
}

TEST_CASE("a header without tensors, padded with spaces, is fine") {
  CHECK(fault_of_header("{}      ", 0) == "fine");
  CHECK(fault_of_header("{\"__metadata__\":{\"format\":\"pt\"}}", 0) == "fine");
}

TEST_CASE("metadata that is not texts by name is refused") {
  CHECK(fault_of_header("{\"__metadata__\":{\"n\":1}}", 0) ==
        "__metadata__: expected texts by name; fetch the file again");
  CHECK(fault_of_header("{\"__metadata__\":[]}", 0) ==
        "__metadata__: expected texts by name; fetch the file again");
}

TEST_CASE("a tensor that comes twice is refused") {
  const std::string tensor = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  CHECK(fault_of_header("{" + tensor + "," + tensor + "}", 8) ==
        "tensor \"a\" comes twice; fetch the file again");
}

TEST_CASE("an unknown dtype is refused with the ones that are known") {
  CHECK(fault_of_tensor(R"("dtype":"F4","shape":[4],"data_offsets":[0,16])") ==
        "tensor 'a': dtype \"F4\": expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, "
        "BOOL, F8_E4M3, F8_E5M2; convert the file to one of them");
}

TEST_CASE("every known dtype is read with its size") {
  const std::map<std::string, int> bytes{{"F64", 8}, {"F32", 4},  {"F16", 2},     {"BF16", 2},
                                         {"I64", 8}, {"I32", 4},  {"I16", 2},     {"I8", 1},
                                         {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  for (const auto& [name, size] : bytes)
    CHECK(fault_of_tensor(str(R"("dtype":")", name, R"(","shape":[)", 16 / size,
                              R"(],"data_offsets":[0,16])")) == "fine");
}

TEST_CASE("a shape that is no list of whole numbers is refused") {
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[-4],"data_offsets":[0,16])") ==
        "tensor 'a': shape [-4]: expected a list of whole numbers; fetch the file again");
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[4.5],"data_offsets":[0,16])") ==
        "tensor 'a': shape [4.5]: expected a list of whole numbers; fetch the file again");
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":4,"data_offsets":[0,16])") ==
        "tensor 'a': shape 4: expected a list of whole numbers; fetch the file again");
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,16])") ==
        "tensor 'a': shape [9223372036854775808]: expected a list of whole numbers; fetch the "
        "file again");
}

TEST_CASE("a shape whose bytes overflow is refused") {
  // 2^32 * 2^30 * 4 = 2^64 = 0 in 64 bits
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[4294967296,1073741824],"data_offsets":[0,0])") ==
        "tensor 'a': shape [4294967296, 1073741824]: more bytes than can be counted; fetch the "
        "file again");
}

TEST_CASE("offsets that do not hold the shape are refused") {
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[4],"data_offsets":[0,12])") ==
        "tensor 'a': [4] float32: expected 16 bytes, got offsets [0, 12]; fetch the file again");
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[4],"data_offsets":[16,0])") ==
        "tensor 'a': offsets [16, 0]: end before begin; fetch the file again");
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[4],"data_offsets":[-1,15])") ==
        "tensor 'a': data_offsets [-1,15]: expected [begin, end]; fetch the file again");
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[4],"data_offsets":[0])") ==
        "tensor 'a': data_offsets [0]: expected [begin, end]; fetch the file again");
}

TEST_CASE("a tensor without one of its members, or that is no object, is refused") {
  CHECK(fault_of_tensor(R"("shape":[4],"data_offsets":[0,16])") ==
        "tensor 'a': has no 'dtype'; fetch the file again");
  CHECK(fault_of_tensor(R"("dtype":"F32","data_offsets":[0,16])") ==
        "tensor 'a': has no 'shape'; fetch the file again");
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[4])") ==
        "tensor 'a': has no 'data_offsets'; fetch the file again");
  CHECK(fault_of_header(R"({"a":7})", 0) ==
        "tensor 'a': expected an object, got 7; fetch the file again");
}

TEST_CASE("offsets beyond the file are refused") {
  CHECK(fault_of_tensor(R"("dtype":"F32","shape":[4],"data_offsets":[1000,1016])") ==
        "tensor 'a': offsets [1000, 1016]: expected within the 16 bytes of data; fetch the file "
        "again");
  CHECK(
      fault_of_tensor(
          R"("dtype":"F32","shape":[4],"data_offsets":[18446744073709551599,18446744073709551615])")
          .starts_with("tensor 'a': offsets [18446744073709551599, 18446744073709551615]: "
                       "expected within the 16 bytes of data"));
}

TEST_CASE("a file that is cut short, or too long, is refused with both sizes") {
  const std::string header = R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})";
  CHECK(fault_of_header(header, 15) == str("cut short: expected ", 8 + header.size() + 16,
                                           " bytes, got ", 8 + header.size() + 15,
                                           "; fetch the file again"));
  CHECK(fault_of_header(header, 17) == str("too long: expected ", 8 + header.size() + 16,
                                           " bytes, got ", 8 + header.size() + 17,
                                           "; fetch the file again"));
}

TEST_CASE("tensors that overlap, or leave a hole, are refused") {
  const auto two = [](const std::string& a, const std::string& b) {
    return fault_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                               R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                           8);
  };
  CHECK(two("[0,4]", "[4,8]") == "fine");
  CHECK(two("[4,8]", "[0,4]") == "fine");
  CHECK(two("[0,4]", "[3,7]") ==
        "tensors 'a' and 'b' overlap: expected 'b' to begin at 4, got 3; fetch the file again");
  CHECK(two("[0,4]", "[0,4]") ==
        "tensors 'a' and 'b' overlap: expected 'b' to begin at 4, got 0; fetch the file again");
  CHECK(two("[0,4]", "[5,9]") ==
        "tensor 'b': expected to begin at 4, got 5: the bytes between belong to none; fetch the "
        "file again");
  CHECK(two("[1,5]", "[5,9]") ==
        "tensor 'a': expected to begin at 0, got 1: the bytes between belong to none; fetch the "
        "file again");
}

TEST_CASE("tensors without elements share an offset with others") {
  CHECK(fault_of_header(R"({"a":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},)"
                        R"("b":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                        R"("c":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                        4) == "fine");
}

TEST_CASE("a missing file is named") {
  const Scratch scratch;
  CHECK_THROWS_WITH_AS(SafetensorsFile(scratch.folder() / "none"),
                       str(scratch.folder().string(), "/none: No such file or directory").c_str(),
                       WeightError);
}

TEST_CASE("tensors and metadata that were saved are read again, each aligned to its element") {
  const Scratch scratch;
  const fs::path path = scratch.folder() / "x.safetensors";
  const std::map<std::string, at::Tensor> tensors{
      {"a", at::ones({3}, at::kBool)},
      {"b", at::arange(6, at::kFloat).view({2, 3}).t()},  // not contiguous
      {"c", at::full({}, -7, at::kLong)},
      {"d", at::zeros({0, 4}, at::kHalf)},
      {"e", at::full({5}, 0.1, at::kBFloat16)}};
  save_safetensors(path, tensors, {{"format", "pt"}, {"note", "“ü”"}});
  CHECK(scratch.entries() == 1);
  const SafetensorsFile file(path);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"note", "“ü”"}});
  REQUIRE(file.tensors().size() == 5);
  CHECK(file.tensors().find("b")->second.spec == TensorSpec{{3, 2}, at::kFloat});
  for (const auto& [name, stored] : file.tensors())
    CHECK(stored.begin % c10::elementSize(stored.spec.dtype) == 0);
  for (const auto& [name, tensor] : read_safetensors(path)) {
    CHECK(dtype_text(tensor.scalar_type()) == dtype_text(tensors.at(name).scalar_type()));
    CHECK(at::equal(tensor, tensors.at(name)));
  }
}

TEST_CASE("a file that cannot be written leaves what was there, and nothing half-written") {
  const Scratch scratch;
  const std::map<std::string, at::Tensor> tensors{{"a", at::ones({3})}};
  const fs::path nowhere = scratch.folder() / "none" / "x.safetensors";
  CHECK_THROWS_WITH_AS(save_safetensors(nowhere, tensors),
                       str("folder '", nowhere.parent_path().string(), "' does not exist: '",
                           nowhere.string(), "' cannot be written; make it first")
                           .c_str(),
                       RunError);
  const fs::path taken = scratch.write("taken/file", "x").parent_path();
  CHECK_THROWS_WITH_AS(save_safetensors(taken, tensors),
                       str("'", taken.string(), "' is a folder: expected a file name").c_str(),
                       RunError);
  CHECK(scratch.entries() == 1);
}

TEST_CASE("a full disk is said, and the part that was written is removed") {
  if (!fs::exists("/dev/full")) return;
  const Scratch scratch;
  const fs::path path = scratch.folder() / "x.safetensors";
  fs::create_symlink("/dev/full", scratch.folder() / ".x.safetensors.partial");  // writes fail
  CHECK_THROWS_WITH_AS(save_safetensors(path, {{"a", at::ones({100})}}),
                       str("'", path.string(),
                           "' cannot be written: No space left on device; free space, or give "
                           "another place")
                           .c_str(),
                       RunError);
  CHECK(scratch.entries() == 0);
}
