#include "weights/gguf.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/gguf_file.h"
#include "runtime/weights/scratch.h"
#include "weights/read_elements.h"
#include "weights/safetensors.h"

using namespace emulsion;
using fakes::gguf_number;
using fakes::gguf_start;
using fakes::gguf_tensor;
using fakes::gguf_text;
using fakes::little;
using fakes::padded;

namespace {

constexpr const char* kWritten = "reference/gguf/tensors.gguf";  // by the package `gguf`

// What the message says after the path, or "fine".
std::string fault_of(const std::string& bytes) {
  const Scratch scratch;
  const auto path = scratch.write("x.gguf", bytes);
  try {
    const GgufFile file(path);
    return "fine";
  } catch (const WeightError& error) {
    const std::string text = error.what(), place = path.string() + ": ";
    REQUIRE(text.starts_with(place));
    return text.substr(place.size());
  }
}

// One tensor 'a' and 64 bytes of data.
std::string fault_of_tensor(const std::vector<std::uint64_t>& extents, std::uint32_t type,
                            std::uint64_t offset) {
  return fault_of(padded(gguf_start(1, 0) + gguf_tensor("a", extents, type, offset)) +
                  std::string(64, '\0'));
}

at::Tensor floats_of(const GgufFile& file, const std::string& name) {
  const StoredTensor& stored = file.tensors().at(name);
  const at::Tensor numbers = at::empty({stored.spec.count()}, at::dtype(at::kFloat));
  read_elements(file, stored, 0, numbers, nullptr);
  return numbers.view(stored.spec.shape);
}

}  // namespace

TEST_CASE("numbers of every type are those that ggml's package finds") {
  const GgufFile file(kWritten);
  const auto expected = read_safetensors("reference/gguf/expected.safetensors");
  CHECK(file.tensors().size() == expected.size());
  for (const auto& [name, numbers] : expected) {
    CAPTURE(name);
    CHECK(floats_of(file, name).equal(numbers));
  }
}

TEST_CASE("elements from anywhere in a packed tensor are those of the whole") {
  const GgufFile file(kWritten);
  for (const char* name : {"q8_0", "q5_1", "no_rows"}) {
    const at::Tensor whole = floats_of(file, name).view(-1);
    for (const auto& [start, count] : {std::pair{0, 5}, {31, 2}, {33, 64}, {100, 92}}) {
      const at::Tensor part = at::empty({count}, at::dtype(at::kFloat));
      read_elements(file, file.tensors().at(name), start, part, nullptr);
      CHECK(part.equal(whole.narrow(0, start, count)));
    }
  }
}

TEST_CASE("shapes, packings and metadata are told, and ComfyUI's shapes go before the file's") {
  const GgufFile file(kWritten);
  CHECK(file.metadata().at("general.architecture") == "sd1");
  CHECK(file.tensors().at("f16").spec == TensorSpec{{3, 64}, at::kHalf});
  CHECK(file.tensors().at("bf16").spec == TensorSpec{{3, 64}, at::kBFloat16});
  const StoredTensor& rows = file.tensors().at("rows");
  CHECK(rows.spec == TensorSpec{{2, 32, 1, 3}, at::kFloat});
  CHECK((rows.packing == Packing::Q5_1));
  CHECK(rows.bytes() == 6 * 24);
}

TEST_CASE("what is no GGUF file of a version that is known is refused") {
  CHECK(fault_of("") == "no GGUF file: expected one that begins with 'GGUF'; fetch the file again");
  CHECK(fault_of(std::string(100, 'x')) ==
        "no GGUF file: expected one that begins with 'GGUF'; fetch the file again");
  CHECK(fault_of(gguf_start(0, 0, 1)) ==
        "GGUF version 1: expected version 2 or 3; convert the model with a program of today");
  CHECK(fault_of(gguf_start(0, 0, 3U << 24)) ==
        "GGUF in big-endian order: expected version 2 or 3 in little-endian order; convert the "
        "model with a program of today");
  CHECK(fault_of(gguf_start(0, 0, 2)) == "fine");
}

TEST_CASE("a header that ends early is refused, wherever it ends") {
  const std::string whole = gguf_start(1, 2) + gguf_number("general.alignment", 64) +
                            gguf_text("t") + little<std::uint32_t>(8) + gguf_text("text") +
                            gguf_tensor("a", {4}, 0, 0);
  for (std::size_t length = 4; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK(fault_of(whole.substr(0, length)).find("cut short") == 0);
  }
}

