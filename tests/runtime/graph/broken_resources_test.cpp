#include "check.h"

#include "runtime/graph/graph_faults.h"

using namespace emulsion;
using fakes::faults_of;

TEST_CASE("every fault of derived resources is reported, with near names") {
  CHECK(
      faults_of(
          R"({"emulsion": 1, "outputs": {}, "nodes": {}, "inputs": {
      "p": {"type": "int", "default": 1}, "m": {"type": "model"}, "f": {"type": "float"}},
    "resources": {
      "sd": {"type": "checkpoint", "source": "x", "parts": {"vae": 3, "unet": "$q"}, "ratio": 1,
        "weight_dtype": "int9"},
      "mix": {"type": "merge", "a": "sdd", "b": "sd", "ratios": {"vae": "much"}},
      "half": {"type": "merge", "a": "sd", "b": "$m", "ratio": "$f"},
      "styled": {"type": "lora", "base": 5, "source": "$p", "strength": "high", "blocks": []}}})") ==
      "g.json: /resources/sd/ratio: unknown key: expected one of parts, source, type, "
      "weight_dtype, "
      "got 'ratio'\n"
      "g.json: /resources/mix/ratio: is missing; add the key 'ratio'\n"
      "g.json: /resources/styled/blocks: expected an object, got an array\n"
      "g.json: /resources/sd/parts/vae: resource 'sd': expected a model or a file, got int 3\n"
      "g.json: /resources/sd/parts/unet: resource 'sd': unknown input: expected one of p, m, f, "
      "got 'q'\n"
      "g.json: /resources/sd/weight_dtype: resource 'sd': unknown weight_dtype: expected one of "
      "default, int8, got 'int9'; did you mean 'int8'?\n"
      "g.json: /resources/mix/a: resource 'mix': unknown resource: expected one of sd, mix, half, "
      "styled, got 'sdd'; did you mean 'sd'?\n"
      "g.json: /resources/mix/ratios/vae: resource 'mix': expected a number, got string much\n"
      "g.json: /resources/half/b: resource 'half': expected the name of a resource, got an input\n"
      "g.json: /inputs/f: input 'f' has no value: expected float for resource 'half'; set it, or "
      "give it a default\n"
      "g.json: /resources/styled/base: resource 'styled': expected the name of a resource, got 5\n"
      "g.json: /resources/styled/strength: resource 'styled': expected a number, got string high\n"
      "g.json: /resources/styled/source: resource 'styled': expected an input of type text or file "
      "or model, got input 'p' of type int");
}

TEST_CASE("resources that are made from each other are refused") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {}, "resources": {
      "a": {"type": "lora", "base": "b", "source": "f"},
      "b": {"type": "merge", "a": "sd", "b": "a", "ratio": 0.5},
      "c": {"type": "lora", "base": "c", "source": "f"},
      "sd": {"type": "checkpoint", "source": "x"}}})") ==
        "g.json: /resources/b/b: resource 'b': is made from itself: a <- b <- a; name another "
        "resource\n"
        "g.json: /resources/c/base: resource 'c': is made from itself: c <- c; name another "
        "resource");
}
