#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulsion/params.h"

namespace emulsion {

enum class InputType : std::uint8_t { Model, Text, Int, Float, Bool, Choice, Image, Latent, File };

// What a host may set on a graph, with all that it shows of it.
struct GraphInput {
  std::string name;
  std::string path;  // in the document: "/inputs/steps"
  InputType type = InputType::Text;
  // The document's "default".  Absent: unset until a value is given; what an unset input feeds
  // must be optional, and is left out.
  std::optional<Param> fallback = {};
  std::optional<double> min = {}, max = {};                  // inclusive, enforced
  std::optional<double> display_min = {}, display_max = {};  // a slider's range
  std::int64_t multiple_of = 1;                              // int only, enforced
  std::vector<std::string> choices = {};                     // choice only, enforced
  std::string label = {};                                    // empty: made from the name
  std::string help = {}, unit = {};
  bool multiline = false;
  bool is_faulty = false;  // reported with the document; what it feeds is not judged
};

// "model", "text", "int", …  [any thread]
std::string_view to_text(InputType type);
std::optional<InputType> input_type(std::string_view text);
std::vector<std::string> input_type_names();

// Image and latent: the value is the path of a file, which bind_input_file() puts into the graph;
// validate() takes no value for them.  [any thread]
bool is_bound_to_file(InputType type);

// The value in `--set NAME=text`.  A number must be written in full ("20", "7.5", "1e-3"), a bool
// is true, false, 1 or 0; the rest is taken as it is.  Throws GraphError: not of the input's type,
// out of its range, not a multiple, not a choice, ill-formed UTF-8, an empty path.  [any thread]
Param parse_value(const GraphInput& input, std::string_view text);

// A value that a host gives as such; an int is taken for a float.  Throws GraphError as
// parse_value() does.  [any thread]
Param checked_value(const GraphInput& input, const Param& value);

}  // namespace emulsion
