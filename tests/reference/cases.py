"""Whole images: which settings are run on which model, and the latents and images that result."""

from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
)
from diffusers.configuration_utils import FrozenDict
from recipes import Recipe
from tensors import Tensors, gaussian

SAMPLERS = {"euler": EulerDiscreteScheduler, "ddim": DDIMScheduler,
            "dpmpp_2m": DPMSolverMultistepScheduler}
# What is changed of the model's own scheduler_config.json.
SCHEDULES: dict[str, dict[str, Any]] = {
    "config": {},
    "karras": {"use_karras_sigmas": True},
    "linspace": {"timestep_spacing": "linspace"},
    "trailing": {"timestep_spacing": "trailing"},
    "trailing_zero_snr": {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True},
}
Case = dict[str, Any]


def scheduler_options(sampler: str, schedule: str) -> dict[str, Any]:
    options = dict(SCHEDULES[schedule])
    if (sampler, schedule) == ("euler", "karras"):
        # Euler takes the range of sigmas from the picked steps; DPMSolver takes the whole range.
        options["timestep_spacing"] = "linspace"
    return options


def case(sampler: str, schedule: str = "config", **changes: Any) -> Case:
    settings = {"name": f"{sampler}_{schedule}", "prompt": "a large red star on a blue background",
                "negative_prompt": "", "steps": 20, "guidance": 5.0, "seed": 7, "batch": 1,
                "sampler": sampler, "schedule": schedule,
                "scheduler_options": scheduler_options(sampler, schedule)}
    return {**settings, **changes}


COMMON = [
    case("euler"),
    case("ddim", image=True),
    case("dpmpp_2m"),
    case("euler", "karras", seed=8),
    case("dpmpp_2m", "karras", seed=8),
]
EXTRA = {
    "sd15_like": [
        case("euler", name="batch_of_three", batch=3, guidance=7.5, seed=100,
             negative_prompt="a small green circle"),
        case("ddim", name="no_guidance", guidance=1.0, negative_prompt="has no effect"),
        case("dpmpp_2m", "trailing", name="fourteen_steps", steps=14, guidance=3.0),
    ],
    "sd21_base_like": [
        case("euler", name="euler_one_step", steps=1),
        case("ddim", name="ddim_one_step", steps=1),
        case("dpmpp_2m", name="dpmpp_2m_one_step", steps=1),
        case("euler", "karras", name="euler_karras_one_step", steps=1),
        case("dpmpp_2m", "karras", name="dpmpp_2m_karras_one_step", steps=1),
        case("dpmpp_2m", name="two_steps", steps=2, prompt="", seed=2**31 + 5),
    ],
    "sd21_v_like": [
        case("euler", "trailing"),
        case("euler", "linspace"),
        case("euler", "trailing_zero_snr"),
        case("ddim", "trailing_zero_snr"),
        case("dpmpp_2m", "trailing"),
        case("ddim", name="odd_latent", width=72, height=120, steps=5, image=True),
    ],
}


def model_cases(pipe: StableDiffusionPipeline, recipe: Recipe) -> list[Case]:
    height, width = recipe.image_size
    cases = []
    for settings in COMMON + EXTRA[recipe.name]:
        full = {"width": width, "height": height, "image": False, **settings}
        size = [full[side] // pipe.vae_scale_factor for side in ("height", "width")]
        noise = f"noise.{full['batch']}x4x{size[0]}x{size[1]}.seed{full['seed']}"
        has_image = full.pop("image")
        full["tensors"] = {"noise": noise, "latent": f"{full['name']}.latent"}
        if has_image:
            full["tensors"]["image"] = f"{full['name']}.image"
        cases.append(full)
    return cases


def run_pipeline(pipe: StableDiffusionPipeline, config: FrozenDict, settings: Case,
                 **start: Any) -> torch.Tensor:
    pipe.scheduler = SAMPLERS[settings["sampler"]].from_config(config,
                                                               **settings["scheduler_options"])
    batch = settings["batch"]
    return pipe([settings["prompt"]] * batch, negative_prompt=[settings["negative_prompt"]] * batch,
                height=settings["height"], width=settings["width"],
                num_inference_steps=settings["steps"], guidance_scale=settings["guidance"],
                output_type="latent", **start).images


def generators(settings: Case) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(settings["seed"] + i) for i in range(settings["batch"])]


def start_noise(pipe: StableDiffusionPipeline, settings: Case) -> torch.Tensor:
    size = [settings[side] // pipe.vae_scale_factor for side in ("height", "width")]
    images = [gaussian((1, 4, *size), settings["seed"] + i) for i in range(settings["batch"])]
    return torch.cat(images)


def decoded(pipe: StableDiffusionPipeline, latent: torch.Tensor) -> torch.Tensor:
    image = pipe.vae.decode(latent / pipe.vae.config.scaling_factor).sample
    return pipe.image_processor.postprocess(image, output_type="pt",
                                            do_denormalize=[True] * len(image))


def case_tensors(pipe: StableDiffusionPipeline, config: FrozenDict, settings: Case) -> Tensors:
    names = settings["tensors"]
    latent = run_pipeline(pipe, config, settings, generator=generators(settings))
    tensors = {names["noise"]: start_noise(pipe, settings), names["latent"]: latent}
    if "image" in names:
        tensors[names["image"]] = decoded(pipe, latent)
    return tensors


def float64_errors(pipe: StableDiffusionPipeline, config: FrozenDict, cases: list[Case],
                   tensors: Tensors) -> dict[str, float]:
    """How far float32 rounding alone carries each latent, as a guide to a fair tolerance."""
    pipe.to(torch.float64)
    errors = {}
    for settings in cases:
        noise = tensors[settings["tensors"]["noise"]].double()
        exact = run_pipeline(pipe, config, settings, latents=noise)
        latent = tensors[settings["tensors"]["latent"]]
        errors[settings["name"]] = float((exact - latent).abs().max())
    return errors
