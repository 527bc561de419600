"""How trainers spell the tensors of an adapter.

`modules`: by "part/module", with diffusers' names and a text encoder's `text_model.`, the module's
tensors by the ends that kohya's scripts and LyCORIS give their names.
"""

import torch
from ldm_names import open_clip_name, unet_name

Tensors = dict[str, torch.Tensor]
Modules = dict[str, Tensors]
KOHYA = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
KOHYA_SDXL = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
HALVES = {"lora_down.weight": "down", "lora_up.weight": "up"}
OLD_TEXT = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


def spelled(modules: Modules, name) -> Tensors:
    return {f"{name(*key.split('/'))}.{end}": tensor
            for key, pieces in modules.items() for end, tensor in pieces.items()}


def kohya(modules: Modules, prefixes: dict[str, str] = KOHYA) -> Tensors:
    return spelled(modules, lambda part, module: prefixes[part] + module.replace(".", "_"))


def sgm(modules: Modules, layers: int, attending: set[int]) -> Tensors:
    """SDXL's trainers keep the UNet of the single file."""
    def name(part: str, module: str) -> str:
        if part == "unet":
            module = unet_name(f"{module}.weight", layers, attending).removesuffix(".weight")
        return KOHYA_SDXL[part] + module.replace(".", "_")

    return spelled(modules, name)


def open_clip(modules: Modules) -> Tensors:
    """Of the second encoder; three projections are one module."""
    def name(part: str, module: str) -> str:
        source = open_clip_name(f"{module}.weight")
        return "lora_te2_" + source.removesuffix("weight").rstrip("._").replace(".", "_")

    return spelled(modules, name)


def peft(modules: Modules, adapter: str = "") -> Tensors:
    halves = {"lora_down.weight": "lora_A", "lora_up.weight": "lora_B"}
    return {f"{key.replace('/', '.')}.{halves[end]}{adapter}.weight": tensor
            for key, pieces in modules.items() for end, tensor in pieces.items()}


def older_diffusers(modules: Modules) -> Tensors:
    """Before PEFT: a UNet's modules as they are now, a text encoder's with another end."""
    layer = {"unet": "lora", "text_encoder": "lora_linear_layer"}
    return {f"{key.replace('/', '.')}.{layer[key.split('/')[0]]}.{HALVES[end]}.weight": tensor
            for key, pieces in modules.items() for end, tensor in pieces.items()}


def oldest_diffusers(modules: Modules) -> Tensors:
    """Adapters of attention hang below a processor, and both networks have the same names."""
    def name(key: str) -> str:
        scope, _, projection = key.replace("/", ".").removesuffix(".0").rpartition(".")
        below = "processor." if key.startswith("unet") else ""
        return f"{scope}.{below}{OLD_TEXT.get(projection, projection)}_lora"

    return {f"{name(key)}.{HALVES[end]}.weight": tensor
            for key, pieces in modules.items() for end, tensor in pieces.items()}
