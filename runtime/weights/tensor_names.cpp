#include "weights/tensor_names.h"

#include <charconv>

#include "emulsion/str.h"

namespace emulsion {

std::string swapped(std::string_view name, const Swaps& swaps) {
  for (const auto& [from, to] : swaps) {
    if (!name.starts_with(from)) continue;
    const std::string_view rest = name.substr(from.size());
    if (rest.empty() || rest.front() == '.') return str(to, rest);
  }
  return {};
}

Swaps reversed(Swaps swaps) {
  for (auto& [from, to] : swaps) std::swap(from, to);
  return swaps;
}

std::pair<std::string_view, std::string_view> split_at_dot(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {name, {}};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

int index_of(std::string_view digits) {
  constexpr int kMost = 1000000;
  int index = -1;
  const char* const end = digits.data() + digits.size();
  const auto [stop, fault] = std::from_chars(digits.data(), end, index);
  return fault == std::errc() && stop == end && index < kMost ? index : -1;
}

Renaming keep_names(const TensorNames& names) {
  const auto is_unneeded = [](const std::string& name) {  // whole CLIP models have the other half
    return name.ends_with("position_ids") || name == "logit_scale" ||
           name.starts_with("vision_model.") || name.starts_with("visual_projection.");
  };
  Renaming renaming;
  for (const std::string& name : names)
    if (is_unneeded(name))
      renaming.unneeded.push_back(name);
    else
      renaming.tensors.push_back({name, name});
  return renaming;
}

}  // namespace emulsion
