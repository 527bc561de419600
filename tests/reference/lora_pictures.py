"""Pictures of two tiny models with LoRAs, by diffusers' load_lora_weights and set_adapters."""

from pathlib import Path
from typing import Any

import layouts
import sdxl_recipes
import torch
from cases import SAMPLERS
from diffusers import DiffusionPipeline
from layouts import write_json
from safetensors.torch import load_file, save_file
from tensors import Tensors, gaussian

FOLDER, REFERENCE = "lora_pictures", "reference.safetensors"
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0", ".q_proj", ".v_proj")
OTHERS = (".conv1", ".ff.net.0.proj", ".proj_in", ".out_proj", ".fc1")
# A file's rank, how large its change is, and the layers that it changes.
FILES = {"style": (4, 0.4, ATTENTION), "detail": (2, 0.3, OTHERS)}
Case = dict[str, Any]


def load(model: str, models: Path) -> DiffusionPipeline:
    if model == "sdxl_like":
        return sdxl_recipes.load(models / model)
    return layouts.load(models / model, "fp16")


def lora(pipe: DiffusionPipeline, seed: int, rank: int, size: float,
         layers: tuple[str, ...]) -> Tensors:
    """In the names of diffusers; without alpha, the scale is 1."""
    tensors: Tensors = {}
    for part in ("unet", *TEXT_ENCODERS):
        modules = getattr(pipe, part, None)
        for name, module in modules.named_modules() if modules is not None else ():
            if not name.endswith(layers):
                continue
            out, fan_in, *kernel = module.weight.shape
            seed += 2
            down = gaussian((rank, fan_in, *kernel), seed) / (fan_in * max(1, len(kernel)**3))**0.5
            up = gaussian((out, rank, *[1] * len(kernel)), seed + 1) * size / rank**0.5
            tensors |= {f"{part}.{name}.lora_A.weight": down.half(),
                        f"{part}.{name}.lora_B.weight": up.half()}
    return tensors


def case(name: str, model: str, strengths: dict[str, float], **changes: Any) -> Case:
    return {"name": name, "model": model, "strengths": strengths,
            "prompt": "a large red star on a blue background", "width": 64, "height": 64,
            "steps": 4, "guidance": 5.0, "seed": 7, "sampler": "euler", **changes}


CASES = [case(f"{model}.{name}", model, strengths)
         for model in ("sd21_v_like", "sdxl_like")
         for name, strengths in (("one", {"style": 0.8}),
                                 ("two", {"style": 1.0, "detail": -0.5}))]


def latent_of(pipe: DiffusionPipeline, settings: Case) -> torch.Tensor:
    config = pipe.scheduler.config
    pipe.scheduler = SAMPLERS[settings["sampler"]].from_config(config)
    latent = pipe(settings["prompt"], width=settings["width"], height=settings["height"],
                  num_inference_steps=settings["steps"], guidance_scale=settings["guidance"],
                  output_type="latent",
                  generator=torch.Generator().manual_seed(settings["seed"])).images
    return latent.contiguous()


def file_name(model: str, name: str) -> str:
    return f"{model}.{name}.safetensors"


def compute(folder: Path) -> Tensors:
    results: Tensors = {}
    for settings in CASES:
        model, strengths = settings["model"], settings["strengths"]
        pipe = load(model, folder.parent)
        for name in strengths:
            pipe.load_lora_weights(folder, weight_name=file_name(model, name), adapter_name=name)
        pipe.set_adapters(list(strengths), adapter_weights=list(strengths.values()))
        results[settings["name"]] = latent_of(pipe, settings)
    return results


def make(out: Path) -> None:
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    for model in ("sd21_v_like", "sdxl_like"):
        pipe = load(model, out)
        for seed, (name, (rank, size, layers)) in enumerate(FILES.items()):
            save_file(lora(pipe, 1000 * (seed + 1), rank, size, layers),
                      folder / file_name(model, name))
    save_file(compute(folder), folder / REFERENCE)
    write_json(folder / "cases.json", CASES)


def check(out: Path) -> bool:
    saved, results = load_file(out / FOLDER / REFERENCE), compute(out / FOLDER)
    same = saved.keys() == results.keys()
    same = same and all(torch.equal(saved[name], results[name]) for name in saved)
    print(f"{FOLDER}: {len(saved)} tensors {'are equal' if same else 'DIFFER'}")
    return same
