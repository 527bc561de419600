#include "weights/conversion_tensors.h"

#include <algorithm>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

ConvertedTensor converted(const std::string& name, std::vector<TensorPiece> pieces,
                          std::optional<c10::ScalarType> dtype) {
  TensorSpec spec = pieces.front().stored.spec;
  for (std::size_t i = 1; i < pieces.size(); ++i)
    spec.shape.front() += pieces[i].stored.spec.shape.front();
  if (dtype && c10::isFloatingType(spec.dtype)) spec.dtype = *dtype;
  return {{name, std::move(spec)}, std::move(pieces)};
}

// Stacked pieces have the same axes but the first.
bool fit(const TensorPiece& one, const TensorPiece& other) {
  const auto &a = one.stored.spec.shape, &b = other.stored.spec.shape;
  return !a.empty() && a.size() == b.size() && std::equal(a.begin() + 1, a.end(), b.begin() + 1);
}

class Composer {
 public:
  Composer(const std::string& place, const TensorPieces& pieces) : place_(place), pieces_(pieces) {}

  ConvertedTensor compose(const ComposedTensor& tensor, const std::string& name,
                          std::optional<c10::ScalarType> dtype) const {
    std::vector<TensorPiece> found;
    for (const std::string& source : tensor.sources) {
      found.push_back(piece(source));
      if (!fit(found.front(), found.back()) && tensor.sources.size() > 1)
        refuse(str("tensors '", tensor.sources.front(), "' and '", source,
                   "' of different shapes: expected to stack them as '", name, "'"));
    }
    TensorSpec& spec = found.front().stored.spec;
    if (tensor.transposed) {
      if (spec.shape.size() != 2)
        refuse(str("tensor '", tensor.sources[0], "': expected two axes"));
      std::ranges::reverse(spec.shape);
      found.front().stored.transposed = true;
    }
    if (tensor.pointwise && spec.shape.size() == 2) spec.shape.insert(spec.shape.end(), 2, 1);
    return converted(name, std::move(found), dtype);
  }

  [[noreturn]] void refuse(const std::string& fault) const {
    throw WeightError(str(place_, ": ", fault, "; fetch the folder again"));
  }

 private:
  const TensorPiece& piece(const std::string& name) const {
    const auto found = pieces_.find(name);
    if (found == pieces_.end()) refuse(str("tensor '", name, "' is missing"));
    return found->second;
  }

  const std::string& place_;
  const TensorPieces& pieces_;
};

}  // namespace

TensorPieces pieces_of(const std::shared_ptr<const TensorFile>& file) {
  TensorPieces pieces;
  for (const auto& [name, stored] : file->tensors())
    pieces.emplace(name, TensorPiece{file, stored});
  return pieces;
}

TensorPieces pieces_of(const std::vector<std::shared_ptr<const TensorFile>>& shards) {
  TensorPieces pieces;
  for (const auto& shard : shards) pieces.merge(pieces_of(shard));
  return pieces;
}

std::vector<ConvertedTensor> kept(const TensorPieces& pieces,
                                  std::optional<c10::ScalarType> dtype) {
  std::vector<ConvertedTensor> tensors;
  for (const auto& [name, piece] : pieces) tensors.push_back(converted(name, {piece}, dtype));
  return in_written_order(std::move(tensors));
}

std::vector<ConvertedTensor> composed(const std::string& place, const TensorPieces& pieces,
                                      const Composition& composition, const std::string& prefix,
                                      std::optional<c10::ScalarType> dtype) {
  const Composer composer(place, pieces);
  if (!composition.unknown.empty())
    throw WeightError(str(place, ": tensor '", composition.unknown.front(),
                          "' has no place in a single file; convert to a folder"));
  std::vector<ConvertedTensor> tensors;
  for (const ComposedTensor& tensor : composition.tensors)
    tensors.push_back(composer.compose(tensor, prefix + tensor.name, dtype));
  return tensors;
}

std::vector<ConvertedTensor> in_written_order(std::vector<ConvertedTensor> tensors) {
  std::ranges::stable_sort(tensors, written_before,
                           [](const ConvertedTensor& tensor) { return tensor.target.spec; });
  return tensors;
}

}  // namespace emulsion
