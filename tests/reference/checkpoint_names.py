"""Writes checkpoint_names/: what the tensors of single-file checkpoints are called there and in
diffusers, and their shapes, at full size for each family and for this folder's tiny models.

A line: how many characters of the last line's source to keep, the rest of it, the same for the
target, and the shape in the checkpoint ("=" for the last line's), with tabs between.  The target is
"part/name", with "{q,k,v}" for three tensors stacked on the first axis and "^T" for a transposed
one, or "-" where diffusers has no such tensor.
"""

import json
import os
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from ldm_names import open_clip_name, unet_name, vae_name
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

HERE = Path(__file__).resolve().parent
UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
        "num_hidden_layers": 12, "projection_dim": 768}
CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
          "num_hidden_layers": 23, "projection_dim": 1024}
CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 20,
          "num_hidden_layers": 32, "projection_dim": 1280}
SDXL = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "use_linear_projection": True}
UNETS = {
    "sd15": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd21": {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20],
             "use_linear_projection": True},
    "sdxl": {**SDXL, "block_out_channels": [320, 640, 1280], "cross_attention_dim": 2048,
             "transformer_layers_per_block": [1, 2, 10], "attention_head_dim": [5, 10, 20],
             "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2,
             "up_block_types": ["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"],
             "projection_class_embeddings_input_dim": 2816},
    "refiner": {**SDXL, "block_out_channels": [384, 768, 1536, 1536], "cross_attention_dim": 1280,
                "transformer_layers_per_block": 4, "attention_head_dim": [6, 12, 24, 24],
                "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2
                + ["DownBlock2D"],
                "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"],
                "projection_class_embeddings_input_dim": 2560},
}
VAE_CONFIG = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
              "down_block_types": ["DownEncoderBlock2D"] * 4,
              "up_block_types": ["UpDecoderBlock2D"] * 4}
FIRST, SECOND = "conditioner.embedders.0.", "conditioner.embedders.1."
TINY = {  # the prefix of each text encoder, and whether it has a projection
    "sd15_like": {"text_encoder": ("cond_stage_model.", False)},
    "sd21_base_like": {"text_encoder": ("cond_stage_model.model.", False)},
    "sd21_v_like": {"text_encoder": ("cond_stage_model.model.", False)},
    "sdxl_like": {"text_encoder": (FIRST, False), "text_encoder_2": (SECOND + "model.", True)},
    "sdxl_refiner_like": {"text_encoder_2": (FIRST + "model.", True)},
}
Line = tuple[str, str, tuple[int, ...]]  # source, target, shape


def unet_lines(config: dict) -> list[Line]:
    unet = UNet2DConditionModel(**config)
    layers, ups = unet.config.layers_per_block, unet.config.up_block_types
    attending = {i for i, kind in enumerate(ups) if kind.startswith("CrossAttn")}
    tensors = unet.state_dict()
    sources = {UNET + unet_name(name, layers, attending): name for name in tensors}
    found = single_file_utils.convert_ldm_unet_checkpoint(
        {source: tensors[name] for source, name in sources.items()}, unet.config)
    assert {name: found.get(name) is tensor for name, tensor in tensors.items()} == dict.fromkeys(
        tensors, True), "diffusers maps other names"
    return [(source, f"unet/{name}", tuple(tensors[name].shape))
            for source, name in sources.items()]


def vae_lines(config: dict) -> list[Line]:
    vae = AutoencoderKL(**config)
    tensors = vae.state_dict()
    sources = {VAE + vae_name(name, len(vae.config.block_out_channels)): name for name in tensors}

    def shape(source: str) -> tuple[int, ...]:
        size = tuple(tensors[sources[source]].shape)
        is_projection = ".attn_1." in source and len(size) == 2
        return (*size, 1, 1) if is_projection else size

    found = single_file_utils.convert_ldm_vae_checkpoint(
        {source: torch.empty(shape(source), device="meta") for source in sources}, vae.config)
    assert {name: t.shape for name, t in found.items()} == {
        name: t.shape for name, t in tensors.items()}, "diffusers maps other names"
    return [(source, f"vae/{name}", shape(source)) for source, name in sources.items()]


