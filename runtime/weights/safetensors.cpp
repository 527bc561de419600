#include "weights/safetensors.h"

#include <ATen/ops/empty.h>
#include <c10/util/safe_numerics.h>

#include <algorithm>
#include <array>
#include <bit>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

using Json = nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the reference implementation's
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kRemedy = "; fetch the file again";

constexpr std::array<std::pair<std::string_view, c10::ScalarType>, 12> kDtypes{{
    {"F64", c10::ScalarType::Double},
    {"F32", c10::ScalarType::Float},
    {"F16", c10::ScalarType::Half},
    {"BF16", c10::ScalarType::BFloat16},
    {"I64", c10::ScalarType::Long},
    {"I32", c10::ScalarType::Int},
    {"I16", c10::ScalarType::Short},
    {"I8", c10::ScalarType::Char},
    {"U8", c10::ScalarType::Byte},
    {"BOOL", c10::ScalarType::Bool},
    {"F8_E4M3", c10::ScalarType::Float8_e4m3fn},
    {"F8_E5M2", c10::ScalarType::Float8_e5m2},
}};

// One entry of the header; knows its place for messages.
class HeaderEntry {
 public:
  HeaderEntry(const std::filesystem::path& path, const std::string& name, const Json& json)
      : path_(path), name_(name), json_(json) {}

  StoredTensor tensor(std::uint64_t data_begin, std::uint64_t data_bytes) const {
    if (!json_.is_object()) refuse(str("expected an object, got ", json_.dump()));
    const TensorSpec spec{shape(), dtype()};
    const auto [begin, end] = offsets();
    const std::uint64_t needed = bytes(spec);
    if (end < begin) refuse(str("offsets [", begin, ", ", end, "]: end before begin"));
    if (end - begin != needed)
      refuse(str(shape_text(spec.shape), " ", dtype_text(spec.dtype), ": expected ", needed,
                 " bytes, got offsets [", begin, ", ", end, "]"));
    if (begin > data_bytes)
      refuse(str("offsets [", begin, ", ", end, "]: expected within the ", data_bytes,
                 " bytes of data"));
    return {spec, data_begin + begin};
  }

 private:
  [[noreturn]] void refuse(const std::string& fault, const char* remedy = kRemedy) const {
    throw WeightError(str(path_.string(), ": tensor '", name_, "': ", fault, remedy));
  }

  const Json& at(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) refuse(str("has no '", key, "'"));
    return *found;
  }

  c10::ScalarType dtype() const {
    const Json& json = at("dtype");
    for (const auto& [name, dtype] : kDtypes)
      if (json == name) return dtype;
    std::string known;
    for (const auto& [name, dtype] : kDtypes) known += str(known.empty() ? "" : ", ", name);
    refuse(str("dtype ", json.dump(), ": expected one of ", known),
           "; convert the file to one of them");
  }

  std::vector<std::int64_t> shape() const {
    const Json& json = at("shape");
    const auto is_extent = [](const Json& extent) {
      return extent.is_number_unsigned() &&
             extent.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max();
    };
    if (!json.is_array() || !std::ranges::all_of(json, is_extent))
      refuse(str("shape ", json.dump(), ": expected a list of whole numbers"));
    return json.get<std::vector<std::int64_t>>();
  }

  std::pair<std::uint64_t, std::uint64_t> offsets() const {
    const Json& json = at("data_offsets");
    const auto is_offset = [](const Json& offset) { return offset.is_number_unsigned(); };
    if (!json.is_array() || json.size() != 2 || !std::ranges::all_of(json, is_offset))
      refuse(str("data_offsets ", json.dump(), ": expected [begin, end]"));
    return {json[0].get<std::uint64_t>(), json[1].get<std::uint64_t>()};
  }

  std::uint64_t bytes(const TensorSpec& spec) const {
    std::uint64_t product = c10::elementSize(spec.dtype);
    bool overflows = false;
    for (const std::int64_t extent : spec.shape)
      overflows |= c10::mul_overflows(product, static_cast<std::uint64_t>(extent), &product);
    if (overflows || product > std::numeric_limits<std::int64_t>::max())
      refuse(str("shape ", shape_text(spec.shape), ": more bytes than can be counted"));
    return product;
  }

  const std::filesystem::path& path_;
  const std::string& name_;
  const Json& json_;
};

// nlohmann keeps the last of two equal keys in silence, so keys are watched while parsing.
Json parse_header(const std::string& place, const std::string& header) {
  std::set<std::string> names;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 1 && event == Json::parse_event_t::key &&
        !names.insert(parsed.get<std::string>()).second)
      throw WeightError(str(place, ": tensor ", parsed.dump(), " comes twice", kRemedy));
    return true;
  };
  try {
    Json json = Json::parse(header, watch);
    if (!json.is_object())
      throw WeightError(str(place, ": header: expected a JSON object", kRemedy));
    return json;
  } catch (const Json::parse_error& fault) {
    throw WeightError(str(place, ": header: not JSON, at byte ", fault.byte, kRemedy));
  }
}

