#include "weights/adapter.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/adapter_change.h"
#include "weights/adapter_config.h"
#include "weights/adapter_names.h"
#include "weights/safetensors.h"
#include "weights/weight_source.h"

namespace emulsion {
namespace {

using File = std::shared_ptr<const SafetensorsFile>;

// The tensors of one module.
struct Module {
  std::map<std::string, std::string> names;  // in the file, by piece
  bool by_peft = false;
};

using Modules = std::map<std::string, Module>;  // by the file's spelling

// Every tensor in its own dtype: mapped where its place in the file allows it.
Bundle mapped(const File& file, const std::vector<std::string>& wanted) {
  std::map<c10::ScalarType, std::vector<std::string>> by_dtype;
  for (const std::string& name : wanted)
    by_dtype[file->tensors().find(name)->second.spec.dtype].push_back(name);
  Bundle tensors;
  for (const auto& [dtype, names] : by_dtype)
    tensors.merge(files_source({nullptr, {file}}, WeightPlace{}, dtype)
                      ->read(names, Stay::Lasting, Pace::AllThreads));
  return tensors;
}

class AdapterReader {
 public:
  AdapterReader(const std::filesystem::path& path, const PartTensors& base)
      : base_(base), file_(std::make_shared<const SafetensorsFile>(path)), config_(*file_) {
    adapter_.file = path;
    adapter_.identity = file_->identity().text;
  }

  Adapter read() {
    const Modules modules = known_modules();
    const AdapterNames names(base_);
    std::map<std::string, AdapterTarget> targets;
    std::vector<std::string> wanted;
    for (const auto& [spelling, module] : modules) {
      const std::optional<AdapterTarget> target = names.find(spelling);
      for (const auto& [piece, name] : module.names)
        (target ? wanted : adapter_.unmatched).push_back(name);
      if (target) targets.emplace(spelling, *target);
    }
    tensors_ = mapped(file_, wanted);
    for (const auto& [spelling, target] : targets) add(modules.at(spelling), target);
    if (adapter_.parts.empty()) refuse_stranger();
    std::ranges::sort(adapter_.unmatched);
    return std::move(adapter_);
  }

 private:
  // Of a model's own file, too, names end with "weight".
  Modules known_modules() {
    Modules modules;
    bool adapts = false;
    for (const auto& [name, stored] : file_->tensors()) {
      if (note_embedding(name)) continue;
      const AdapterKey key = take_apart(name);
      Module& module = modules[key.module];
      module.by_peft |= key.by_peft;
      adapts |= !key.piece.empty() && key.piece != "weight";
      if (key.piece.empty() || !module.names.emplace(key.piece, name).second)
        adapter_.unmatched.push_back(name);
    }
    if (!adapts)
      throw WeightError(str(place(), ": no adapter of a known form: expected tensors such as '….",
                            "lora_up.weight', got ", file_->tensors().size(), examples(),
                            "; give a LoRA or one of its kin"));
    return modules;
  }

  // "bundle_emb.name.…": nodes read them by the file's name.
  bool note_embedding(std::string_view tensor) {
    constexpr std::string_view kBundle = "bundle_emb.";
    if (!tensor.starts_with(kBundle)) return false;
    tensor.remove_prefix(kBundle.size());
    const std::string name(tensor.substr(0, tensor.find('.')));
    std::vector<std::string>& names = adapter_.embeddings;
    if (names.empty() || names.back() != name) names.push_back(name);
    return true;
  }

  void add(const Module& module, const AdapterTarget& target) {
    std::map<std::string, AdapterPieces::Piece> found;
    for (const auto& [piece, name] : module.names)
      found.emplace(piece, AdapterPieces::Piece{name, tensors_.at(name)});
    AdapterPieces pieces(place(), std::move(found));
    add_changes(pieces, target, module.by_peft);
    const std::vector<std::string> left = pieces.left();
    adapter_.unmatched.insert(adapter_.unmatched.end(), left.begin(), left.end());
  }

  void add_changes(AdapterPieces& pieces, const AdapterTarget& target, bool by_peft) {
    const std::string& first = target.modules.front();
    std::optional<TensorSpec> spec = spec_of(target.part, first + ".weight");
    if (!spec) return;
    spec->shape.front() *= std::ssize(target.modules);
    const auto scale = [&](std::int64_t rank) {
      return by_peft ? config_.scale(target.part, first, rank) : 1;
    };
    const ModuleConfig config{scale, config_.cayley(), config_.scales_inputs(first)};
    if (const auto change = change_of_weight(pieces, spec->shape, config))
      put(pieces, target, ".weight", *change);
    if (!spec_of(target.part, first + ".bias")) return;
    if (const auto change = change_of_bias(pieces, spec->shape, config))
      put(pieces, target, ".bias", {*change, {}});
  }

  void put(const AdapterPieces& pieces, const AdapterTarget& target, const char* leaf,
           const FoundChange& change) {
    const std::int64_t parts = std::ssize(target.modules);
    for (std::int64_t part = 0; part < parts; ++part) {
      const FoundChange own = parts == 1 ? change : rows_of(change, pieces, part, parts);
      put(pieces, target.part, target.modules[static_cast<std::size_t>(part)] + leaf,
          WeightChange(own.form, own.norms));
    }
  }

  void put(const AdapterPieces& pieces, const std::string& part, const std::string& weight,
           WeightChange change) {
    if (!adapter_.parts[part].emplace(weight, std::move(change)).second)
      pieces.refuse_form(str("one change of '", weight, "', of which the file has another, too"),
                         "fetch the file again");
  }

  std::optional<TensorSpec> spec_of(const std::string& part, const std::string& weight) const {
    const auto found = base_.at(part).find(weight);
    if (found == base_.at(part).end() || found->second.shape.empty()) return std::nullopt;
    return found->second;
  }

  [[noreturn]] void refuse_stranger() const {
    std::string parts;
    for (const auto& [part, tensors] : base_) parts += str(parts.empty() ? "'" : ", '", part, "'");
    throw WeightError(str(place(), ": expected names of the model's ", parts, ", got ",
                          file_->tensors().size(), examples(),
                          "; give an adapter that was made for this model"));
  }

  std::string examples() const {
    const auto& tensors = file_->tensors();
    return str(" tensors", tensors.empty() ? "" : str(" such as '", tensors.begin()->first, "'"));
  }

  std::string place() const { return file_->path().string(); }

  const PartTensors& base_;
  File file_;
  AdapterConfig config_;
  Adapter adapter_;
  Bundle tensors_;
};

}  // namespace

Adapter read_adapter(const std::filesystem::path& file, const PartTensors& base) {
  return AdapterReader(file, base).read();
}

}  // namespace emulsion