def text_tensors(config: dict, projected: bool) -> dict[str, torch.Tensor]:
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    tensors = kind(CLIPTextConfig(**config)).state_dict()
    return {name if name.startswith("text_") else f"text_model.{name}": tensor
            for name, tensor in tensors.items() if "position_ids" not in name}


def clip_lines(prefix: str, part: str, config: dict) -> list[Line]:
    lines = [(f"{prefix}transformer.{name}", f"{part}/{name}", tuple(tensor.shape))
             for name, tensor in text_tensors(config, projected=False).items()]
    return [*lines, (f"{prefix}transformer.text_model.embeddings.position_ids", "-", (1, 77))]


def open_clip_lines(prefix: str, part: str, config: dict, projected: bool) -> list[Line]:
    tensors = text_tensors(config, projected)
    lines = {}
    for name, tensor in tensors.items():
        source, target, shape = prefix + open_clip_name(name), f"{part}/{name}", list(tensor.shape)
        if ".in_proj_" in source:
            target = target.replace("q_proj", "{q,k,v}_proj")
            shape[0] *= 3
            if "{q,k,v}" not in target:
                continue
        if "text_proj" in source:
            target += "^T"
            shape.reverse()
        lines[source] = (source, target, tuple(shape))
    if not projected:  # diffusers leaves the last block out
        last, next_ = config["num_hidden_layers"] - 1, config["num_hidden_layers"]
        for source, _, shape in list(lines.values()):
            if f".resblocks.{last}." in source:
                source = source.replace(f".resblocks.{last}.", f".resblocks.{next_}.")
                lines[source] = (source, "-", shape)
        lines["projection"] = (prefix + "text_projection", "-", (config["hidden_size"],) * 2)
    return [*lines.values(), (prefix + "logit_scale", "-", ())]


def tiny(model: str, part: str) -> dict:
    config = json.loads((HERE / model / part / "config.json").read_text())
    return {key: value for key, value in config.items() if not key.startswith("_")}


def tiny_lines(model: str) -> list[Line]:
    lines = unet_lines(tiny(model, "unet")) + vae_lines(tiny(model, "vae"))
    for part, (prefix, projected) in TINY[model].items():
        config = tiny(model, part)
        if prefix.endswith(".model."):
            lines += open_clip_lines(prefix, part, config, projected)
        else:
            lines += clip_lines(prefix, part, config)
    return lines


def models() -> dict[str, list[Line]]:
    vae = vae_lines(VAE_CONFIG)
    unets = {name: unet_lines(config) for name, config in UNETS.items()}
    return {
        "sd15": unets["sd15"] + vae + clip_lines("cond_stage_model.", "text_encoder", CLIP),
        "sd21": unets["sd21"] + open_clip_lines("cond_stage_model.model.", "text_encoder", CLIP_H,
                                                projected=False),
        "sdxl": unets["sdxl"] + clip_lines(FIRST, "text_encoder", CLIP)
        + open_clip_lines(SECOND + "model.", "text_encoder_2", CLIP_G, projected=True),
        "refiner": unets["refiner"],
        **{name: tiny_lines(name) for name in TINY},
    }


def front_coded(lines: list[Line]) -> str:
    def shorter(text: str, last: str) -> str:
        kept = len(os.path.commonprefix([text, last]))
        return f"{kept}\t{text[kept:]}"

    text, last = "", ("", "", None)
    for source, target, shape in sorted(lines):
        size = "=" if shape == last[2] else ",".join(map(str, shape))
        text += f"{shorter(source, last[0])}\t{shorter(target, last[1])}\t{size}\n"
        last = (source, target, shape)
    return text


def main() -> None:
    with torch.device("meta"):
        lists = models()
    (HERE / "checkpoint_names").mkdir(exist_ok=True)
    for name, lines in lists.items():
        (HERE / "checkpoint_names" / f"{name}.txt").write_text(front_coded(lines))


if __name__ == "__main__":
    main()
