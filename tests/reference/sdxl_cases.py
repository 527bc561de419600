"""What diffusers computes with the models of sdxl_recipes: networks alone, and whole images."""

from pathlib import Path
from typing import Any

import sdxl_recipes
import torch
from cases import SAMPLERS, SCHEDULES
from diffusers import DiffusionPipeline
from layouts import write_json
from safetensors.torch import load_file, save_file
from tensors import PROMPTS, Tensors, gaussian

BASE, REFINER = "sdxl_like", "sdxl_refiner_like"
NAMES = (BASE, REFINER)
Case = dict[str, Any]


def case(name: str, sampler: str = "euler", schedule: str = "config", image: bool = False,
         **changes: Any) -> Case:
    """An empty negative prompt is None to diffusers: the model's config says what it becomes."""
    settings = {"name": name, "prompt": "a large red star on a blue background",
                "negative_prompt": "", "width": 64, "height": 64, "steps": 20, "guidance": 5.0,
                "guidance_rescale": 0.0, "seed": 7, "batch": 1, "sampler": sampler,
                "schedule": schedule, "scheduler_options": dict(SCHEDULES[schedule]), "sizes": {},
                "tensors": {"latent": f"{name}.latent"}}
    if sampler == "ddim":
        settings["scheduler_options"]["clip_sample"] = False
    if image:
        settings["tensors"]["image"] = f"{name}.image"
    return {**settings, **changes}


CASES = {
    BASE: [
        case("zeroed_negative_prompt", image=True),
        case("negative_prompt_of_a_space", "dpmpp_2m", negative_prompt=" ", seed=8),
        case("batch_of_two", "dpmpp_2m", "karras", negative_prompt="a small green circle",
             batch=2, guidance=3.0),
        case("sizes_and_crop", width=96, height=48,
             sizes={"original_width": 300, "original_height": 200, "crop_top": 10,
                    "crop_left": 33, "target_width": 128, "target_height": 72}),
        case("rescaled_guidance", "ddim", guidance=9.0, guidance_rescale=0.7),
        case("turbo", schedule="trailing", steps=4, guidance=1.0),
        case("one_step", schedule="trailing", steps=1, guidance=1.0, width=72, height=56),
    ],
    REFINER: [
        case("refined_from_0.8", image=True, refine_from=0.8),
        case("refined_from_half", "ddim", steps=9, refine_from=0.5,
             negative_prompt="a small green circle", aesthetic_score=7.5,
             negative_aesthetic_score=1.0),
        case("refined_by_a_solver", "dpmpp_2m", "trailing", steps=14, refine_from=0.63, batch=2),
    ],
}


def text_tensors(pipe: DiffusionPipeline, part: str) -> Tensors:
    """`part`: "" for the first encoder, "_2" for the second."""
    encoder = getattr(pipe, f"text_encoder{part}")
    ids = getattr(pipe, f"tokenizer{part}")(PROMPTS, padding="max_length", max_length=77,
                                            truncation=True, return_tensors="pt").input_ids
    output = encoder(ids, output_hidden_states=True)
    results = {f"text{part}.ids": ids, f"text{part}.hidden": output.hidden_states[-2]}
    if hasattr(output, "text_embeds"):
        results[f"text{part}.pooled"] = output.text_embeds
    return results


def unet_tensors(pipe: DiffusionPipeline) -> Tensors:
    config = pipe.unet.config
    of_sizes = config.projection_class_embeddings_input_dim - sdxl_recipes.POOLED
    sizes = of_sizes // config.addition_time_embed_dim
    latent, time = gaussian((3, 4, 12, 8), seed=3), torch.tensor([981.0, 500.25, 1.5])
    hidden = gaussian((3, 77, config.cross_attention_dim), seed=4)
    pooled = gaussian((3, sdxl_recipes.POOLED), seed=5)
    time_ids = torch.tensor([[1024.0, 768, 0, 0, 1024, 768], [100, 200, 30, 40, 500, 600],
                             [64, 96, 0, 7, 2.5, 9]])[:, :sizes].contiguous()
    added = {"text_embeds": pooled, "time_ids": time_ids}
    output = pipe.unet(latent, time, hidden, added_cond_kwargs=added).sample
    return {"unet.latent": latent, "unet.timesteps": time, "unet.hidden": hidden,
            "unet.pooled": pooled, "unet.time_ids": time_ids, "unet.output": output}


