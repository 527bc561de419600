#!/usr/bin/env python3
"""Checks the shipped graphs against graphs/graph.schema.json, and that it refuses broken ones.

Needs the package jsonschema. Prints a line per fault and exits with 1 when there is one.
"""

import copy
import json
import pathlib
import sys

import jsonschema

GRAPHS = pathlib.Path(__file__).resolve().parents[2] / "graphs"

BASE = {
    "emulsion": 1,
    "inputs": {"p": {"type": "text"}, "n": {"type": "int", "default": 8, "multiple_of": 8}},
    "resources": {
        "sd": {
            "type": "checkpoint",
            "source": "tiny",
            "weight_dtype": "$p",
            "parts": {"vae": "$p"},
        },
        "mix": {"type": "merge", "a": "sd", "b": "sd", "ratio": 0.5, "ratios": {"vae": "$n"}},
        "styled": {
            "type": "lora",
            "base": "mix",
            "source": "a.safetensors:0.5",
            "strength": "$n",
            "blocks": {"unet.down_blocks": 0},
        },
    },
    "nodes": {
        "a": {
            "type": "t",
            "use": {"s": "sd.unet"},
            "params": {"x": "$n", "y": "$$text", "z": ""},
            "in": {"i": "$p", "j": "b.out", "k": {"text": "b.out"}, "l": 0.5},
        },
        "loop1": {
            "loop": {
                "count": 3,
                "carry": {"c": {"from": "a.out", "next": "b.out"}, "d": {"next": "b.out"}},
                "nodes": {"b": {"type": "t", "in": {"i": "carry.c", "j": "loop.index"}}},
            }
        },
    },
    "outputs": {"o": "loop1.c"},
}

ABSENT = object()

# What is wrong, where, and the value that makes it so.
BREAKS = [
    ("no version", ["emulsion"], ABSENT),
    ("another version", ["emulsion"], 2),
    ("no nodes", ["nodes"], ABSENT),
    ("an unknown top-level key", ["node"], {}),
    ("nodes as an array", ["nodes"], []),
    ("a name with a dot", ["nodes", "a.b"], {"type": "t"}),
    ("a reserved name", ["nodes", "carry"], {"type": "t"}),
    ("a node without a type", ["nodes", "a", "type"], ABSENT),
    ("an unknown key of a node", ["nodes", "a", "inputs"], {}),
    ("a port fed by null", ["nodes", "a", "in", "i"], None),
    ("a port fed by a plain word", ["nodes", "a", "in", "i"], "word"),
    ("a parameter that is an array", ["nodes", "a", "params", "x"], [1]),
    ("a slot without a part", ["nodes", "a", "use", "s"], "sd"),
    ("a loop without count", ["nodes", "loop1", "loop", "count"], ABSENT),
    ("a loop that runs never", ["nodes", "loop1", "loop", "count"], 0),
    ("a carry without next", ["nodes", "loop1", "loop", "carry", "c", "next"], ABSENT),
    ("a loop in a loop", ["nodes", "loop1", "loop", "nodes", "b"], BASE["nodes"]["loop1"]),
    ("an input of unknown type", ["inputs", "p", "type"], "string"),
    ("a text with a range", ["inputs", "p", "min"], 1),
    ("an int with a fraction as default", ["inputs", "n", "default"], 1.5),
    ("an unknown key of an input", ["inputs", "n", "step"], 1),
    ("a choice without choices", ["inputs", "c"], {"type": "choice"}),
    ("an image with a default", ["inputs", "i"], {"type": "image", "default": "a.png"}),
    ("an unknown type of resource", ["resources", "sd", "type"], "model"),
    ("a merge without ratio", ["resources", "mix", "ratio"], ABSENT),
    ("a merge of wires", ["resources", "mix", "a"], "sd.unet"),
    ("a lora with parts", ["resources", "styled", "parts"], {}),
    ("a block whose factor is a text", ["resources", "styled", "blocks", "x"], "1"),
    ("a part that is a number", ["resources", "sd", "parts", "vae"], 1),
    ("an unknown weight dtype", ["resources", "sd", "weight_dtype"], "int9"),
    ("an output that is an input", ["outputs", "o"], "$p"),
]


def broken(path, value):
    document = copy.deepcopy(BASE)
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def main():
    schema = json.loads((GRAPHS / "graph.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    faults = []
    shipped = sorted(path for path in GRAPHS.glob("*.json") if path.name != "graph.schema.json")
    if not shipped:
        faults.append(f"{GRAPHS}: no graphs")
    for path in shipped:
        document = json.loads(path.read_text(encoding="utf-8"))
        for error in validator.iter_errors(document):
            faults.append(
                f"{path.name}: /{'/'.join(map(str, error.absolute_path))}: {error.message}"
            )
    faults += [f"the schema refuses a good graph: {e.message}" for e in validator.iter_errors(BASE)]
    for what, path, value in BREAKS:
        if validator.is_valid(broken(path, value)):
            faults.append(f"the schema takes {what}")
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{len(shipped)} graphs fit the schema; it refuses {len(BREAKS)} broken ones")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
