#include "emulsion/value.h"

#include <type_traits>

#include "emulsion/params.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

Bytes bytes_of_bundle(const BundleSpec& bundle) {
  Bytes sum = 0;
  for (const auto& [name, spec] : bundle) sum += spec.bytes();
  return sum;
}

TensorSpec spec_of_tensor(const at::Tensor& tensor) {
  return {tensor.sizes().vec(), tensor.scalar_type()};
}

std::string tensor_text(const TensorSpec& spec) {
  return str(shape_text(spec.shape), " ", dtype_text(spec.dtype));
}

std::string bundle_text(const BundleSpec& bundle) {
  std::string text = "{";
  for (const auto& [name, spec] : bundle)
    text += str(text.size() > 1 ? ", " : "", name, " ", tensor_text(spec));
  return text + "}";
}

}  // namespace

Bytes bytes_of(const ValueSpec& spec) {
  if (const auto* tensor = std::get_if<TensorSpec>(&spec)) return tensor->bytes();
  if (const auto* bundle = std::get_if<BundleSpec>(&spec)) return bytes_of_bundle(*bundle);
  return 0;
}

Bytes bytes_of(const Value& value) { return bytes_of(spec_of(value)); }

ValueSpec spec_of(const Value& value) {
  return std::visit(
      [](const auto& held) -> ValueSpec {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, at::Tensor>) {
          return spec_of_tensor(held);
        } else if constexpr (std::is_same_v<Held, Bundle>) {
          BundleSpec specs;
          for (const auto& [name, tensor] : held) specs.emplace(name, spec_of_tensor(tensor));
          return specs;
        } else {
          return held;
        }
      },
      value);
}

std::string to_text(const ValueSpec& spec) {
  return std::visit(
      [](const auto& held) -> std::string {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::monostate>) {
          return "?";
        } else if constexpr (std::is_same_v<Held, TensorSpec>) {
          return tensor_text(held);
        } else if constexpr (std::is_same_v<Held, BundleSpec>) {
          return bundle_text(held);
        } else {
          return to_text(Param(held));
        }
      },
      spec);
}

std::string shape_text(c10::IntArrayRef shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) text += str(text.size() > 1 ? ", " : "", extent);
  return text + "]";
}

std::string dtype_text(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::ScalarType::Float: return "float32";
    case c10::ScalarType::Double: return "float64";
    case c10::ScalarType::Half: return "float16";
    case c10::ScalarType::BFloat16: return "bfloat16";
    case c10::ScalarType::Long: return "int64";
    case c10::ScalarType::Int: return "int32";
    case c10::ScalarType::Byte: return "uint8";
    case c10::ScalarType::Bool: return "bool";
    default: return c10::toString(dtype);
  }
}

}  // namespace emulsion
