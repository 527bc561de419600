#pragma once

#include <functional>
#include <optional>

#include "weights/adapter_config.h"
#include "weights/adapter_pieces.h"
#include "weights/weight_change.h"

namespace emulsion {

// The change of a weight, as its module's pieces tell.
struct FoundChange {
  WeightForm form;
  at::Tensor norms;  // undefined without DoRA
};

// What no piece tells of a module.
struct ModuleConfig {
  // alpha / rank where no piece has an alpha, for the rank that the pieces have (0: they tell
  // none).
  std::function<double(std::int64_t)> scale;
  AdapterConfig::Cayley cayley;
  bool scales_inputs = false;
};

// What the pieces say of the weight of `shape` [out, in, ...]; nothing where they are of no form.
// Throws WeightError when pieces are missing or do not fit.  [any thread]
std::optional<FoundChange> change_of_weight(AdapterPieces& pieces,
                                            const std::vector<std::int64_t>& shape,
                                            const ModuleConfig& config);
// The same of the bias [out] of that weight.
std::optional<WeightForm> change_of_bias(AdapterPieces& pieces,
                                         const std::vector<std::int64_t>& shape,
                                         const ModuleConfig& config);

// The change of the rows that one of `parts` weights has of several that were stacked.  Throws
// WeightError for forms that mix rows.  Of a bias, whose rows are its numbers, too.
FoundChange rows_of(const FoundChange& change, const AdapterPieces& pieces, std::int64_t part,
                    std::int64_t parts);

}  // namespace emulsion