TEST_CASE("counts and lengths that no file can have are refused before they are believed") {
  const std::uint64_t huge = ~std::uint64_t{0};
  CHECK(fault_of(gguf_start(huge, 0) + std::string(48, '\0')) ==
        "cut short or damaged: expected at most 2 tensors, got 18446744073709551615; fetch the "
        "file again");
  CHECK(fault_of(gguf_start(0, 1) + little(huge) + std::string(16, '\0')) ==
        "cut short or damaged: a key at byte 32: expected at most 16 bytes, got "
        "18446744073709551615; fetch the file again");
  CHECK(fault_of(gguf_start(0, 1) + gguf_text("k") + little<std::uint32_t>(9) +
                 little<std::uint32_t>(0) + little(huge)) ==
        "cut short or damaged: expected at most 0 values of metadata 'k', got "
        "18446744073709551615; fetch the file again");
}

TEST_CASE("metadata of unknown types, twice, or nested is refused") {
  const std::string filled(32, '\0');
  CHECK(fault_of(gguf_start(0, 1) + gguf_text("k") + little<std::uint32_t>(13) + filled) ==
        "metadata 'k': unknown type 13; fetch the file again");
  CHECK(fault_of(gguf_start(0, 2) + gguf_number("k", 1) + gguf_number("k", 1)) ==
        "metadata 'k' comes twice; fetch the file again");
  CHECK(fault_of(gguf_start(0, 1) + gguf_text("k") + little<std::uint32_t>(9) +
                 little<std::uint32_t>(9) + filled) ==
        "metadata 'k': arrays of arrays are not known; fetch the file again");
  CHECK(fault_of(gguf_start(0, 1) + gguf_number("general.alignment", 33)) ==
        "general.alignment: expected a power of two up to 1048576, got '33'; fetch the file again");
}

TEST_CASE("types that are not read are named") {
  CHECK(fault_of_tensor({32}, 12, 0) ==
        "tensor 'a': a K-quant, type Q4_K, is not read: expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, "
        "Q5_0 or Q5_1; take a file of such a type, or the model's .safetensors");
  CHECK(fault_of_tensor({32}, 20, 0).starts_with("tensor 'a': type IQ4_NL, is not read: "));
  CHECK(fault_of_tensor({32}, 99, 0).starts_with("tensor 'a': type number 99, is not read: "));
}

TEST_CASE("tensors that are not where they are said to be are refused") {
  CHECK(fault_of_tensor({16}, 0, 0) == "fine");
  CHECK(
      fault_of_tensor({17}, 0, 0) ==
      "tensor 'a': cut short: expected 68 bytes at 0, got data of 64 bytes; fetch the file again");
  CHECK(fault_of_tensor({16}, 0, 32) ==
        "tensor 'a': cut short: expected 64 bytes at 32, got data of 64 bytes; fetch the file "
        "again");
  CHECK(fault_of_tensor({1}, 0, ~std::uint64_t{31}) ==
        "tensor 'a': cut short: expected 4 bytes at 18446744073709551584, got data of 64 bytes; "
        "fetch the file again");
  CHECK(fault_of_tensor({1}, 0, 4) ==
        "tensor 'a': expected an offset that is a multiple of 32, got 4; fetch the file again");
  CHECK(fault_of_tensor({1ULL << 33, 1ULL << 33}, 0, 0) ==
        "tensor 'a': shape: more bytes than can be counted; fetch the file again");
  CHECK(fault_of_tensor({1, 1, 1, 1, 1}, 0, 0) ==
        "tensor 'a': expected at most 4 axes, got 5; fetch the file again");
  CHECK(fault_of_tensor({31}, 8, 0) ==
        "tensor 'a': Q8_0: expected a last axis of whole blocks of 32, got [31]; fetch the file "
        "again");
}

TEST_CASE("tensors that come twice or lie in each other are refused") {
  const std::string data(64, '\0');
  const auto two = [&](const char* name, std::uint64_t offset) {
    return fault_of(padded(gguf_start(2, 0) + gguf_tensor("a", {16}, 0, 0) +
                           gguf_tensor(name, {8}, 0, offset)) +
                    data);
  };
  CHECK(two("a", 0) == "tensor 'a' comes twice; fetch the file again");
  CHECK(two("b", 32) == "tensors 'a' and 'b' overlap; fetch the file again");
}
