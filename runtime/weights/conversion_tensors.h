#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "weights/checkpoint.h"
#include "weights/conversion.h"
#include "weights/tensor_names.h"

namespace emulsion {

using TensorPieces = std::map<std::string, TensorPiece>;  // by name

TensorPieces pieces_of(const std::shared_ptr<const TensorFile>& file);
TensorPieces pieces_of(const std::vector<std::shared_ptr<const TensorFile>>& shards);

// The tensors under their own names.
std::vector<ConvertedTensor> kept(const TensorPieces& pieces, std::optional<c10::ScalarType> dtype);

// What a single file of the family has of a folder's part; `prefix` stands before its names.
// Throws WeightError when a tensor has no place there.
std::vector<ConvertedTensor> composed(const std::string& place, const TensorPieces& pieces,
                                      const Composition& composition, const std::string& prefix,
                                      std::optional<c10::ScalarType> dtype);

// Orders them as they are written.
std::vector<ConvertedTensor> in_written_order(std::vector<ConvertedTensor> tensors);

}  // namespace emulsion
