#include "models/tensor_file.h"

#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "emulsion/errors.h"
#include "emulsion/output_file.h"
#include "emulsion/str.h"
#include "models/ops.h"

namespace emulsion::models {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace {

constexpr std::uint64_t kLongestHeader = 100'000'000;  // as the safetensors library allows

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& fault) {
  throw GraphError(str(file.string(), ": ", fault));
}

struct Header {
  json entries;
  std::int64_t data_begin = 0, file_size = 0;
};

Header read_header(const std::filesystem::path& file) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  std::ifstream stream(file, std::ios::binary);
  if (error || !stream) refuse(file, "no such file, or it cannot be read; expected .safetensors");
  std::uint64_t length = 0;
  stream.read(reinterpret_cast<char*>(&length), sizeof length);
  if (!stream || length > kLongestHeader || length + sizeof length > size)
    refuse(file, str("not a safetensors file: expected a header inside of its ", size, " bytes"));
  std::string text(length, ' ');
  stream.read(text.data(), static_cast<std::streamsize>(length));
  Header header{json::parse(text, nullptr, /*allow_exceptions=*/false),
                static_cast<std::int64_t>(length + sizeof length), static_cast<std::int64_t>(size)};
  if (!stream || !header.entries.is_object())
    refuse(file, "not a safetensors file: its header is not a JSON object");
  header.entries.erase("__metadata__");
  return header;
}

std::optional<c10::ScalarType> dtype_named(const json& name) {
  if (name == "F32") return at::kFloat;
  if (name == "F16") return at::kHalf;
  if (name == "BF16") return at::kBFloat16;
  if (name == "F64") return at::kDouble;
  return std::nullopt;
}

// Whole numbers that are not negative.
std::optional<std::vector<std::int64_t>> counts_in(const json& list) {
  std::vector<std::int64_t> counts;
  if (!list.is_array()) return std::nullopt;
  for (const json& item : list) {
    if (!item.is_number_integer() || item.get<std::int64_t>() < 0) return std::nullopt;
    counts.push_back(item.get<std::int64_t>());
  }
  return counts;
}

// Bytes of the shape, or nothing where they do not fit in a number.
std::optional<std::int64_t> byte_count(const TensorSpec& spec) {
  auto bytes = static_cast<std::int64_t>(c10::elementSize(spec.dtype));
  for (const std::int64_t extent : spec.shape) {
    if (extent != 0 && bytes > std::numeric_limits<std::int64_t>::max() / extent)
      return std::nullopt;
    bytes *= extent;
  }
  return bytes;
}

TensorInFile checked_entry(const std::filesystem::path& file, const Header& header,
                           const std::string& name, const json& entry) {
  const json none;
  const auto part = [&](const char* key) -> const json& {
    const auto found = entry.is_object() ? entry.find(key) : entry.end();
    return found == entry.end() ? none : *found;
  };
  const auto dtype = dtype_named(part("dtype"));
  if (!dtype)
    refuse(file, str("tensor '", name, "' has the dtype ", part("dtype").dump().substr(0, 20),
                     ": expected F32, F16, BF16 or F64"));
  const auto shape = counts_in(part("shape")), range = counts_in(part("data_offsets"));
  if (!shape || !range || range->size() != 2)
    refuse(file, str("tensor '", name, "' has no shape or no offsets; the file is damaged"));
  const TensorSpec spec{*shape, *dtype};
  const std::int64_t begin = (*range)[0], end = (*range)[1];
  if (end < begin || end > header.file_size - header.data_begin || byte_count(spec) != end - begin)
    refuse(file, str("tensor '", name, "' is ", to_text(spec), " at the bytes ", begin, " to ", end,
                     " of ", header.file_size - header.data_begin, "; the file is damaged"));
  return {spec, header.data_begin + begin};
}

}  // namespace

TensorInFile find_tensor(const std::filesystem::path& file, const std::string& name) {
  const Header header = read_header(file);
  auto found = header.entries.find(name);
  if (found == header.entries.end() && header.entries.size() == 1) found = header.entries.begin();
  if (found == header.entries.end()) {
    std::string names;
    for (const auto& [key, entry] : header.entries.items())
      if (names.size() < 200) names += str(names.empty() ? "'" : ", '", key, "'");
    refuse(file, str("no tensor '", name, "'; it has ", names.empty() ? "none" : names));
  }
  return checked_entry(file, header, found.key(), *found);
}

std::map<std::string, TensorInFile> tensors_in(const std::filesystem::path& file) {
  const Header header = read_header(file);
  std::map<std::string, TensorInFile> tensors;
  for (const auto& [name, entry] : header.entries.items())
    tensors.emplace(name, checked_entry(file, header, name, entry));
  return tensors;
}

at::Tensor read_tensor(const std::filesystem::path& file, const std::string& name) {
  const TensorInFile place = find_tensor(file, name);
  at::Tensor tensor = at::empty(place.spec.shape, place.spec.dtype);
  std::ifstream stream(file, std::ios::binary);
  stream.seekg(place.offset);
  stream.read(static_cast<char*>(tensor.data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
  if (!stream) refuse(file, str("tensor '", name, "' cannot be read; fetch the file again"));
  return tensor;
}

void write_tensor(const std::filesystem::path& file, const std::string& name,
                  const at::Tensor& tensor) {
  const at::Tensor stored = tensor.to(at::kCPU, at::kFloat).contiguous();
  const json entry{{"dtype", "F32"},
                   {"shape", stored.sizes().vec()},
                   {"data_offsets", {std::size_t{0}, stored.nbytes()}}};
  std::string header = json{{name, entry}}.dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  std::array<std::byte, sizeof(std::uint64_t)> length{};
  const std::uint64_t count = header.size();
  std::memcpy(length.data(), &count, sizeof count);

  OutputFile output(file);
  output.write(length);
  output.write(std::as_bytes(std::span(header)));
  output.write({static_cast<const std::byte*>(stored.const_data_ptr()), stored.nbytes()});
  output.commit();
}

}  // namespace emulsion::models
