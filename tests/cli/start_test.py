"""Which libraries a command opens: starting takes no longer than its own work.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import json
import os
import re
import sys
import unittest
from pathlib import Path

from command import BUILD, QUICK, CliTest

NODES = BUILD / "lib" / "emulsion" / "nodes"
GRAPHS = BUILD / "share" / "emulsion" / "graphs"
LATE = {"libtorch_cpu.so", "libcurl.so.4", "libcrypto.so.3"}


def types_in(part) -> set[str]:
    """The node types of a graph's document, or of a part of it."""
    if not isinstance(part, dict):
        return set()
    nodes = part.get("nodes", {}).values()
    own = {node["type"] for node in nodes if "type" in node}
    return own.union(*(types_in(inner) for inner in part.values()))


@unittest.skipUnless(sys.platform == "linux", "asks glibc's loader")
class Start(CliTest):
    def opened(self, *arguments) -> set[str]:
        """The names of the shared libraries that the loader opened for the command."""
        told = self.folder / "loader"
        loader = {"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": str(told)}
        done = self.emulsion(*arguments, env={**os.environ, **loader})
        self.assertEqual(done.returncode, 0, done.stderr)
        text = "".join(file.read_text() for file in self.folder.glob("loader.*"))
        names = {Path(path).name for path in re.findall(r"calling init: (\S+)", text)}
        self.assertIn("libemulsion.so", names)
        return names

    def test_a_plan_opens_the_plugins_of_its_graph_alone(self):
        graph = json.loads((GRAPHS / "sd21_txt2img.json").read_text())
        plugins = {file.name for file in NODES.glob("*.so")}
        expected = {f"{name}.so" for name in types_in(graph)}
        self.assertEqual(self.opened("plan", "sd21_txt2img") & plugins, expected)

    def test_what_only_looks_at_graphs_opens_no_plugin(self):
        plugins = {file.name for file in NODES.glob("*.so")}
        for command in (["nodes"], ["run", "sd21_txt2img", "--help"], ["check", "sd21_txt2img"]):
            with self.subTest(command[0]):
                self.assertEqual(self.opened(*command) & plugins, set())

    @unittest.skipUnless((BUILD / "late").is_dir(), "libraries are linked as usual here")
    def test_libtorch_and_libcurl_wait_until_they_are_called(self):
        for command in (["nodes"], ["check", "sd21_txt2img"], ["models", "list"]):
            with self.subTest(command[0]):
                self.assertEqual(self.opened(*command) & LATE, set())
        for graph in ("sd21_txt2img", "sdxl_txt2img_lora"):
            model = "tiny-sdxl" if graph.startswith("sdxl") else "tiny-sd21"
            with self.subTest(f"plan {graph}"):
                opened = self.opened("plan", graph, "--set", f"model={model}")
                self.assertEqual(opened & LATE, set())
        run = self.opened("run", "sd21_txt2img", "--out", "latent=a.safetensors", *QUICK)
        self.assertEqual(run & LATE, {"libtorch_cpu.so"})


if __name__ == "__main__":
    unittest.main()
