#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace emulsion {

// What names a model on the hub: owner/name[@revision][/path/in/repository.safetensors].
struct HubId {
  std::string repository;         // "owner/name"
  std::string revision = "main";  // a branch, a tag or a commit
  std::string file = {};          // one checkpoint of the repository; empty: the model as a folder

  bool operator==(const HubId&) const = default;
};

// None where the text is no hub id.  A revision ends at the next '/', but for those that begin with
// "refs/", which have two more parts ("refs/pr/1").  [any thread]
std::optional<HubId> parse_hub_id(std::string_view text);

// The shortest text that parse_hub_id() reads as `id`.  [any thread]
std::string to_text(const HubId& id);

// "refs/main" does not name one thing for ever; 40 hexadecimal digits do.  [any thread]
bool is_commit(std::string_view revision);

// True where a path from elsewhere stays below the folder that it is meant for, on every system: no
// absolute path, drive letter, backslash, control character, empty part, "." or "..".  [any thread]
bool is_safe_path(std::string_view path);

}  // namespace emulsion
