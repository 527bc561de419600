#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace emulsion {

// The tensors that an adapter has for one module, by what take_apart() calls them.  Faults are
// thrown as WeightError: one line with the file and the tensor.  [one thread at a time]
class AdapterPieces {
 public:
  struct Piece {
    std::string name;  // in the file
    at::Tensor tensor;
  };

  // `place`: the file, for messages.
  AdapterPieces(std::string place, std::map<std::string, Piece> pieces)
      : place_(std::move(place)), pieces_(std::move(pieces)) {}

  bool has(const std::string& piece) const { return pieces_.contains(piece); }
  // Undefined where there is none.
  at::Tensor take(const std::string& piece);
  // Refuses where there is none: another piece needs it.
  at::Tensor need(const std::string& piece);
  // The same in this shape, of which it has the first extent and all elements: linears may have a
  // kernel's axes, and 1x1 convolutions lack them.
  at::Tensor need(const std::string& piece, const std::vector<std::int64_t>& shape);
  std::int64_t extent(const std::string& piece, std::size_t axis);
  // The one number in it.
  double number(const std::string& piece);
  [[noreturn]] void refuse(const std::string& piece, const std::string& expected) const;
  // What all pieces together say.
  [[noreturn]] void refuse_form(const std::string& expected, const std::string& remedy) const;

  // The file's names of what nobody took, sorted.
  std::vector<std::string> left() const;

 private:
  const Piece& main() const;  // one that tells more than a factor

  std::string place_;
  std::map<std::string, Piece> pieces_;
  std::set<std::string> taken_;
};

}  // namespace emulsion
