#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/panel_product.h"

// Products of panels the other way round, for rows that are few: these lie side by side in panels,
// once for all threads, and a weight's rows are read as they lie in memory.  To bring a weight side
// by side would take a third of the time of a prompt's 77 rows.
namespace emulsion::kernels {

// Whether so many rows of numbers of that type, `in` each, are multiplied so.  [any thread]
bool panels_turn(c10::ScalarType dtype, std::int64_t rows, std::int64_t in);

// y [rows, columns] contiguous: x [rows, in] contiguous times the weight's rows, see
// multiply_panels().  The weight is not packed.
void multiply_turned(const at::Tensor& x, const PanelWeight& weight, const at::Tensor& y,
                     bool adds = false);

// Elements of float32 that this allocates on so many threads.
std::int64_t turned_scratch(c10::ScalarType dtype, std::int64_t rows, std::int64_t in,
                            std::int64_t threads);

}  // namespace emulsion::kernels