std::string read_header_text(const std::string& place, const std::filesystem::path& path,
                             std::uint64_t file_bytes) {
  if (file_bytes < kLengthBytes)
    throw WeightError(
        str(place, ": expected a safetensors file, got ", file_bytes, " bytes", kRemedy));
  std::uint64_t length = 0;
  FileReader reader(path);
  reader.read(0, &length, kLengthBytes);
  if (length > kMostHeaderBytes)
    throw WeightError(str(place, ": no safetensors file: header length: expected at most ",
                          kMostHeaderBytes, ", got ", length, kRemedy));
  if (length > file_bytes - kLengthBytes)
    throw WeightError(str(place, ": cut short: expected a header of ", length, " bytes, got ",
                          file_bytes - kLengthBytes, kRemedy));
  std::string header(length, '\0');
  reader.read(kLengthBytes, header.data(), header.size());
  return header;
}

}  // namespace

std::string_view safetensors_dtype(const std::string& tensor, c10::ScalarType dtype) {
  for (const auto& [name, known] : kDtypes)
    if (known == dtype) return name;
  throw WeightError(str("tensor '", tensor, "': safetensors has no ", dtype_text(dtype)));
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : TensorFile(std::move(path)) {
  const std::string header = read_header_text(path_.string(), path_, identity_.bytes);
  read_header(header, kLengthBytes + header.size());
  check_layout(kLengthBytes + header.size());
}

void SafetensorsFile::read_header(const std::string& header, std::uint64_t data_begin) {
  const Json json = parse_header(path_.string(), header);
  for (const auto& [name, entry] : json.items()) {
    if (name != kMetadata) {
      const HeaderEntry checked(path_, name, entry);
      tensors_.emplace(name, checked.tensor(data_begin, identity_.bytes - data_begin));
      continue;
    }
    const auto is_text = [](const Json& value) { return value.is_string(); };
    if (!entry.is_object() || !std::ranges::all_of(entry, is_text))
      throw WeightError(str(path_.string(), ": ", kMetadata, ": expected texts by name", kRemedy));
    metadata_ = entry.get<std::map<std::string, std::string>>();
  }
}

void SafetensorsFile::check_layout(std::uint64_t data_begin) const {
  using Named = std::pair<std::string_view, const StoredTensor*>;
  std::vector<Named> ordered;
  for (const auto& [name, tensor] : tensors_) ordered.emplace_back(name, &tensor);
  std::ranges::sort(ordered, {}, [](const Named& named) {
    return std::pair(named.second->begin, named.second->spec.bytes());
  });
  std::uint64_t end = data_begin;
  std::string_view before;
  for (const auto& [name, tensor] : ordered) {
    if (tensor->begin < end)
      throw WeightError(str(path_.string(), ": tensors '", before, "' and '", name,
                            "' overlap: expected '", name, "' to begin at ", end - data_begin,
                            ", got ", tensor->begin - data_begin, kRemedy));
    if (tensor->begin > end)
      throw WeightError(str(path_.string(), ": tensor '", name, "': expected to begin at ",
                            end - data_begin, ", got ", tensor->begin - data_begin,
                            ": the bytes between belong to none", kRemedy));
    end = tensor->begin + static_cast<std::uint64_t>(tensor->spec.bytes());
    before = name;
  }
  if (end != identity_.bytes)
    throw WeightError(str(path_.string(), ": ", end > identity_.bytes ? "cut short" : "too long",
                          ": expected ", end, " bytes, got ", identity_.bytes, kRemedy));
}

FileReader::FileReader(const std::filesystem::path& path)
    : path_(path), file_(path, std::ios::binary) {}

void FileReader::read(std::uint64_t begin, void* into, std::size_t count) {
  file_.seekg(static_cast<std::streamoff>(begin));
  file_.read(static_cast<char*>(into), static_cast<std::streamsize>(count));
  if (!file_)
    throw WeightError(str(path_.string(), ": cannot be read: expected ", count, " bytes at byte ",
                          begin, ", got ", file_.gcount()));
}

at::Tensor read_tensor(const std::filesystem::path& path, const StoredTensor& stored) {
  std::vector<std::int64_t> shape = stored.spec.shape;
  if (stored.transposed) std::ranges::reverse(shape);
  const at::Tensor tensor = at::empty(shape, at::dtype(stored.spec.dtype));
  FileReader(path).read(stored.begin, tensor.mutable_data_ptr(), tensor.nbytes());
  return stored.transposed ? tensor.t() : tensor;
}

std::map<std::string, at::Tensor> read_safetensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, stored] : file.tensors())
    tensors.emplace(name, read_tensor(path, stored));
  return tensors;
}

}  // namespace emulsion
