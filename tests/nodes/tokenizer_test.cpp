#include "check.h"

#include "emulsion/errors.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

fakes::NodeCase tokens_of(const std::string& text) {
  return {.id = "tokenizer",
          .model = "reference/sd21_base_like",
          .parts = {{"vocab", "tokenizer"}},
          .inputs = {{"text", text}}};
}

std::string long_prompt() {
  std::string text;
  for (int i = 0; i < 80; ++i) text += "star ";
  return text;
}

Bundle run(const fakes::NodeCase& node) {
  return std::get<Bundle>(fakes::run_node(node).at("tokens"));
}

}  // namespace

TEST_CASE("a prompt becomes ids, weights, and the ids of an empty prompt") {
  const Bundle tokens = run(tokens_of("a (red:1.5) star"));
  const at::Tensor ids = tokens.at("ids"), weights = tokens.at("weights");
  CHECK(ids.const_data_ptr<std::int64_t>()[2] == 552);
  CHECK(weights.const_data_ptr<float>()[2] == 1.5F);
  CHECK(tokens.at("empty").const_data_ptr<std::int64_t>()[1] == 1433);
  CHECK(to_text(spec_of(Value(tokens))) ==
        "{empty [1, 77] int64, ids [1, 77] int64, weights [1, 77] float32}");
}

TEST_CASE("the forecast of a long prompt tells its chunks exactly") {
  const fakes::NodeCase node = tokens_of(long_prompt());
  const std::string wanted = "{empty [1, 77] int64, ids [2, 77] int64, weights [2, 77] float32}";
  CHECK(to_text(fakes::forecast_node(node).outputs.at("tokens")) == wanted);
  CHECK(to_text(spec_of(Value(run(node)))) == wanted);
}

TEST_CASE("a long prompt can be cut, and a prompt be taken without emphasis") {
  fakes::NodeCase node = tokens_of(long_prompt() + "(red:1.5)");
  node.params["overflow"] = std::string("cut");
  CHECK(to_text(fakes::forecast_node(node).outputs.at("tokens")) ==
        "{empty [1, 77] int64, ids [1, 77] int64, weights [1, 77] float32}");
  node = tokens_of("(red:1.5)");
  node.params["emphasis"] = false;
  CHECK(run(node).at("weights").const_data_ptr<float>()[1] == 1.0F);
}

TEST_CASE("a prompt that is not UTF-8 is refused before the run") {
  CHECK_THROWS_WITH_AS(fakes::forecast_node(tokens_of("caf\xE9")),
                       "the text is not UTF-8: got byte 0xe9 at offset 3; save it as UTF-8",
                       GraphError);
}

}  // namespace emulsion
