#include "hub/hub_id.h"

#include <algorithm>

namespace emulsion {
namespace {

constexpr std::string_view kFileSuffix = ".safetensors";
constexpr std::size_t kLongestRepository = 96;

// Not <cctype>'s, which ask the locale.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_name(std::string_view name) {
  const auto fits = [](char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
  };
  const auto ends_badly = [](char c) { return c == '-' || c == '.'; };
  return !name.empty() && std::ranges::all_of(name, fits) && !ends_badly(name.front()) &&
         !ends_badly(name.back()) && name.find("--") == std::string_view::npos &&
         name.find("..") == std::string_view::npos && !name.ends_with(".git");
}

// What git allows and is no pattern.
bool is_revision(std::string_view revision) {
  constexpr std::string_view kPatterns = "~^:?*[\\@ ";
  return is_safe_path(revision) && revision.find_first_of(kPatterns) == std::string_view::npos;
}

// Where the revision that the text begins with ends.
std::size_t revision_length(std::string_view text) {
  std::size_t end = text.find('/');
  if (text.starts_with("refs/"))
    for (int more = 0; more < 2 && end != std::string_view::npos; ++more)
      end = text.find('/', end + 1);
  return std::min(end, text.size());
}

}  // namespace

std::optional<HubId> parse_hub_id(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::size_t end = std::min(text.find_first_of("/@", slash + 1), text.size());
  HubId id;
  id.repository = text.substr(0, end);
  if (!is_name(text.substr(0, slash)) || !is_name(text.substr(slash + 1, end - slash - 1)) ||
      id.repository.size() > kLongestRepository)
    return std::nullopt;
  text.remove_prefix(end);
  if (text.starts_with('@')) {
    text.remove_prefix(1);
    id.revision = text.substr(0, revision_length(text));
    if (!is_revision(id.revision)) return std::nullopt;
    text.remove_prefix(id.revision.size());
  }
  if (text.empty()) return id;
  id.file = text.substr(1);
  if (!is_safe_path(id.file) || !id.file.ends_with(kFileSuffix)) return std::nullopt;
  return id;
}

std::string to_text(const HubId& id) {
  std::string text = id.repository;
  if (id.revision != HubId().revision) text += '@' + id.revision;
  if (!id.file.empty()) text += '/' + id.file;
  return text;
}

bool is_commit(std::string_view revision) {
  constexpr std::size_t kDigits = 40;
  const auto is_hexadecimal = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
  return revision.size() == kDigits && std::ranges::all_of(revision, is_hexadecimal);
}

bool is_safe_path(std::string_view path) {
  const auto is_bad = [](unsigned char c) { return c < ' ' || c == 127 || c == '\\'; };
  const bool has_drive = path.size() >= 2 && is_letter(path[0]) && path[1] == ':';
  if (path.empty() || has_drive || std::ranges::any_of(path, is_bad)) return false;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

}  // namespace emulsion
