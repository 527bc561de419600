"""Remakes this folder: tiny random models and what diffusers computes with them.

The models' weights, and the tensors, depend on fixed seeds and on the versions in
requirements.txt alone.  `--check` writes nothing: it loads the saved models and compares.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import adapters
import cases
import embeddings
import fewer_evaluations
import layouts
import lora_pictures
import schedules
import sdxl_cases
import tensors
import tokenizer_cases
import torch
from recipes import RECIPES, Recipe, build
from safetensors.torch import load_file, save_file

SCHEDULES = "schedules.json"
TOKENIZER_CASES = "tokenizer_cases.jsonl"
HERE = Path(__file__).resolve().parent
TOKENIZER = Path("sd15_like") / "tokenizer"  # its vocab.json and merges.txt are this folder's input


def compute(recipe: Recipe, folder: Path) -> tuple[tensors.Tensors, list[cases.Case]]:
    """Works on the saved files, so that a reader of the files has the very same weights."""
    pipe = layouts.load(folder, recipe.variant)
    config = pipe.scheduler.config
    results = tensors.network_tensors(pipe, recipe)
    settings = cases.model_cases(pipe, recipe)
    for one in settings:
        results |= cases.case_tensors(pipe, config, one)
    errors = cases.float64_errors(pipe, config, settings, results)
    for one in settings:
        latent = results[one["tensors"]["latent"]]
        one["largest_latent"] = float(f"{float(latent.abs().max()):.3g}")
        one["float32_error"] = float(f"{errors[one['name']]:.2g}")
    return results, settings


def describe(recipe: Recipe, settings: list[cases.Case]) -> dict[str, object]:
    return {"model": recipe.name, "variant": recipe.variant, "prompts": tensors.PROMPTS,
            "cases": settings}


def make_model(recipe: Recipe, out: Path, vocab: Path) -> None:
    folder = out / recipe.name
    pipe = build(recipe, layouts.make_tokenizer(recipe, folder, vocab))
    layouts.save(pipe, recipe, folder)
    results, settings = compute(recipe, folder)
    contiguous = {name: tensor.contiguous() for name, tensor in results.items()}
    save_file(contiguous, folder / "reference.safetensors")
    layouts.write_json(folder / "reference.json", describe(recipe, settings))


def check_model(recipe: Recipe, out: Path) -> bool:
    folder = out / recipe.name
    saved = load_file(folder / "reference.safetensors")
    results, settings = compute(recipe, folder)
    described = json.loads((folder / "reference.json").read_text())
    same = described == json.loads(json.dumps(describe(recipe, settings)))
    same = same and saved.keys() == results.keys()
    same = same and all(torch.equal(saved[name], results[name]) for name in saved)
    print(f"{recipe.name}: {len(saved)} tensors {'are equal' if same else 'DIFFER'}")
    return same


def write_tables(out: Path, models: Path) -> None:
    schedules.write(out / SCHEDULES)
    tokenizer_cases.write(out / TOKENIZER_CASES, models / TOKENIZER,
                          models / "sd21_base_like" / "tokenizer")


def check_tables(out: Path) -> bool:
    with TemporaryDirectory() as fresh:
        write_tables(Path(fresh), out)
        same = all((Path(fresh) / name).read_bytes() == (out / name).read_bytes()
                   for name in (SCHEDULES, TOKENIZER_CASES))
    print(f"{SCHEDULES}, {TOKENIZER_CASES}: {'are equal' if same else 'DIFFER'}")
    return same


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the files instead")
    parser.add_argument("--out", type=Path, default=HERE, help="default: this script's folder")
    parser.add_argument("--vocab", type=Path, default=HERE / TOKENIZER,
                        help="folder with vocab.json and merges.txt")
    return parser.parse_args()


@torch.no_grad()
def main() -> int:
    args = arguments()
    torch.set_num_threads(1)
    recipes = [make() for make in RECIPES]
    if args.check:
        checks = [check_model(recipe, args.out) for recipe in recipes] + [check_tables(args.out)]
        checks += [sdxl_cases.check(args.out / name) for name in sdxl_cases.NAMES]
        checks.append(adapters.check(args.out))
        checks.append(lora_pictures.check(args.out))
        checks.append(embeddings.check(args.out))
        checks.append(fewer_evaluations.check(args.out))
        return 0 if all(checks) else 1
    for recipe in recipes:
        make_model(recipe, args.out, args.vocab)
    sdxl_cases.make(args.out, args.vocab)
    adapters.make(args.out)
    lora_pictures.make(args.out)
    embeddings.make(args.out)
    fewer_evaluations.make(args.out)
    write_tables(args.out, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