def sized(settings: Case) -> dict[str, tuple[int, int]]:
    sizes = settings["sizes"]
    if not sizes:
        return {}
    return {"original_size": (sizes["original_height"], sizes["original_width"]),
            "crops_coords_top_left": (sizes["crop_top"], sizes["crop_left"]),
            "target_size": (sizes["target_height"], sizes["target_width"])}


def common(pipe: DiffusionPipeline, settings: Case) -> dict[str, Any]:
    sampler = SAMPLERS[settings["sampler"]]
    pipe.scheduler = sampler.from_config(pipe.scheduler.config, **settings["scheduler_options"])
    batch, negative = settings["batch"], settings["negative_prompt"]
    return {"prompt": [settings["prompt"]] * batch,
            "negative_prompt": [negative] * batch if negative else None,
            "num_inference_steps": settings["steps"], "guidance_scale": settings["guidance"],
            "output_type": "latent",
            "generator": [torch.Generator().manual_seed(settings["seed"] + i)
                          for i in range(batch)]}


def final_latent(pipes: dict[str, DiffusionPipeline], settings: Case) -> torch.Tensor:
    base, refine_from = pipes[BASE], settings.get("refine_from")
    scheduler = base.scheduler
    latent = base(**common(base, settings), **sized(settings), width=settings["width"],
                  height=settings["height"], guidance_rescale=settings["guidance_rescale"],
                  denoising_end=refine_from).images
    base.scheduler = scheduler
    if refine_from is None:
        return latent
    refiner = pipes[REFINER]
    scheduler = refiner.scheduler
    latent = refiner(**common(refiner, settings), image=latent, denoising_start=refine_from,
                     aesthetic_score=settings.get("aesthetic_score", 6.0),
                     negative_aesthetic_score=settings.get("negative_aesthetic_score",
                                                           2.5)).images
    refiner.scheduler = scheduler
    return latent


def decoded(pipe: DiffusionPipeline, latent: torch.Tensor) -> torch.Tensor:
    image = pipe.vae.decode(latent / pipe.vae.config.scaling_factor).sample
    return (image / 2 + 0.5).clamp(0, 1)


def compute(folder: Path) -> Tensors:
    pipes = {name: sdxl_recipes.load(folder.parent / name) for name in NAMES}
    pipe = pipes[folder.name]
    results = text_tensors(pipe, "_2") | unet_tensors(pipe)
    if folder.name == BASE:
        results |= text_tensors(pipe, "")
    for settings in CASES[folder.name]:
        names, latent = settings["tensors"], final_latent(pipes, settings)
        results[names["latent"]] = latent
        if "image" in names:
            results[names["image"]] = decoded(pipes[BASE], latent)
    return {name: tensor.contiguous() for name, tensor in results.items()}


def description(name: str) -> dict[str, object]:
    return {"model": name, "prompts": PROMPTS, "cases": CASES[name]}


def make(out: Path, vocab: Path) -> None:
    for name in NAMES:
        sdxl_recipes.save(sdxl_recipes.build(out / name, vocab), out / name)
    for name in NAMES:
        save_file(compute(out / name), out / name / "reference.safetensors")
        write_json(out / name / "reference.json", description(name))


def check(folder: Path) -> bool:
    saved, results = load_file(folder / "reference.safetensors"), compute(folder)
    same = saved.keys() == results.keys()
    same = same and all(torch.equal(saved[name], results[name]) for name in saved)
    print(f"{folder.name}: {len(saved)} tensors {'are equal' if same else 'DIFFER'}")
    return same
