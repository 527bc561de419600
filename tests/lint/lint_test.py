"""Each rule of scripts/lint.py is fed a tree that breaks it, and one that does not."""

import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import include_rules  # noqa: E402
from lint import lint  # noqa: E402
from sources import sources  # noqa: E402

GOOD = {
    "plugin_api/emulsion/port.h": "#include <ATen/core/Tensor.h>\n",
    "plugin_api/emulsion/node.h": '#include "emulsion/port.h"\n',
    "nodes/models/unet.h": '#include "emulsion/port.h"\n',
    "nodes/models/unet.cpp": '#include "models/unet.h"\n\n#include <ATen/ops/silu.h>\n',
    "nodes/blur/blur.cpp": '#include "emulsion/node.h"\n#include "models/unet.h"\n',
    "nodes/blur/CMakeLists.txt": "emulsion_add_node(blur.cpp)\n",
    "tests/nodes/blur_test.cpp": '#include "exec/executor.h"\n#include "fakes/fake.h"\n',
    "tests/fakes/fake.h": "#pragma once\n",
    "runtime/include/emulsion/session.h": '#include "emulsion/port.h"\n',
    "runtime/graph/graph.h": '#include "emulsion/node.h"\n',
    "runtime/plan/plan.h": '#include "graph/graph.h"\n',
    "runtime/weights/store.h": '#include "emulsion/port.h"\n',
    "runtime/plugins/registry.h": '#include "graph/graph.h"\n',
    "runtime/exec/executor.h": '#include "plan/plan.h"\n#include "weights/store.h"\n',
    "runtime/hosts/cli/main.cpp": '#include "emulsion/session.h"\n#include "options.h"\n',
    "runtime/hosts/cli/options.h": "#pragma once\n",
    "docs/graph.md": "See docs/graph.md and `/usr/bin/env`, $HOME/x, build/tmp/x.\n",
    "run.py": "print(1)  # TODO(#7): later\n",
}

# file, what it holds, a part of the fault that must be found
BAD = [
    ("plugin_api/emulsion/bad.h", '#include "graph/graph.h"\n', "of graph"),
    ("plugin_api/emulsion/bad.h", "#include <ATen/ops/silu.h>\n", "<ATen/core/Tensor.h> alone"),
    ("nodes/models/bad.cpp", '#include "weights/store.h"\n', "of weights"),
    ("nodes/models/bad.cpp", '#include "emulsion/node.h"\n', "only nodes use"),
    ("nodes/models/bad.cpp", '#include "../blur/blur.h"\n', "in the tree, got none"),
    ("nodes/blur/bad.cpp", '#include "exec/executor.h"\n', "of exec"),
    ("nodes/blur/bad.cpp", '#include "emulsion/session.h"\n', "of host_api"),
    ("runtime/graph/bad.cpp", '#include "plan/plan.h"\n', "of plan"),
    ("runtime/graph/bad.cpp", '#include "models/unet.h"\n', "of models"),
    ("runtime/graph/bad.cpp", "#include <ATen/core/Tensor.h>\n", "no tensors"),
    ("runtime/plan/bad.cpp", '#include "exec/executor.h"\n', "of exec"),
    ("runtime/plan/bad.cpp", '#include "weights/store.h"\n', "of weights"),
    ("runtime/weights/bad.cpp", '#include "graph/graph.h"\n', "of graph"),
    ("runtime/plugins/bad.cpp", '#include "weights/store.h"\n', "of weights"),
    ("runtime/exec/bad.cpp", '#include "models/unet.h"\n', "of models"),
    ("runtime/newlayer/bad.cpp", '#include "graph/graph.h"\n', "to be a layer"),
    ("runtime/hosts/cli/bad.cpp", '#include "graph/graph.h"\n', "of graph"),
    ("runtime/hosts/cli/bad.cpp", '#include "emulsion/node.h"\n', "only nodes use"),
    ("examples/host/bad.cpp", '#include "graph/graph.h"\n', "of graph"),
    ("tests/nodes/bad.cpp", '#include "nodes/blur/blur.cpp"\n', "expected a header"),
    ("nodes/models/bad.cpp", "#include <models/unet.h>\n", "around our own header"),
    ("nodes/models/bad.h", "#include <CLI/CLI.hpp>\n", "in a .cpp only"),
    ("nodes/models/bad.cpp", "int x;\n" * 401, "at most 400 lines, got 401"),
    ("scripts/bad.py", "x = 1\n" * 401, "at most 400 lines, got 401"),
    ("nodes/models/bad.cpp", "// TODO: later\n", "an issue's number"),
    ("nodes/models/bad.cpp", "// FIXME later\n", "an issue's number"),
    ("nodes/models/bad.cpp", "int x; \n", "space at the end"),
    ("docs/bad.md", "Look in /home/me/x.\n", "path of one machine"),
    ("docs/bad.md", "Look in `/tmp/x`.\n", "path of one machine"),
    ("docs/bad.md", "See other/page.md.\n", "nothing there"),
    ("docs/bad.md", b"caf\xe9\n", "UTF-8"),
    ("scripts/bad.py", "def f(:\n", "expected Python"),
    ("nodes/sharpen/sharpen.cpp", "int x;\n", "nodes/sharpen/CMakeLists.txt"),
    ("nodes/sharpen/CMakeLists.txt", "x()\n", "nodes/sharpen/sharpen.cpp"),
    ("nodes/sharpen/sharpen.cpp", "int x;\n", "tests/nodes/sharpen_test.cpp"),
    ("nodes/Sharpen/x.cpp", "int x;\n", "small letters"),
]
BAD += [("nodes/blur/bad.cpp", f"#include <{name}>\n", name) for name in include_rules.BANNED]
BAD += [("nodes/blur/bad.cpp", f'#include "{name}"\n', name) for name in include_rules.BANNED]


class LintTest(unittest.TestCase):
    def faults(self, files: dict[str, str | bytes]) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
            return lint(root, sorted(path for path in root.rglob("*") if path.is_file()))

    def test_a_tree_that_keeps_the_rules_has_no_faults(self):
        self.assertEqual(self.faults(GOOD), [])

    def test_each_broken_rule_is_found_in_its_file(self):
        for name, text, expected in BAD:
            with self.subTest(name=name, expected=expected):
                faults = self.faults({**GOOD, name: text})
                hits = [fault for fault in faults if expected in fault]
                self.assertTrue(hits, f"{expected!r} not in {faults}")
                self.assertTrue(hits[0].startswith(str(Path(name).parent)), hits[0])

    def test_the_lines_of_faults_are_counted_from_one(self):
        faults = self.faults({**GOOD, "nodes/blur/bad.h": '\n\n#include "exec/executor.h"\n'})
        self.assertEqual(len(faults), 1)
        self.assertTrue(faults[0].startswith("nodes/blur/bad.h:3: "), faults[0])

    def test_a_tree_without_git_is_listed_without_what_was_built(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            for name in ("a.cpp", "build/b.cpp", "build-x/c.cpp", "nodes/d.h"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("")
            names = [path.relative_to(root).as_posix() for path in sources(root)]
            self.assertEqual(names, ["a.cpp", "nodes/d.h"])

    def test_the_real_tree_is_read(self):
        self.assertIn(ROOT / "plugin_api/emulsion/node.h", sources(ROOT))


if __name__ == "__main__":
    unittest.main()
