#include "hub/hub_environment.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultEndpoint = "https://huggingface.co";

std::string home_of(const Variables& variables) {
  const std::string home = variables("HOME");
  return home.empty() ? variables("USERPROFILE") : home;
}

// "~" and "~/x" are the home's, as shells and the hub's own tools read them.
fs::path path_of(const std::string& text, const Variables& variables) {
  if (text == "~" || text.starts_with("~/")) return home_of(variables) + text.substr(1);
  return text;
}

fs::path first_path(const Variables& variables, std::initializer_list<const char*> names,
                    const fs::path& otherwise) {
  for (const char* name : names)
    if (const std::string text = variables(name); !text.empty()) return path_of(text, variables);
  return otherwise;
}

bool is_true(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

Token token_of(const std::string& text, const std::string& source) {
  const auto is_bad = [](unsigned char c) { return c <= ' ' || c >= 127; };
  const std::string token = trimmed(text);
  if (std::ranges::any_of(token, is_bad))  // a line break would begin another header
    throw GraphError(str(source,
                         ": expected a token, got text with spaces or other characters "
                         "that no token has; copy it again"));
  return Token(token);
}

Token find_token(const Variables& variables, const fs::path& home) {
  if (is_true(variables("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return Token();
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (const std::string text = variables(name); !text.empty()) return token_of(text, name);
  const fs::path path = first_path(variables, {"HF_TOKEN_PATH"}, home / "token");
  std::ifstream file(path, std::ios::binary);
  if (!file) return Token();
  return token_of({std::istreambuf_iterator<char>(file), {}}, path.string());
}

std::string endpoint_of(const Variables& variables) {
  std::string endpoint = variables("HF_ENDPOINT");
  if (endpoint.empty()) return kDefaultEndpoint;
  if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://"))
    throw GraphError(
        str("HF_ENDPOINT: expected an address that starts with https:// or http://, "
            "got '",
            endpoint, "'; set it to one, or unset it"));
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint;
}

std::chrono::seconds seconds_of(const Variables& variables, const char* name,
                                std::chrono::seconds otherwise) {
  const std::string text = variables(name);
  if (text.empty()) return otherwise;
  int seconds = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (fault != std::errc() || end != text.data() + text.size() || seconds < 1)
    throw GraphError(str(name, ": expected whole seconds, 1 or more, got '", text, "'"));
  return std::chrono::seconds(seconds);
}

}  // namespace

HubEnvironment read_hub_environment(const Variables& variables) {
  const std::string home = home_of(variables);
  const fs::path caches = first_path(variables, {"XDG_CACHE_HOME"},
                                     home.empty() ? fs::path() : fs::path(home) / ".cache");
  const fs::path hub_home =
      first_path(variables, {"HF_HOME"}, caches.empty() ? fs::path() : caches / "huggingface");
  HubEnvironment found;
  found.cache = first_path(variables, {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"},
                           hub_home.empty() ? fs::path() : hub_home / "hub");
  found.endpoint = endpoint_of(variables);
  found.token = find_token(variables, hub_home);
  const std::string offline = variables("HF_HUB_OFFLINE");
  found.offline = is_true(offline.empty() ? variables("TRANSFORMERS_OFFLINE") : offline);
  found.symlinks = !is_true(variables("HF_HUB_DISABLE_SYMLINKS"));
  found.listing_timeout = seconds_of(variables, "HF_HUB_ETAG_TIMEOUT", found.listing_timeout);
  found.download_timeout = seconds_of(variables, "HF_HUB_DOWNLOAD_TIMEOUT", found.download_timeout);
  return found;
}

HubEnvironment read_hub_environment() {
  return read_hub_environment([](const std::string& name) -> std::string {
    const char* value = std::getenv(name.c_str());
    return value != nullptr ? value : "";
  });
}

}  // namespace emulsion
