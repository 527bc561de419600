#include "weights/adapter_pieces.h"

#include <algorithm>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "emulsion/value.h"

namespace emulsion {

at::Tensor AdapterPieces::take(const std::string& piece) {
  const auto found = pieces_.find(piece);
  if (found == pieces_.end()) return {};
  taken_.insert(piece);
  return found->second.tensor;
}

at::Tensor AdapterPieces::need(const std::string& piece) {
  if (has(piece)) return take(piece);
  throw WeightError(str(place_, ": tensor '", main().name, "': expected a piece '", piece,
                        "' of the same module, got none; fetch the file again"));
}

at::Tensor AdapterPieces::need(const std::string& piece, const std::vector<std::int64_t>& shape) {
  const at::Tensor tensor = need(piece);
  const bool fits = tensor.dim() > 0 && tensor.size(0) == shape.front() &&
                    tensor.numel() == TensorSpec{shape}.count();
  if (!fits) refuse(piece, shape_text(shape));
  return tensor.view(shape);
}

std::int64_t AdapterPieces::extent(const std::string& piece, std::size_t axis) {
  const at::Tensor tensor = need(piece);
  if (tensor.dim() <= static_cast<std::int64_t>(axis) || tensor.numel() == 0)
    refuse(piece, str("at least ", axis + 1, " axes, and elements"));
  return tensor.size(static_cast<std::int64_t>(axis));
}

double AdapterPieces::number(const std::string& piece) {
  const at::Tensor tensor = need(piece);
  if (tensor.numel() != 1) refuse(piece, "one number");
  return tensor.to(at::kDouble).item<double>();
}

void AdapterPieces::refuse(const std::string& piece, const std::string& expected) const {
  const Piece& found = pieces_.at(piece);
  throw WeightError(str(place_, ": tensor '", found.name, "': expected ", expected, ", got ",
                        shape_text(found.tensor.sizes()),
                        "; give an adapter that was made for this model"));
}

void AdapterPieces::refuse_form(const std::string& expected, const std::string& remedy) const {
  throw WeightError(str(place_, ": tensor '", main().name, "': expected ", expected, "; ", remedy));
}

const AdapterPieces::Piece& AdapterPieces::main() const {
  const auto other =
      std::ranges::find_if(pieces_, [](const auto& found) { return found.first != "alpha"; });
  return (other == pieces_.end() ? pieces_.begin() : other)->second;
}

std::vector<std::string> AdapterPieces::left() const {
  std::vector<std::string> names;
  for (const auto& [piece, found] : pieces_)
    if (!taken_.contains(piece)) names.push_back(found.name);
  std::ranges::sort(names);
  return names;
}

}  // namespace emulsion
