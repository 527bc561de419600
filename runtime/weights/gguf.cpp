#include "weights/gguf.h"

#include <c10/util/safe_numerics.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/gguf_reader.h"
#include "weights/mapped_file.h"

namespace emulsion {
namespace {

constexpr const char* kRemedy = "; fetch the file again";
constexpr const char* kShapeKey = "comfy.gguf.orig_shape.";
constexpr const char* kReadTypes = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0 or Q5_1";

// A type of ggml.h; what it is as, or nothing where it is not read.
struct GgufType {
  std::uint32_t id;
  const char* name;
  c10::ScalarType dtype = c10::ScalarType::Undefined;
  Packing packing = Packing::None;
};

constexpr c10::ScalarType kNumbers = c10::ScalarType::Float;  // what blocks hold

constexpr std::array kTypes = std::to_array<GgufType>({
    {0, "F32", c10::ScalarType::Float},
    {1, "F16", c10::ScalarType::Half},
    {2, "Q4_0", kNumbers, Packing::Q4_0},
    {3, "Q4_1", kNumbers, Packing::Q4_1},
    {6, "Q5_0", kNumbers, Packing::Q5_0},
    {7, "Q5_1", kNumbers, Packing::Q5_1},
    {8, "Q8_0", kNumbers, Packing::Q8_0},
    {9, "Q8_1"},
    {10, "Q2_K"},
    {11, "Q3_K"},
    {12, "Q4_K"},
    {13, "Q5_K"},
    {14, "Q6_K"},
    {15, "Q8_K"},
    {16, "IQ2_XXS"},
    {17, "IQ2_XS"},
    {18, "IQ3_XXS"},
    {19, "IQ1_S"},
    {20, "IQ4_NL"},
    {21, "IQ3_S"},
    {22, "IQ2_S"},
    {23, "IQ4_XS"},
    {24, "I8"},
    {25, "I16"},
    {26, "I32"},
    {27, "I64"},
    {28, "F64"},
    {29, "IQ1_M"},
    {30, "BF16", c10::ScalarType::BFloat16},
    {34, "TQ1_0"},
    {35, "TQ2_0"},
    {39, "MXFP4"},
});

// One tensor of a header; knows its place for messages.
class TensorEntry {
 public:
  TensorEntry(const std::filesystem::path& path, const GgufHeader& header, const GgufTensor& tensor)
      : place_(str(path.string(), ": tensor '", tensor.name, "': ")),
        header_(header),
        tensor_(tensor) {}

  StoredTensor stored(std::uint64_t file_bytes) const {
    const GgufType& type = known_type();
    StoredTensor stored{{shape(type), type.dtype}, 0, false, type.packing};
    if (tensor_.offset % header_.alignment != 0)
      refuse(str("expected an offset that is a multiple of ", header_.alignment, ", got ",
                 tensor_.offset));
    const auto bytes = static_cast<std::uint64_t>(stored.bytes());
    const std::uint64_t room =
        file_bytes > header_.data_begin ? file_bytes - header_.data_begin : 0;
    if (tensor_.offset > room || bytes > room - tensor_.offset)
      refuse(str("cut short: expected ", bytes, " bytes at ", tensor_.offset, ", got data of ",
                 room, " bytes"));
    stored.begin = header_.data_begin + tensor_.offset;
    return stored;
  }

 private:
  [[noreturn]] void refuse(const std::string& fault) const {
    throw WeightError(str(place_, fault, kRemedy));
  }

  const GgufType& known_type() const {
    const auto* const found = std::ranges::find(kTypes, tensor_.type, &GgufType::id);
    if (found != kTypes.end() && found->dtype != c10::ScalarType::Undefined) return *found;
    const std::string name =
        found == kTypes.end() ? str("number ", tensor_.type) : std::string(found->name);
    const bool is_k = name.ends_with("_K");
    throw WeightError(str(place_, is_k ? "a K-quant, type " : "type ", name,
                          ", is not read: expected ", kReadTypes,
                          "; take a file of such a type, or the model's .safetensors"));
  }

  std::vector<std::int64_t> shape(const GgufType& type) const {
    std::vector<std::int64_t> shape;
    std::uint64_t bits = 64;  // of a number at most, so that no count of bytes overflows
    for (const std::uint64_t extent : tensor_.extents) {
      if (c10::mul_overflows(bits, extent, &bits) ||
          bits > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        refuse("shape: more bytes than can be counted");
      shape.insert(shape.begin(), static_cast<std::int64_t>(extent));
    }
    if (type.packing != Packing::None && (shape.empty() || shape.back() % kPackedBlock != 0))
      refuse(str(type.name, ": expected a last axis of whole blocks of ", kPackedBlock, ", got ",
                 shape_text(shape)));
    return told_shape(shape);
  }

  std::vector<std::int64_t> told_shape(const std::vector<std::int64_t>& shape) const {
    const auto told = header_.shapes.find(kShapeKey + tensor_.name);
    if (told == header_.shapes.end()) return shape;
    const auto count = [](const std::vector<std::int64_t>& extents) {
      std::int64_t product = 1;
      for (const std::int64_t extent : extents)
        if (extent < 0 || c10::mul_overflows(product, extent, &product)) return std::int64_t{-1};
      return product;
    };
    if (count(told->second) != count(shape))
      refuse(str(kShapeKey, "…: expected as many numbers as ", shape_text(shape), " has, got ",
                 shape_text(told->second)));
    return told->second;
  }

  std::string place_;
  const GgufHeader& header_;
  const GgufTensor& tensor_;
};

}  // namespace

GgufFile::GgufFile(std::filesystem::path path) : TensorFile(std::move(path)) {
  GgufHeader header = read_gguf_header(path_.string(), MappedFile(path_).bytes());
  for (const GgufTensor& tensor : header.tensors)
    if (!tensors_.emplace(tensor.name, TensorEntry(path_, header, tensor).stored(identity_.bytes))
             .second)
      throw WeightError(str(path_.string(), ": tensor '", tensor.name, "' comes twice", kRemedy));
  metadata_ = std::move(header.metadata);
  check_overlaps();
}

void GgufFile::check_overlaps() const {
  std::vector<std::pair<std::string_view, const StoredTensor*>> ordered;
  for (const auto& [name, stored] : tensors_) ordered.emplace_back(name, &stored);
  std::ranges::sort(ordered, {}, [](const auto& named) {
    return std::pair(named.second->begin, named.second->bytes());
  });
  for (std::size_t i = 1; i < ordered.size(); ++i) {
    const auto& [before, first] = ordered[i - 1];
    if (first->begin + static_cast<std::uint64_t>(first->bytes()) > ordered[i].second->begin)
      throw WeightError(str(path_.string(), ": tensors '", before, "' and '", ordered[i].first,
                            "' overlap", kRemedy));
  }
}

}  // namespace emulsion
