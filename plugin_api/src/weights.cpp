#include "emulsion/weights.h"

#include <c10/util/accumulate.h>

#include <algorithm>
#include <set>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

constexpr std::size_t kNamed = 3;  // names that a message spells out before it counts the rest

std::string listed(const std::vector<std::string>& faults) {
  std::string text;
  for (std::size_t i = 0; i < std::min(faults.size(), kNamed); ++i)
    text += str(i == 0 ? "" : ", ", faults[i]);
  if (faults.size() > kNamed) text += str(" and ", faults.size() - kNamed, " more");
  return text;
}

}  // namespace

struct WeightView::Account {
  std::set<std::string, std::less<>> used;
  std::set<std::string, std::less<>> plain;  // asked for as tensors
  std::vector<std::string> missing, misshapen;
  WeightUse use;
  std::set<std::pair<std::size_t, std::string>> noted;  // what `use` has, by block
  std::set<std::string> counted;                        // in `parameters`
  std::int64_t parameters = 0;

  void count(const std::string& name, c10::IntArrayRef shape) {
    if (counted.insert(name).second) parameters += c10::multiply_integers(shape);
  }

  // A tensor that several blocks ask for belongs to each of them.
  void note(const std::string& name, std::size_t block) {
    if (!noted.emplace(block, name).second) return;
    (block == 0 ? use.lasting : use.blocks[block - 1]).push_back(name);
  }
};

WeightView::WeightView(std::shared_ptr<const WeightSet> set)
    : WeightView(std::move(set), std::make_shared<Account>(), "", 0) {}

WeightView::WeightView(std::shared_ptr<const WeightSet> set, std::shared_ptr<Account> account,
                       std::string prefix, std::size_t block)
    : set_(std::move(set)),
      account_(std::move(account)),
      prefix_(std::move(prefix)),
      block_(block) {}

// Without a stream: a plan asks for thousands of names.
std::string WeightView::full(std::string_view name) const {
  std::string key = prefix_;
  key += name;
  return key;
}

WeightView WeightView::scope(std::string_view name) const {
  return {set_, account_, full(name) + '.', block_};
}

WeightView WeightView::block() const {
  account_->use.blocks.emplace_back();
  return {set_, account_, prefix_, account_->use.blocks.size()};
}

const WeightUse& WeightView::use() const { return account_->use; }

std::int64_t WeightView::parameters() const { return account_->parameters; }

bool WeightView::contains(std::string_view name) const { return find(name) != nullptr; }

const TensorSpec* WeightView::find(std::string_view name) const {
  const auto found = set_->weights.find(full(name));
  return found == set_->weights.end() ? nullptr : &found->second.spec;
}

const Weight* WeightView::checked(const std::string& key, c10::IntArrayRef shape) const {
  account_->count(key, shape);
  const auto found = set_->weights.find(key);
  if (found == set_->weights.end()) {
    account_->missing.push_back(str("'", key, "' ", shape_text(shape)));
    return nullptr;
  }
  account_->used.insert(key);
  account_->note(key, block_);
  const TensorSpec& spec = found->second.spec;
  if (c10::IntArrayRef(spec.shape) != shape) {
    account_->misshapen.push_back(
        str("'", key, "' expected ", shape_text(shape), ", got ", shape_text(spec.shape)));
    return nullptr;
  }
  return &found->second;
}

at::Tensor WeightView::data_of(const std::string& key, const Weight& weight) const {
  return weight.data.defined() || set_->stream == nullptr ? weight.data : set_->stream->fetch(key);
}

at::Tensor WeightView::tensor(std::string_view name, c10::IntArrayRef shape) const {
  const std::string key = full(name);
  const Weight* weight = checked(key, shape);
  if (weight == nullptr) return {};
  account_->plain.insert(key);
  account_->use.packed.erase(key);
  if (weight->packing != Packing::None && !set_->header_only)
    throw WeightError(str(set_->place, ": tensor '", key, "' is packed as ",
                          to_text(weight->packing),
                          ": expected one that the node's forecast asks for as a tensor; ask for "
                          "the same in forecast and run"));
  return data_of(key, *weight);
}

Weight WeightView::packed(std::string_view name, c10::IntArrayRef shape) const {
  const std::string key = full(name);
  const Weight* weight = checked(key, shape);
  if (weight == nullptr) return {};
  if (!account_->plain.contains(key)) account_->use.packed.insert(key);
  return {weight->spec, data_of(key, *weight), weight->packing};
}

std::vector<Branch> WeightView::branches(std::string_view name) const {
  const std::string key = full(name);
  account_->use.branched.insert(key);
  const auto found = set_->branches.find(key);
  return found == set_->branches.end() ? std::vector<Branch>() : found->second;
}

void WeightView::ignore(const std::vector<std::string>& suffixes) const {
  for (const auto& entry : set_->weights) {
    const std::string& name = entry.first;
    if (!name.starts_with(prefix_)) continue;
    const auto ends = [&](const std::string& suffix) { return name.ends_with(suffix); };
    if (std::ranges::any_of(suffixes, ends)) account_->used.insert(name);
  }
}

void WeightView::ignore_scope(std::string_view name) const {
  const std::string below = str(prefix_, name, ".");
  for (auto found = set_->weights.lower_bound(below);
       found != set_->weights.end() && found->first.starts_with(below); ++found)
    account_->used.insert(found->first);
}

void WeightView::finish() const {
  std::vector<std::string> extra;
  for (const auto& [name, weight] : set_->weights)
    if (!account_->used.contains(name)) extra.push_back(str("'", name, "'"));
  std::string text;
  const auto add = [&](std::string_view what, const std::vector<std::string>& faults) {
    if (faults.empty()) return;
    text += str(text.empty() ? "" : "; ", faults.size(), " ", what, ": ", listed(faults));
  };
  add("tensors missing", account_->missing);
  add("tensors of another shape", account_->misshapen);
  add("tensors that the config does not call for", extra);
  if (text.empty()) return;
  throw WeightError(str(set_->place, ": weights and config are at odds: ", text,
                        "; fetch the folder again, or take the config that belongs to the file"));
}

}  // namespace emulsion
