"""Writes a pipeline as a folder, in the different file layouts that published models have."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from diffusers import StableDiffusionPipeline
from recipes import Recipe
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

# Old repositories hold the VAE's attention under these names; newer ones under the others.
OLD_ATTENTION_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def added_token(content: str) -> dict[str, object]:
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False,
            "single_word": False}


def write_old_tokenizer(folder: Path, vocab: Path, pad_token: str, published: bool) -> None:
    """vocab.json and merges.txt, which transformers 5 still reads but no longer writes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("vocab.json", "merges.txt"):
        if (vocab / name).resolve() != (folder / name).resolve():
            shutil.copyfile(vocab / name, folder / name)
    form = added_token if published else str
    tokens = {"bos_token": form("<|startoftext|>"), "eos_token": form("<|endoftext|>"),
              "unk_token": form("<|endoftext|>"), "pad_token": pad_token}
    typed = {key: {"__type": "AddedToken", **value} if isinstance(value, dict) else value
             for key, value in tokens.items()}
    write_json(folder / "tokenizer_config.json",
               {"add_prefix_space": False, "do_lower_case": True, "errors": "replace",
                "model_max_length": 77, "tokenizer_class": "CLIPTokenizer", **typed})
    if published:
        write_json(folder / "special_tokens_map.json", tokens)


def rename_tensors(path: Path, rename, extra: dict[str, torch.Tensor] | None = None) -> None:
    tensors = {rename(name): tensor for name, tensor in load_file(path).items()}
    save_file({**tensors, **(extra or {})}, path, metadata={"format": "pt"})


def old_attention_name(name: str) -> str:
    if ".attentions." not in name:
        return name
    for new, old in OLD_ATTENTION_NAMES.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


def save_sd15(pipe: StableDiffusionPipeline, folder: Path) -> None:
    for part in ("text_encoder", "unet", "vae"):
        getattr(pipe, part).half().save_pretrained(folder / part)
    rename_tensors(folder / "text_encoder" / "model.safetensors", lambda name: f"text_model.{name}",
                   {"text_model.embeddings.position_ids": torch.arange(77).unsqueeze(0)})
    rename_tensors(folder / "vae" / "diffusion_pytorch_model.safetensors", old_attention_name)


def save_sd21_base(pipe: StableDiffusionPipeline, folder: Path) -> None:
    pipe.text_encoder.save_pretrained(folder / "text_encoder")  # the one in float32
    pipe.vae.half().save_pretrained(folder / "vae")
    pipe.unet.half().save_pretrained(folder / "unet", max_shard_size="200KB")


def save_sd21_v(pipe: StableDiffusionPipeline, folder: Path) -> None:
    pipe.text_encoder.half().save_pretrained(folder / "text_encoder")
    for part in ("unet", "vae"):
        getattr(pipe, part).half().save_pretrained(folder / part, variant="fp16")


SAVERS = {"sd15_like": save_sd15, "sd21_base_like": save_sd21_base, "sd21_v_like": save_sd21_v}


def make_tokenizer(recipe: Recipe, folder: Path, vocab: Path) -> CLIPTokenizer:
    """Writes the tokenizer's files and loads them, so that the files decide what it does."""
    tokenizer = folder / "tokenizer"
    if recipe.name == "sd21_base_like":
        with TemporaryDirectory() as old:
            write_old_tokenizer(Path(old), vocab, recipe.pad_token, published=False)
            CLIPTokenizer.from_pretrained(old).save_pretrained(tokenizer)
    else:
        write_old_tokenizer(tokenizer, vocab, recipe.pad_token, recipe.name == "sd15_like")
    return CLIPTokenizer.from_pretrained(tokenizer)


def add_clip_sample(path: Path) -> None:
    """Published PNDM files hold this key for the sake of DDIM, which would clip without it."""
    write_json(path, {**json.loads(path.read_text()), "clip_sample": False})


def save(pipe: StableDiffusionPipeline, recipe: Recipe, folder: Path) -> None:
    SAVERS[recipe.name](pipe, folder)
    pipe.scheduler.save_pretrained(folder / "scheduler")
    add_clip_sample(folder / "scheduler" / "scheduler_config.json")
    pipe.save_config(folder)


def load(folder: Path, variant: str | None) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(folder, variant=variant,
                                                   dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe
