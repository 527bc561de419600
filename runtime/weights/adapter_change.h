#pragma once

#include <functional>
#include <optional>

#include "weights/adapter_pieces.h"
#include "weights/weight_change.h"

namespace emulsion {

// The change of a weight, as its module's pieces tell.
struct FoundChange {
  WeightForm form;
  at::Tensor norms;  // undefined without DoRA
};

// What the pieces say of the weight of `shape` [out, in, ...]; nothing where they are of no form.
// `scale` gives alpha / rank where no piece does, for the rank that the pieces have (0: they tell
// none).  Throws WeightError when pieces are missing or do not fit.  [any thread]
std::optional<FoundChange> change_of_weight(AdapterPieces& pieces,
                                            const std::vector<std::int64_t>& shape,
                                            const std::function<double(std::int64_t)>& scale);

// The change of the rows that one of `parts` weights has of several that were stacked.  Throws
// WeightError for forms that mix rows.
FoundChange rows_of(const FoundChange& change, const AdapterPieces& pieces, std::int64_t part,
                    std::int64_t parts);

}  // namespace emulsion
