#include "weights/gguf_reader.h"

#include <bit>
#include <cstddef>
#include <set>
#include <type_traits>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr const char* kRemedy = "; fetch the file again";
constexpr const char* kAlignment = "general.alignment";
constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kUsualAlignment = 32, kMostAlignment = 1 << 20;
constexpr std::uint64_t kMostTextBytes = 1 << 24;  // a chat template or a licence
constexpr std::uint32_t kMostAxes = 4;
constexpr std::uint64_t kKeptNumbers = 8;  // longer arrays are no shapes
// The least bytes of an entry, so that a count can be judged before anything is read.
constexpr std::uint64_t kLeastEntry = 8 + 4 + 1, kLeastTensor = 8 + 4 + 4 + 8;

enum class Kind : std::uint32_t {
  Uint8,
  Int8,
  Uint16,
  Int16,
  Uint32,
  Int32,
  Float32,
  Bool,
  String,
  Array,
  Uint64,
  Int64,
  Float64
};

class HeaderReader {
 public:
  HeaderReader(std::string place, std::span<const std::byte> file)
      : place_(std::move(place)), file_(file) {}

  GgufHeader read() {
    read_version();
    const auto tensors = number<std::uint64_t>("the count of tensors");
    const auto entries = number<std::uint64_t>("the count of metadata");
    expect_room(tensors, kLeastTensor, "tensors");
    expect_room(entries, kLeastEntry, "metadata entries");
    for (std::uint64_t i = 0; i < entries; ++i) read_entry();
    for (std::uint64_t i = 0; i < tensors; ++i) read_tensor();
    header_.alignment = alignment();
    const std::uint64_t over = at_ % header_.alignment;
    header_.data_begin = over == 0 ? at_ : at_ + header_.alignment - over;
    return std::move(header_);
  }

 private:
  [[noreturn]] void refuse(const std::string& fault) const {
    throw WeightError(str(place_, ": ", fault, kRemedy));
  }

  std::uint64_t rest() const { return file_.size() - at_; }

  template <class Number>
  Number number(std::string_view what) {
    if (rest() < sizeof(Number))
      refuse(str("cut short: expected ", what, " at byte ", at_, ", got the file's end"));
    Number value;
    std::memcpy(&value, file_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string text(std::string_view what) {
    const auto length = number<std::uint64_t>(what);
    if (length > kMostTextBytes || length > rest())
      refuse(str("cut short or damaged: ", what, " at byte ", at_, ": expected at most ",
                 std::min(kMostTextBytes, rest()), " bytes, got ", length));
    std::string value(reinterpret_cast<const char*>(file_.data() + at_), length);
    at_ += length;
    return value;
  }

  void expect_room(std::uint64_t count, std::uint64_t least, std::string_view what) const {
    if (count > rest() / least)
      refuse(str("cut short or damaged: expected at most ", rest() / least, " ", what, ", got ",
                 count));
  }

  void read_version() {
    if (rest() < sizeof kMagic || number<std::uint32_t>("'GGUF'") != kMagic)
      refuse("no GGUF file: expected one that begins with 'GGUF'");
    const auto version = number<std::uint32_t>("the version");
    if (version == 2 || version == 3) return;
    const bool is_big = version != 0 && (version & 0xFFFFU) == 0;  // 3 with its bytes turned around
    throw WeightError(str(place_, ": GGUF ",
                          is_big ? "in big-endian order" : str("version ", version),
                          ": expected version 2 or 3", is_big ? " in little-endian order" : "",
                          "; convert the model with a program of today"));
  }

  void read_entry() {
    const std::string key = text("a key");
    if (!keys_.insert(key).second) refuse(str("metadata '", key, "' comes twice"));
    const auto kind = static_cast<Kind>(number<std::uint32_t>("a type"));
    if (kind == Kind::Array)
      read_array(key);
    else
      header_.metadata.emplace(key, value_text(key, kind));
  }

  void read_array(const std::string& key) {
    const auto kind = static_cast<Kind>(number<std::uint32_t>("a type"));
    const auto count = number<std::uint64_t>("a length");
    if (kind == Kind::Array) refuse(str("metadata '", key, "': arrays of arrays are not known"));
    expect_room(count, kind == Kind::String ? sizeof(std::uint64_t) : 1,
                str("values of metadata '", key, "'"));
    std::vector<std::int64_t> numbers;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string value = value_text(key, kind);
      const bool is_short = kind != Kind::String && kind != Kind::Float32 && kind != Kind::Float64;
      if (is_short && count <= kKeptNumbers) numbers.push_back(std::stoll(value));
    }
    if (!numbers.empty()) header_.shapes.emplace(key, std::move(numbers));
  }

  std::string value_text(const std::string& key, Kind kind) {
    switch (kind) {
      case Kind::Uint8: return str(static_cast<int>(number<std::uint8_t>("a value")));
      case Kind::Int8: return str(static_cast<int>(number<std::int8_t>("a value")));
      case Kind::Uint16: return str(number<std::uint16_t>("a value"));
      case Kind::Int16: return str(number<std::int16_t>("a value"));
      case Kind::Uint32: return str(number<std::uint32_t>("a value"));
      case Kind::Int32: return str(number<std::int32_t>("a value"));
      case Kind::Float32: return str(number<float>("a value"));
      case Kind::Bool: return number<std::uint8_t>("a value") != 0 ? "true" : "false";
      case Kind::String: return text("a text");
      case Kind::Uint64: return str(number<std::uint64_t>("a value"));
      case Kind::Int64: return str(number<std::int64_t>("a value"));
      case Kind::Float64: return str(number<double>("a value"));
      case Kind::Array: break;
    }
    refuse(str("metadata '", key, "': unknown type ", static_cast<std::uint32_t>(kind)));
  }

  void read_tensor() {
    GgufTensor tensor{.name = text("a tensor's name"), .extents = {}};
    const auto axes = number<std::uint32_t>("a tensor's axes");
    if (axes > kMostAxes)
      refuse(str("tensor '", tensor.name, "': expected at most ", kMostAxes, " axes, got ", axes));
    for (std::uint32_t i = 0; i < axes; ++i)
      tensor.extents.push_back(number<std::uint64_t>("a tensor's shape"));
    tensor.type = number<std::uint32_t>("a tensor's type");
    tensor.offset = number<std::uint64_t>("a tensor's offset");
    header_.tensors.push_back(std::move(tensor));
  }

  std::uint64_t alignment() const {
    const auto told = header_.metadata.find(kAlignment);
    if (told == header_.metadata.end()) return kUsualAlignment;
    const std::uint64_t value =
        told->second.find_first_not_of("0123456789") == std::string::npos && told->second.size() < 9
            ? std::stoull("0" + told->second)
            : 0;
    if (!std::has_single_bit(value) || value > kMostAlignment)
      refuse(str(kAlignment, ": expected a power of two up to ", kMostAlignment, ", got '",
                 told->second, "'"));
    return value;
  }

  std::string place_;
  std::span<const std::byte> file_;
  std::uint64_t at_ = 0;
  std::set<std::string> keys_;
  GgufHeader header_;
};

}  // namespace

GgufHeader read_gguf_header(const std::string& place, std::span<const std::byte> file) {
  return HeaderReader(place, file).read();
}

}  // namespace emulsion
