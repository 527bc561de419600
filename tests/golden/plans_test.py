"""Compares the plans of the shipped graphs on a model of full size with those in plans/, for
accelerators from 24 GiB down to half of one.  `--update` writes them anew: look at the difference.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import full_size

BUILD = Path(os.environ["EMULSION_TEST_BUILD"])
TINY = (BUILD / "share" / "emulsion" / "models" / "tiny-sd21").resolve()
HERE = Path(__file__).resolve().parent
PLANS = HERE / "plans"
GRAPHS = sorted(file.stem for file in (HERE.parent.parent / "graphs").glob("sd21_*.json"))
BUDGETS = [24, 16, 12, 10, 8, 6, 4, 3, 2, 1, 0.5]  # GiB
SIZES = [512, 768]
UPDATE = "--update" in sys.argv


def plan(graph: str, model: Path, size: int, gib: float) -> str:
    command = [BUILD / "bin" / "emulsion", "plan", graph, "--dtype", "f16"]
    command += ["--device", f"sim:gpu={gib}GiB", "--device", "cpu=32GiB"]
    for name, value in {"model": model, "width": size, "height": size}.items():
        command += ["--set", f"{name}={value}"]
    environment = {**os.environ, "EMULSION_SPEEDS": str(HERE / "speeds.json")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    return done.stdout if done.returncode == 0 else done.stderr


class Plans(unittest.TestCase):
    maxDiff = None

    def test_plans_are_as_they_were(self):
        with tempfile.TemporaryDirectory(prefix="emulsion_plans_") as folder:
            model = Path(folder) / "sd21"
            full_size.make(model, TINY)
            for graph in GRAPHS:
                for gib in BUDGETS:
                    text = "\n\n".join(plan(graph, model, size, gib) for size in SIZES)
                    with self.subTest(f"{graph}, {gib} GiB"):
                        self.compare(PLANS / f"{graph}_{gib}.txt", text)
        names = {f"{graph}_{gib}.txt" for graph in GRAPHS for gib in BUDGETS}
        self.assertEqual({file.name for file in PLANS.iterdir()}, names)

    def compare(self, golden: Path, text: str) -> None:
        if UPDATE:
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(text)
        self.assertTrue(golden.exists(), f"{golden.name} is missing: run with --update")
        self.assertEqual(text, golden.read_text())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
