"""The samplers alone: the timesteps and sigmas diffusers makes, and its steps on a toy model."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from cases import SAMPLERS
from diffusers import PNDMScheduler
from recipes import BETAS

STEPS = (1, 2, 5, 7, 20, 50)
TOY_STEPS = 20  # longer schedules are given without the toy's result, to keep the file small
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
BETA_INDEXES = (0, 1, 2, 10, 100, 250, 500, 750, 998, 999)
TOY_START = (1.25, -0.5, 0.03125, -2.0)
# Stable Diffusion 1.5's own file: neither timestep_spacing nor prediction_type stands in it.
PUBLISHED_SD15 = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0",
                  "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
                  "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False,
                  "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None}
Entry = dict[str, Any]


def rounded(values: torch.Tensor) -> list[float]:
    return [float(f"{value:.9g}") for value in values.double().flatten().tolist()]


def toy_model(sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    return 0.5 * sample + 0.25 * math.cos(0.005 * float(timestep))


def toy_result(sampler: str, options: dict[str, Any], steps: int) -> list[float]:
    scheduler = SAMPLERS[sampler](**options)
    scheduler.set_timesteps(steps)
    sample = torch.tensor(TOY_START).reshape(1, 4, 1, 1) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        output = toy_model(scheduler.scale_model_input(sample, timestep), timestep)
        sample = scheduler.step(output, timestep, sample).prev_sample
    return rounded(sample)


def alphas(scheduler: Any) -> dict[str, list[float]]:
    """DDIM steps to t - 1000 // n, whatever the next timestep is."""
    stride = scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    table, last = scheduler.alphas_cumprod, scheduler.final_alpha_cumprod
    previous = [int(t) - stride for t in scheduler.timesteps]
    return {"alphas_cumprod": rounded(table[scheduler.timesteps]),
            "previous_alphas_cumprod": rounded(
                torch.stack([table[t] if t >= 0 else last for t in previous]))}


def schedule(sampler: str, options: dict[str, Any], steps: int) -> Entry:
    scheduler = SAMPLERS[sampler](**options)
    scheduler.set_timesteps(steps)
    entry = {"steps": steps, "timesteps": rounded(scheduler.timesteps),
             "init_noise_sigma": rounded(torch.as_tensor(scheduler.init_noise_sigma))[0]}
    entry |= alphas(scheduler) if sampler == "ddim" else {"sigmas": rounded(scheduler.sigmas)}
    if steps <= TOY_STEPS:
        for prediction in ("epsilon", "v_prediction"):
            if prediction == "epsilon" and options.get("rescale_betas_zero_snr"):
                continue  # divides by an alpha of zero
            predicting = {**options, "prediction_type": prediction}
            entry[f"toy_{prediction}"] = toy_result(sampler, predicting, steps)
    return entry


def variants(sampler: str) -> list[dict[str, Any]]:
    base: dict[str, Any] = dict(BETAS)
    if sampler == "ddim":
        base |= {"clip_sample": False, "set_alpha_to_one": False}
    plain = [{"timestep_spacing": spacing, "steps_offset": offset}
             for spacing in ("leading", "linspace", "trailing") for offset in (0, 1)]
    plain.append({"timestep_spacing": "trailing", "rescale_betas_zero_snr": True})
    if sampler == "ddim":
        plain.append({"timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": True})
    else:
        plain += [{"timestep_spacing": spacing, "steps_offset": 1, "use_karras_sigmas": True}
                  for spacing in ("leading", "linspace")]
    return [{**base, **options} for options in plain]


def inherited() -> list[Entry]:
    """What each sampler makes of the published file: a missing key takes the sampler's default."""
    config = PNDMScheduler.from_config(PUBLISHED_SD15).config
    entries = []
    for name, sampler in SAMPLERS.items():
        scheduler = sampler.from_config(config)
        scheduler.set_timesteps(5)
        entries.append({"sampler": name, "timestep_spacing": scheduler.config.timestep_spacing,
                        "timesteps": rounded(scheduler.timesteps)})
    return entries


def alpha_tables() -> dict[str, Any]:
    tables = {}
    for beta_schedule in BETA_SCHEDULES:
        options = {**BETAS, "beta_schedule": beta_schedule}
        tables[beta_schedule] = rounded(
            SAMPLERS["ddim"](**options).alphas_cumprod[list(BETA_INDEXES)])
    return {"beta_start": BETAS["beta_start"], "beta_end": BETAS["beta_end"],
            "indexes": BETA_INDEXES, **tables}


def write(path: Path) -> None:
    entries = [{"sampler": sampler, "options": options,
                "schedules": [schedule(sampler, options, steps) for steps in STEPS]}
               for sampler in SAMPLERS for options in variants(sampler)]
    toy = {"start": TOY_START, "model": "0.5 * scaled_input + 0.25 * cos(0.005 * timestep)"}
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    head = json.dumps({"alphas_cumprod": alpha_tables(), "toy": toy,
                       "published_sd15": {"config": PUBLISHED_SD15, "inherited": inherited()}})
    path.write_text(f'{head[:-1]},\n"samplers": [\n{lines}\n]}}\n')
