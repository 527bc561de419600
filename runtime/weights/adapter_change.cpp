#include "weights/adapter_change.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "emulsion/str.h"
#include "emulsion/value.h"

namespace emulsion {
namespace {

using Shape = std::vector<std::int64_t>;

// Reads the pieces of one module as a change of a weight [out, in, kernel...].
class ChangeReader {
 public:
  ChangeReader(AdapterPieces& pieces, const Shape& shape, const ModuleConfig& config)
      : pieces_(pieces),
        shape_(shape),
        config_(config),
        out_(shape.front()),
        in_(shape.size() > 1 ? shape[1] : 1),
        kernel_(shape.begin() + std::min<std::ptrdiff_t>(2, std::ssize(shape)), shape.end()),
        taps_(TensorSpec{kernel_}.count()) {}

  std::optional<WeightForm> form() {
    if (shape_.size() > 1) {
      if (pieces_.has("down") || pieces_.has("up")) return low_rank();
      if (pieces_.has("hada_w1_a") || pieces_.has("hada_w1_b")) return hadamard();
      if (pieces_.has("lokr_w1") || pieces_.has("lokr_w1_a")) return kronecker();
      if (pieces_.has("oft_blocks")) return rotation();
      if (pieces_.has("on_input")) return channel_factors();
      if (pieces_.has("oft_R")) return column_rotation();
      if (pieces_.has("boft_R")) return column_butterfly();
      if (pieces_.has("ia3_l")) return factors_by_peft();
      if (pieces_.has("a1")) return generalized();
    }
    for (const char* piece : {"diff", "w_norm"})
      if (pieces_.has(piece)) return Difference{pieces_.need(piece, shape_)};
    return std::nullopt;
  }

  std::optional<WeightForm> of_bias() {
    for (const char* piece : {"diff_b", "b_norm"})
      if (pieces_.has(piece)) return Difference{pieces_.need(piece, {out_})};
    if (pieces_.has("up_bias")) {
      const double factor = scale(pieces_.extent("down", 0));
      return Difference{pieces_.need("up_bias", {out_}).to(at::kFloat).mul(factor)};
    }
    if (pieces_.has("ia3_l") && !scales_inputs())
      return ChannelFactors{pieces_.need("ia3_l").to(at::kFloat).sub(1).view({out_})};
    return std::nullopt;
  }

  // [out, 1, ...], or by LyCORIS also [1, in, 1, ...]
  at::Tensor norms() {
    if (pieces_.has("row_norms")) return rows("row_norms");
    if (!pieces_.has("norms")) return {};
    const at::Tensor norms = pieces_.need("norms");
    const bool by_column = norms.dim() > 1 && norms.size(0) == 1 && norms.size(1) == in_;
    return by_column ? pieces_.need("norms", with_kernel({1, in_}, ones())) : rows("norms");
  }

 private:
  Shape ones() const { return Shape(kernel_.size(), 1); }

  static Shape with_kernel(Shape matrix, const Shape& kernel) {
    matrix.insert(matrix.end(), kernel.begin(), kernel.end());
    return matrix;
  }

  // A number for each row of the weight, whatever axes it has.
  at::Tensor rows(const std::string& piece) {
    const at::Tensor found = pieces_.need(piece);
    const Shape shape = with_kernel({out_, 1}, ones());
    if (found.numel() != out_) pieces_.refuse(piece, shape_text(shape));
    return found.view(shape);
  }

  // Without an alpha among the pieces, what the config says, or else 1.
  double scale(std::int64_t rank) {
    if (!pieces_.has("alpha")) return config_.scale(rank);
    const double alpha = pieces_.number("alpha");
    return rank > 0 ? alpha / static_cast<double>(rank) : 1;  // LyCORIS: whole factors are as meant
  }

  WeightForm low_rank() {
    const std::int64_t rank = pieces_.extent("down", 0);
    const bool core = pieces_.has("core");
    LowRank form;
    form.down = pieces_.need("down", with_kernel({rank, in_}, core ? ones() : kernel_));
    form.up = pieces_.need("up", with_kernel({out_, rank}, ones()));
    if (core) form.core = pieces_.need("core", with_kernel({rank, rank}, kernel_));
    form.scale = scale(rank);
    return form;
  }

  HadamardProduct::Factor hadamard_factor(const std::string& name, const std::string& core) {
    const std::string a = name + "_a", b = name + "_b";
    const std::int64_t rank = pieces_.extent(b, 0);
    if (!pieces_.has(core))
      return {pieces_.need(a, {out_, rank}), pieces_.need(b, {rank, in_ * taps_}), {}};
    return {pieces_.need(a, {rank, out_}), pieces_.need(b, {rank, in_}),
            pieces_.need(core, with_kernel({rank, rank}, kernel_))};
  }

  WeightForm hadamard() {
    HadamardProduct form{hadamard_factor("hada_w1", "hada_t1"),
                         hadamard_factor("hada_w2", "hada_t2")};
    form.scale = scale(form.first.b.size(0));
    return form;
  }

  // Any size that divides the weight's; the second factor has what is left, and the kernel.
  KroneckerProduct::Factor first_factor() {
    if (pieces_.has("lokr_w1")) {
      const Shape shape = {pieces_.extent("lokr_w1", 0), pieces_.extent("lokr_w1", 1)};
      expect_divisors("lokr_w1", shape);
      return {pieces_.need("lokr_w1", shape), {}, {}, {}};
    }
    const std::int64_t rank = pieces_.extent("lokr_w1_b", 0);
    const Shape shape = {pieces_.extent("lokr_w1_a", 0), pieces_.extent("lokr_w1_b", 1)};
    expect_divisors("lokr_w1_a", shape);
    return {{},
            pieces_.need("lokr_w1_a", {shape[0], rank}),
            pieces_.need("lokr_w1_b", {rank, shape[1]}),
            {}};
  }

  void expect_divisors(const std::string& piece, const Shape& shape) {
    if (out_ % shape[0] != 0 || in_ % shape[1] != 0)
      pieces_.refuse(piece, str("a factor of ", shape_text(shape_)));
  }

  KroneckerProduct::Factor second_factor(std::int64_t rows, std::int64_t columns) {
    if (pieces_.has("lokr_w2"))
      return {pieces_.need("lokr_w2", with_kernel({rows, columns}, kernel_)), {}, {}, {}};
    const std::int64_t rank = pieces_.extent("lokr_w2_b", 0);
    if (!pieces_.has("lokr_t2"))
      return {{},
              pieces_.need("lokr_w2_a", {rows, rank}),
              pieces_.need("lokr_w2_b", {rank, columns * taps_}),
              {}};
    return {{},
            pieces_.need("lokr_w2_a", {rank, rows}),
            pieces_.need("lokr_w2_b", {rank, columns}),
            pieces_.need("lokr_t2", with_kernel({rank, rank}, kernel_))};
  }

  WeightForm kronecker() {
    KroneckerProduct form{first_factor(), {}};
    const KroneckerProduct::Factor& first = form.first;
    const std::int64_t rows = (first.whole.defined() ? first.whole : first.a).size(0);
    const std::int64_t columns = (first.whole.defined() ? first.whole : first.b).size(1);
    form.second = second_factor(out_ / rows, in_ / columns);
    const at::Tensor& ranked = first.b.defined() ? first.b : form.second.b;
    form.scale = scale(ranked.defined() ? ranked.size(0) : 0);
    return form;
  }

  // kohya's and LyCORIS' alpha is a limit of the rotation, per row of the weight.
  WeightForm rotation() {
    const at::Tensor blocks = pieces_.need("oft_blocks");
    const double constraint =
        pieces_.has("alpha") ? pieces_.number("alpha") * static_cast<double>(out_) : 0;
    const at::Tensor rescale = pieces_.has("rescale") ? rows("rescale") : at::Tensor();
    const std::int64_t size = pieces_.extent("oft_blocks", 2);
    if (out_ % size != 0) pieces_.refuse("oft_blocks", str("blocks that divide ", out_, " rows"));
    if (blocks.dim() == 3)
      return Rotation{pieces_.need("oft_blocks", {out_ / size, size, size}), rescale, constraint};
    const std::int64_t stages = pieces_.extent("oft_blocks", 0);
    const bool mixes = size % 2 == 0 && stages < 32 && out_ % (size << (stages - 1)) == 0;
    if (!mixes) pieces_.refuse("oft_blocks", str("a butterfly of ", out_, " rows"));
    return ButterflyRotation{pieces_.need("oft_blocks", {stages, out_ / size, size, size}), rescale,
                             constraint};
  }

  WeightForm channel_factors() {
    const bool on_input = pieces_.number("on_input") != 0;
    if (!on_input) return ChannelFactors{rows("weight")};
    const at::Tensor factors = pieces_.need("weight");
    const Shape shape = with_kernel({1, in_}, ones());
    if (factors.numel() != in_) pieces_.refuse("weight", shape_text(shape));
    return ChannelFactors{factors.view(shape)};
  }

  // PEFT's: [r, b (b - 1) / 2] for r blocks of b columns, or for one that all have.
  WeightForm column_rotation() {
    const std::int64_t triangle = pieces_.extent("oft_R", 1), columns = in_ * taps_;
    const auto size = static_cast<std::int64_t>(
        std::lround((1 + std::sqrt(1 + 8 * static_cast<double>(triangle))) / 2));
    const std::int64_t given = pieces_.extent("oft_R", 0);
    if (size * (size - 1) / 2 != triangle || columns % size != 0 ||
        (given != 1 && given != columns / size))
      pieces_.refuse("oft_R", str("triangles of blocks that divide ", columns, " columns"));
    const AdapterConfig::Cayley& cayley = config_.cayley;
    const double limit = cayley.limit / std::sqrt(static_cast<double>(given));
    return ColumnRotation{pieces_.need("oft_R", {given, triangle}), size, {}, cayley.terms, limit};
  }

