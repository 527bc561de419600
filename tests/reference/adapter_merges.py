"""The weights that a model has with an adapter, by "part/weight" for those that change."""

import copy
from pathlib import Path
from tempfile import TemporaryDirectory

import adapter_forms
import torch
from adapter_names import Modules, Tensors
from peft import PeftConfig, get_peft_model
from peft.tuners.boft import layer as boft_layer
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from tensors import gaussian

PARTS = ("unet", "text_encoder", "text_encoder_2")


def canonical(part: str, name: str) -> str:
    """With the prefix that transformers 5 leaves out."""
    bare = part.startswith("text") and not name.startswith("text_")
    return f"{part}/text_model.{name}" if bare else f"{part}/{name}"


def parts_of(pipe) -> dict[str, torch.nn.Module]:
    return {part: getattr(pipe, part) for part in PARTS if getattr(pipe, part, None) is not None}


def weights(pipe) -> Tensors:
    return {canonical(part, name): tensor for part, module in parts_of(pipe).items()
            for name, tensor in module.state_dict().items()}


def changed(base: Tensors, merged: Tensors) -> Tensors:
    return {name: merged[name].detach().clone() for name in sorted(base)
            if not torch.equal(merged[name], base[name])}


def by_diffusers(pipe, tensors: Tensors, metadata: dict[str, str], strength: float) -> Tensors:
    """Leaves the pipe as it was."""
    base = {name: tensor.clone() for name, tensor in weights(pipe).items()}
    with TemporaryDirectory() as folder:
        save_file(tensors, Path(folder) / "adapter.safetensors", metadata)
        pipe.load_lora_weights(folder, weight_name="adapter.safetensors")
    pipe.fuse_lora(lora_scale=strength)
    pipe.unload_lora_weights()
    result = changed(base, weights(pipe))
    for part, module in parts_of(pipe).items():
        module.load_state_dict({name: base[canonical(part, name)] for name in module.state_dict()})
    return result


class BlockDiagonal:
    """What PEFT has a CUDA kernel for, without which it does only one stage of BOFT."""

    @staticmethod
    def apply(rotations: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.block_diag(*blocks) for blocks in rotations])


boft_layer.FastBlockDiag, boft_layer.get_fbd_cuda = BlockDiagonal, lambda: True


def by_peft(pipe, part: str, config: PeftConfig, seed: int) -> tuple[Tensors, Tensors]:
    """The adapter's tensors under PEFT's names, drawn at random, and the weights."""
    network = copy.deepcopy(getattr(pipe, part))
    base = {canonical(part, name): tensor for name, tensor in network.state_dict().items()}
    model = get_peft_model(copy.deepcopy(network), config)
    drawn = [(name, parameter) for name, parameter in sorted(model.named_parameters())
             if any(word in name for word in ("lora_", "hada_", "lokr_", "oft_", "ia3_"))]
    for offset, (name, parameter) in enumerate(drawn):
        noise = gaussian(tuple(parameter.shape), seed * 100 + offset)
        factors = any(word in name for word in ("magnitude", "boft_s", "ia3_"))
        parameter.data = parameter.data * (1 + 0.3 * noise) if factors else 0.3 * noise
    tensors = {name: tensor.clone() for name, tensor in get_peft_model_state_dict(model).items()}
    merged = model.merge_and_unload().state_dict()
    return tensors, changed(base, {canonical(part, name): t for name, t in merged.items()})


def by_formula(pipe, modules: Modules, strength: float) -> Tensors:
    base, result = weights(pipe), {}
    for module, pieces in modules.items():
        for end in {"diff_b", "b_norm"} & pieces.keys():
            bias = base[f"{module}.bias"].double() + strength * pieces[end]
            result[f"{module}.bias"] = bias.float()
        weight = adapter_forms.merged(base[f"{module}.weight"], pieces, strength)
        result[f"{module}.weight"] = weight.float()
    return result
