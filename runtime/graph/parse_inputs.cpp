#include "graph/parse_inputs.h"

#include <algorithm>
#include <set>

#include "graph/near_names.h"

namespace emulsion {
namespace {

void read_range(GraphInput& input, ObjectReader& reader, Faults& faults) {
  input.min = reader.number("min");
  input.max = reader.number("max");
  input.display_min = reader.number("display_min");
  input.display_max = reader.number("display_max");
  input.unit = reader.text("unit");
  if (input.min && input.max && *input.min > *input.max) {
    faults.add(reader.path_of("max"), "input '", input.name, "': expected at least min, ",
               to_text(Param(*input.min)), ", got ", to_text(Param(*input.max)));
    input.max.reset();
  }
  if (input.type != InputType::Int) return;
  input.multiple_of = reader.whole("multiple_of").value_or(1);
  if (input.multiple_of >= 1) return;
  faults.add(reader.path_of("multiple_of"), "input '", input.name, "': expected at least 1, got ",
             input.multiple_of);
  input.multiple_of = 1;
}

void read_choices(GraphInput& input, ObjectReader& reader, Faults& faults) {
  if (reader.required("choices") == nullptr) return;
  input.choices = reader.texts("choices");
  const std::set<std::string> distinct(input.choices.begin(), input.choices.end());
  if (distinct.empty() || distinct.size() != input.choices.size())
    faults.add(reader.path_of("choices"), "input '", input.name,
               "': expected at least one choice, and each one once");
}

void read_default(GraphInput& input, ObjectReader& reader, Faults& faults) {
  const Json* json = reader.find("default");
  if (json == nullptr || json->is_null()) return;
  input.is_faulty = true;
  const std::string path = reader.path_of("default");
  const std::optional<Param> literal = literal_in(*json);
  if (is_bound_to_file(input.type) || !literal) {
    faults.add(path, "input '", input.name, "': expected ",
               is_bound_to_file(input.type) ? "null" : to_text(input.type), ", got ",
               kind_text(*json));
    return;
  }
  try {
    input.fallback = checked_value(input, *literal);
    input.is_faulty = false;
  } catch (const GraphError& error) {
    faults.add(path, error.what());
  }
}

GraphInput read_input(const std::string& name, const Json& json, const std::string& path,
                      Faults& faults) {
  ObjectReader reader(json, path, faults);
  GraphInput input{.name = name, .path = path};
  const std::string type = reader.required_text("type");
  const std::optional<InputType> known = input_type(type);
  if (!known) {  // then nothing else can be judged
    if (!type.empty())
      faults.add(reader.path_of("type"), "input '", name, "': unknown type",
                 expected_one_of(input_type_names(), type));
    input.is_faulty = true;
    return input;
  }
  input.type = *known;
  input.label = reader.text("label");
  input.help = reader.text("help");
  if (input.type == InputType::Text) input.multiline = reader.flag("multiline");
  if (input.type == InputType::Choice) read_choices(input, reader, faults);
  if (input.type == InputType::Int || input.type == InputType::Float)
    read_range(input, reader, faults);
  read_default(input, reader, faults);
  reader.refuse_other_keys();
  return input;
}

}  // namespace

std::vector<GraphInput> parse_inputs(const Json& inputs, Faults& faults) {
  std::vector<GraphInput> read;
  for_each_named(inputs, "/inputs", faults,
                 [&](const std::string& name, const Json& json, const std::string& path) {
                   read.push_back(read_input(name, json, path, faults));
                 });
  return read;
}

}  // namespace emulsion