  WeightForm column_butterfly() {
    const std::int64_t stages = pieces_.extent("boft_R", 0), size = pieces_.extent("boft_R", 3);
    const std::int64_t columns = in_ * taps_;
    const bool mixes =
        stages == 1 || (size % 2 == 0 && stages < 32 && columns % (size << (stages - 1)) == 0);
    if (columns % size != 0 || !mixes)
      pieces_.refuse("boft_R", str("a butterfly of ", columns, " columns"));
    const at::Tensor rescale = pieces_.has("boft_s") ? rows("boft_s") : at::Tensor();
    return ColumnRotation{pieces_.need("boft_R", {stages, columns / size, size, size}), size,
                          rescale, 0, 0};
  }

  // PEFT keeps a convolution's factors in one shape for both.
  bool scales_inputs() {
    const at::Tensor factors = pieces_.need("ia3_l");
    if (factors.dim() == 2) return factors.size(0) == 1 && factors.size(1) == in_;
    return in_ == out_ ? config_.scales_inputs : factors.numel() == in_;
  }

  WeightForm factors_by_peft() {
    const bool on_input = scales_inputs();
    const Shape shape = with_kernel(on_input ? Shape{1, in_} : Shape{out_, 1}, ones());
    const at::Tensor factors = pieces_.need("ia3_l");
    if (factors.numel() != (on_input ? in_ : out_)) pieces_.refuse("ia3_l", shape_text(shape));
    return ChannelFactors{factors.to(at::kFloat).sub(1).view(shape)};
  }

  // LyCORIS' first files have each pair the other way round.
  WeightForm generalized() {
    const bool older = pieces_.extent("a1", 0) != in_ && pieces_.extent("a1", 1) == in_;
    const char *a1 = older ? "a2" : "a1", *a2 = older ? "a1" : "a2";
    const char *b1 = older ? "b2" : "b1", *b2 = older ? "b1" : "b2";
    const std::int64_t rank = pieces_.extent(a2, 0);
    const bool core = pieces_.has("bm");
    GeneralizedLowRank form;
    form.a1 = pieces_.need(a1, {in_, rank});
    form.a2 = pieces_.need(a2, {rank, in_});
    form.b1 = pieces_.need(b1, {out_, rank});
    form.b2 = pieces_.need(b2, {rank, core ? in_ : in_ * taps_});
    if (core) form.core = pieces_.need("bm", with_kernel({rank, rank}, kernel_));
    form.scale = scale(rank);
    return form;
  }

  AdapterPieces& pieces_;
  const Shape& shape_;
  const ModuleConfig& config_;
  std::int64_t out_, in_;
  Shape kernel_;
  std::int64_t taps_;
};

}  // namespace

std::optional<FoundChange> change_of_weight(AdapterPieces& pieces, const Shape& shape,
                                            const ModuleConfig& config) {
  ChangeReader reader(pieces, shape, config);
  std::optional<WeightForm> form = reader.form();
  if (!form) return std::nullopt;
  const bool added = std::holds_alternative<LowRank>(*form) ||
                     std::holds_alternative<HadamardProduct>(*form) ||
                     std::holds_alternative<KroneckerProduct>(*form) ||
                     std::holds_alternative<GeneralizedLowRank>(*form);
  return FoundChange{*std::move(form), added ? reader.norms() : at::Tensor()};
}

std::optional<WeightForm> change_of_bias(AdapterPieces& pieces, const Shape& shape,
                                         const ModuleConfig& config) {
  return ChangeReader(pieces, shape, config).of_bias();
}

FoundChange rows_of(const FoundChange& change, const AdapterPieces& pieces, std::int64_t part,
                    std::int64_t parts) {
  constexpr const char* kRemedy = "convert the adapter to a LoRA";
  const auto cut = [&](const at::Tensor& tensor) {
    const std::int64_t rows = tensor.size(0) / parts;
    return tensor.narrow(0, part * rows, rows);
  };
  FoundChange result = change;
  if (auto* const low_rank = std::get_if<LowRank>(&result.form)) {
    low_rank->up = cut(low_rank->up);
  } else if (auto* const product = std::get_if<HadamardProduct>(&result.form);
             product != nullptr && !product->first.core.defined()) {
    product->first.a = cut(product->first.a);
    product->second.a = cut(product->second.a);
  } else if (auto* const difference = std::get_if<Difference>(&result.form)) {
    difference->difference = cut(difference->difference);
  } else if (auto* const general = std::get_if<GeneralizedLowRank>(&result.form)) {
    general->b1 = cut(general->b1);
  } else if (auto* const factors = std::get_if<ChannelFactors>(&result.form)) {
    if (factors->factors.dim() == 1 || factors->factors.size(0) > 1)
      factors->factors = cut(factors->factors);
  } else {
    pieces.refuse_form("LoRA, LoHa or a difference, whose rows can be told apart in a stack",
                       kRemedy);
  }
  if (result.norms.defined() && result.norms.size(0) == 1)
    pieces.refuse_form("norms of rows, which can be told apart in a stack", kRemedy);
  if (result.norms.defined()) result.norms = cut(result.norms);
  return result;
}

}  // namespace emulsion
