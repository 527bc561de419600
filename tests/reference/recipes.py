"""The three tiny models: which sizes and switches each has, and how its weights are drawn.

No two models share a size that a loader could hard-code, and within a model no two levels do.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

VOCAB_SIZE = 1434
# By the end of a module's name, the first that fits.  Without them the prompt and the time would
# hardly show in a random UNet's output, a decoded image would leave 0..1, where clamping hides
# differences, and twenty guided steps would blow rounding up until nothing can be compared.
GAINS = {"decoder.conv_out": 0.4, "encoder.conv_out": 1.0, "conv_out": 0.4,
         "attn2.to_q": 1.5, "attn2.to_k": 1.5, "attn2.to_out.0": 2.5, "time_emb_proj": 3.0,
         "token_embedding": 2.0, "q_proj": 2.0, "k_proj": 2.0}
START_ID, END_ID = 1432, 1433
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"


@dataclass(frozen=True)
class Recipe:
    name: str
    seed: int
    text: dict[str, Any]
    unet: dict[str, Any]
    vae: dict[str, Any]
    scheduler: PNDMScheduler | DDIMScheduler
    unet_latent: tuple[int, int]  # height, width of the UNet's test input
    image_size: tuple[int, int]  # height, width of the end-to-end images
    variant: str | None = None
    pad_token: str = "<|endoftext|>"


def sd15_like() -> Recipe:
    return Recipe(
        name="sd15_like",
        seed=15,
        text={"hidden_size": 32, "intermediate_size": 112, "num_attention_heads": 4,
              "num_hidden_layers": 3, "hidden_act": "quick_gelu",
              "eos_token_id": END_ID, "pad_token_id": 1},
        unet={"block_out_channels": (8, 16, 24), "layers_per_block": 1, "norm_num_groups": 8,
              "attention_head_dim": 2, "use_linear_projection": False, "cross_attention_dim": 32,
              "down_block_types": (CROSS, CROSS, PLAIN)},
        vae={"block_out_channels": (8, 24, 16), "layers_per_block": 1, "norm_num_groups": 8,
             "scaling_factor": 0.18215},
        scheduler=PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False,
                                steps_offset=1, timestep_spacing="leading"),
        unet_latent=(8, 12),
        image_size=(64, 96),
    )


def sd21_base_like() -> Recipe:
    return Recipe(
        name="sd21_base_like",
        seed=21,
        text={"hidden_size": 40, "intermediate_size": 120, "num_attention_heads": 5,
              "num_hidden_layers": 2, "hidden_act": "gelu",
              "eos_token_id": 2, "pad_token_id": 1},
        unet={"block_out_channels": (8, 12, 16, 20), "layers_per_block": 2, "norm_num_groups": 4,
              "attention_head_dim": [1, 2, 4, 5], "use_linear_projection": True,
              "cross_attention_dim": 40, "down_block_types": (CROSS, CROSS, CROSS, PLAIN)},
        vae={"block_out_channels": (8, 12, 16, 24), "layers_per_block": 2, "norm_num_groups": 4,
             "scaling_factor": 0.18215},
        scheduler=PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False,
                                steps_offset=1, timestep_spacing="leading"),
        unet_latent=(8, 16),
        image_size=(128, 64),
        pad_token="!",
    )


def sd21_v_like() -> Recipe:
    return Recipe(
        name="sd21_v_like",
        seed=22,
        text={"hidden_size": 24, "intermediate_size": 88, "num_attention_heads": 3,
              "num_hidden_layers": 4, "hidden_act": "gelu",
              "eos_token_id": 2, "pad_token_id": 1},
        unet={"block_out_channels": (12, 18, 24), "layers_per_block": 1, "norm_num_groups": 6,
              "attention_head_dim": [2, 3, 4], "use_linear_projection": True,
              "cross_attention_dim": 24, "down_block_types": (CROSS, PLAIN, CROSS)},
        vae={"block_out_channels": (8, 8, 12, 16), "layers_per_block": 1, "norm_num_groups": 4,
             "scaling_factor": 0.52539},
        scheduler=DDIMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False,
                                set_alpha_to_one=False, steps_offset=1,
                                timestep_spacing="leading"),
        unet_latent=(8, 12),
        image_size=(64, 96),
        variant="fp16",
        pad_token="!",
    )


RECIPES = (sd15_like, sd21_base_like, sd21_v_like)


def up_blocks(down: tuple[str, ...], down_suffix: str, up_suffix: str) -> tuple[str, ...]:
    return tuple(name.replace(down_suffix, up_suffix) for name in reversed(down))


def text_encoder(recipe: Recipe) -> CLIPTextModel:
    config = CLIPTextConfig(vocab_size=VOCAB_SIZE, bos_token_id=START_ID,
                            projection_dim=recipe.text["hidden_size"], **recipe.text)
    return CLIPTextModel(config)


def unet(recipe: Recipe) -> UNet2DConditionModel:
    up = up_blocks(recipe.unet["down_block_types"], "DownBlock2D", "UpBlock2D")
    return UNet2DConditionModel(up_block_types=up, sample_size=16, **recipe.unet)


def vae(recipe: Recipe) -> AutoencoderKL:
    levels = len(recipe.vae["block_out_channels"])
    return AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * levels,
                         up_block_types=("UpDecoderBlock2D",) * levels,
                         latent_channels=4, sample_size=64, **recipe.vae)


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Redraws every parameter, since a zero bias or a norm weight of one hides a mistake.

    The weights pass through float16, so that a half-precision file holds exactly what is used.
    """
    random = torch.Generator().manual_seed(seed)
    for module_name, module in model.named_modules():
        gain = next((g for end, g in GAINS.items() if module_name.endswith(end)), 1.0)
        for name, parameter in module.named_parameters(recurse=False):
            value = torch.randn(parameter.shape, generator=random)
            if isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
                value = value * 0.2 + (1.0 if name == "weight" else 0.0)
            elif isinstance(module, nn.Embedding):
                value = value * gain * 0.5
            elif name == "bias":
                value = value * 0.1
            else:
                value = value * gain / math.sqrt(value[0].numel())
            parameter.copy_(value.half().float())


def build(recipe: Recipe, tokenizer: CLIPTokenizer) -> StableDiffusionPipeline:
    parts = {"text_encoder": text_encoder(recipe), "unet": unet(recipe), "vae": vae(recipe)}
    for offset, model in enumerate(parts.values()):
        randomise(model.eval(), recipe.seed * 10 + offset)
    return StableDiffusionPipeline(**parts, tokenizer=tokenizer, scheduler=recipe.scheduler,
                                   safety_checker=None, feature_extractor=None,
                                   requires_safety_checker=False)
