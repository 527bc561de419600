"""The reference tensors of one model's networks, each alone."""

import torch
from diffusers import StableDiffusionPipeline
from recipes import Recipe

PROMPTS = ["", "a large red star on a blue background", "small green circles in all the " * 20]
Tensors = dict[str, torch.Tensor]


def gaussian(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def token_ids(pipe: StableDiffusionPipeline, prompts: list[str]) -> torch.Tensor:
    return pipe.tokenizer(prompts, padding="max_length", max_length=77, truncation=True,
                          return_tensors="pt").input_ids


def text_tensors(pipe: StableDiffusionPipeline) -> Tensors:
    ids = token_ids(pipe, PROMPTS)
    return {"text.ids": ids, "text.hidden": pipe.text_encoder(ids).last_hidden_state}


def unet_tensors(pipe: StableDiffusionPipeline, name: str, size: tuple[int, int],
                 timesteps: list[float], tokens: int) -> Tensors:
    latent = gaussian((len(timesteps), 4, *size), seed=3)
    hidden = gaussian((len(timesteps), tokens, pipe.unet.config.cross_attention_dim), seed=4)
    time = torch.tensor(timesteps)
    return {f"{name}.latent": latent, f"{name}.timesteps": time, f"{name}.hidden": hidden,
            f"{name}.output": pipe.unet(latent, time, hidden).sample}


def vae_tensors(pipe: StableDiffusionPipeline) -> Tensors:
    latent = gaussian((2, 4, 6, 10), seed=5)
    side = pipe.vae_scale_factor
    image = gaussian((1, 3, 5 * side, 7 * side), seed=6).mul(0.5).clamp(-1, 1)
    encoded = pipe.vae.encode(image).latent_dist
    return {"vae.latent": latent, "vae.decoded": pipe.vae.decode(latent).sample,
            "vae.image": image, "vae.encoded_mean": encoded.mean,
            "vae.encoded_deviation": encoded.std}


def network_tensors(pipe: StableDiffusionPipeline, recipe: Recipe) -> Tensors:
    even = unet_tensors(pipe, "unet", recipe.unet_latent, [981.0, 500.25, 1.5], tokens=77)
    odd = unet_tensors(pipe, "unet_odd", (9, 15), [250.0], tokens=13)
    return {**text_tensors(pipe), **even, **odd, **vae_tensors(pipe)}
