"""Compares the plans of the shipped graphs on models of full size with those in plans/, for
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
HERE = Path(__file__).resolve().parent
PLANS = HERE / "plans"
# A graph "*_lora" plans as the one without, as long as no file is set; with one, what is told of
# the UNet differs, which LORAS has.
LORAS, LORA_BUDGETS = "loras.txt", [24, 8, 4, 2]
GRAPHS = sorted(
    file.stem
    for file in (HERE.parent.parent / "graphs").glob("*_*.json")
    if not file.stem.endswith("_lora")
)
BUDGETS = [24, 16, 12, 10, 8, 6, 4, 3, 2, 1, 0.5]  # GiB
SIZES = {"sd21": [512, 768], "sdxl": [1024]}  # by the first word of a graph's name
# The inputs of graphs that name models, and what full_size calls these.
INPUTS = {"sd21": {"model": "sd21"}, "sdxl": {"model": "sdxl"}}
INPUTS["sdxl_base_refiner"] = INPUTS["sdxl"] | {"refiner": "sdxl_refiner"}
UPDATE = "--update" in sys.argv


def family_of(graph: str) -> str:
    return graph.split("_")[0]


def plan(graph: str, models: dict[str, Path], size: int, gib: float) -> str:
    command = [BUILD / "bin" / "emulsion", "plan", graph, "--dtype", "f16"]
    command += ["--device", f"sim:gpu={gib}GiB", "--device", "cpu=32GiB"]
    for name, value in {**models, "width": size, "height": size}.items():
        command += ["--set", f"{name}={value}"]
    environment = {**os.environ, "EMULSION_SPEEDS": str(HERE / "speeds.json")}
    environment["OMP_NUM_THREADS"] = "1"  # each thread needs memory of its own
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    return done.stdout if done.returncode == 0 else done.stderr


class Plans(unittest.TestCase):
    maxDiff = None

    def test_plans_are_as_they_were(self):
        with tempfile.TemporaryDirectory(prefix="emulsion_plans_") as folder:
            for name in full_size.MODELS:
                full_size.make(name, Path(folder) / name)
            for graph in GRAPHS:
                inputs = INPUTS.get(graph, INPUTS[family_of(graph)])
                models = {key: Path(folder) / name for key, name in inputs.items()}
                for gib in BUDGETS:
                    plans = [plan(graph, models, size, gib) for size in SIZES[family_of(graph)]]
                    with self.subTest(f"{graph}, {gib} GiB"):
                        self.compare(PLANS / f"{graph}_{gib}.txt", "\n\n".join(plans))
        names = {f"{graph}_{gib}.txt" for graph in GRAPHS for gib in BUDGETS} | {LORAS}
        self.assertEqual({file.name for file in PLANS.iterdir()}, names)

    def test_plans_with_loras_are_as_they_were(self):
        texts = []
        with tempfile.TemporaryDirectory(prefix="emulsion_plans_") as folder:
            for family in ("sd21", "sdxl"):
                model, lora = Path(folder) / family, Path(folder) / f"{family}.safetensors"
                full_size.make(family, model)
                full_size.make_lora(family, lora)
                graph, inputs = f"{family}_txt2img_lora", {"model": model, "lora": lora}
                for gib in LORA_BUDGETS:
                    lines = plan(graph, inputs, SIZES[family][-1], gib).splitlines()
                    told = [line for line in lines if "sd.unet" in line or "  unet " in line]
                    texts.append("\n".join([f"{gib} GiB: {lines[0]}", *told]))
        self.compare(PLANS / LORAS, "\n\n".join(texts) + "\n")

    def compare(self, golden: Path, text: str) -> None:
        if UPDATE:
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(text)
        self.assertTrue(golden.exists(), f"{golden.name} is missing: run with --update")
        self.assertEqual(text, golden.read_text())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
