#include "models/embeddings.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <system_error>
#include <vector>

#include "emulsion/errors.h"
#include "emulsion/nearest_name.h"
#include "emulsion/str.h"
#include "models/tensor_file.h"

namespace emulsion::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEnding = ".safetensors";
constexpr std::string_view kBundle = "bundle_emb.";
constexpr std::array<const char*, 4> kPickles = {".pt", ".bin", ".pth", ".ckpt"};

struct Vectors {
  std::int64_t count = 0, width = 0;
};

// [k, D], or [D] for a single one.
std::optional<Vectors> vectors_of(const TensorSpec& spec) {
  if (spec.shape.size() == 1) return Vectors{1, spec.shape[0]};
  if (spec.shape.size() == 2) return Vectors{spec.shape[0], spec.shape[1]};
  return std::nullopt;
}

// By name, without the prefix.
std::map<std::string, Vectors> vectors_in(const EmbeddingPlace& place) {
  std::map<std::string, Vectors> all;
  for (const auto& [name, tensor] : tensors_in(place.file)) {
    if (!name.starts_with(place.prefix)) continue;
    if (const auto vectors = vectors_of(tensor.spec); vectors && vectors->count > 0)
      all.emplace(name.substr(place.prefix.size()), *vectors);
  }
  if (all.empty())
    throw GraphError(str(place.file.string(),
                         ": no embedding: expected vectors [k, D] under 'emb_params', 'clip_l' and "
                         "'clip_g', or the token's name"));
  return all;
}

// Those of a width; of two encoders' only those that are meant for this one.
std::vector<std::string> fitting(const std::map<std::string, Vectors>& all, std::int64_t width,
                                 bool projects) {
  std::vector<std::string> names;
  for (const auto& [name, vectors] : all)
    if (vectors.width == width) names.push_back(name);
  const std::string own = projects ? "clip_g" : "clip_l";
  if (std::ranges::find(names, own) != names.end()) return {own};
  return names;
}

bool is_file(const fs::path& path) {
  std::error_code unreadable;
  return fs::is_regular_file(path, unreadable);
}

// "name" of each "bundle_emb.name.…".
std::vector<std::string> bundled_in(const fs::path& file) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_in(file)) {
    if (!name.starts_with(kBundle)) continue;
    const std::string rest = name.substr(kBundle.size());
    const std::string bundled = rest.substr(0, rest.find('.'));
    if (names.empty() || names.back() != bundled) names.push_back(bundled);
  }
  return names;
}

// A file is known by its own name, unless it has others bundled.
std::vector<std::string> names_in(const fs::path& place) {
  std::vector<std::string> names;
  if (is_file(place)) {
    names = bundled_in(place);
    if (names.empty()) names.push_back(place.stem().string());
    return names;
  }
  const fs::path& folder = place;
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable))
    if (entry.path().extension() == kEnding) names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::optional<EmbeddingPlace> find_embedding(const fs::path& folder, const std::string& name) {
  if (folder.empty() || name.empty()) return std::nullopt;
  if (is_file(folder)) {
    const std::vector<std::string> bundled = bundled_in(folder);
    if (std::ranges::find(bundled, name) != bundled.end())
      return EmbeddingPlace{folder, str(kBundle, name, ".")};
    const bool is_its_own = folder.stem() == name || folder.filename() == name;
    return bundled.empty() && is_its_own ? std::optional(EmbeddingPlace{folder}) : std::nullopt;
  }
  if (fs::path(name).filename() != name || name == "." || name == "..")
    throw GraphError(str("embedding '", name, "': expected the name of a file in '",
                         folder.string(), "', not a path; give its folder as 'embeddings'"));
  const fs::path file = folder / (name.ends_with(kEnding) ? name : name + kEnding);
  if (is_file(file)) return EmbeddingPlace{file};
  for (const char* ending : kPickles)
    for (const std::string& pickle : {name + ending, name})
      if (pickle.ends_with(ending) && is_file(folder / pickle))
        throw GraphError(str("embedding '", name, "': '", (folder / pickle).string(),
                             "' is a pickle file, which can run any program when it is read, so it "
                             "is not read at all; give it as .safetensors, or convert it with a "
                             "tool that you trust"));
  return std::nullopt;
}

void refuse_embedding(const fs::path& folder, const std::string& name) {
  if (folder.empty())
    throw GraphError(str("embedding '", name,
                         "': no folder to find it in; give one as 'embeddings', or write the "
                         "prompt without '",
                         kEmbeddingWord, "'"));
  constexpr std::size_t kNamed = 12;
  const std::vector<std::string> names = names_in(folder);
  std::string listed;
  for (std::size_t i = 0; i < std::min(kNamed, names.size()); ++i)
    listed += str(i == 0 ? "" : ", ", names[i]);
  if (names.size() > kNamed) listed += str(" and ", names.size() - kNamed, " more");
  const std::string near = nearest_name(names, name);
  throw GraphError(str("embedding '", name, "': not in '", folder.string(), "': expected ",
                       names.empty() ? "a file name.safetensors, got none" : listed,
                       near.empty() ? "" : str("; did you mean '", near, "'?")));
}

std::int64_t embedding_length(const EmbeddingPlace& place) {
  const std::map<std::string, Vectors> all = vectors_in(place);
  const std::int64_t count = all.begin()->second.count;
  for (const auto& [name, vectors] : all)
    if (vectors.count != count)
      throw GraphError(str(place.file.string(), ": no embedding: '", all.begin()->first, "' has ",
                           count, " vectors and '", name, "' ", vectors.count,
                           ": expected as many"));
  return count;
}

at::Tensor read_embedding(const EmbeddingPlace& place, std::int64_t width, bool projects) {
  const fs::path& file = place.file;
  const std::map<std::string, Vectors> all = vectors_in(place);
  const std::vector<std::string> names = fitting(all, width, projects);
  if (names.size() == 1) return read_tensor(file, place.prefix + names[0]).view({-1, width});
  if (!names.empty())
    throw GraphError(str(file.string(), ": '", names[0], "' and '", names[1],
                         "' both have vectors of width ", width, ": expected one"));
  std::string widths;
  for (const auto& [name, vectors] : all)
    widths += str(widths.empty() ? "" : ", ", vectors.width, " ('", name, "')");
  throw GraphError(str("embedding '", file.string(), "': vectors of width ", widths,
                       ": expected width ", width,
                       ", as the text encoder has; take an embedding for this model's family"));
}

}  // namespace emulsion::models
