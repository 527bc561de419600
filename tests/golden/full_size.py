"""Makes models of full size without their numbers: configs, and safetensors files with the true
headers, whose data is a hole in the file.  Enough to plan with."""

import json
import math
import shutil
import struct
import sys
from pathlib import Path
from typing import NamedTuple

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "models"
VAE_WIDTHS = [128, 256, 512, 512]
WORDS, TOKENS = 49408, 77

Shapes = dict[str, list[int]]


class Unet(NamedTuple):
    widths: list[int]  # by level
    depths: list[int]  # transformer blocks of each attention, by level; 0: none
    middle: int  # the same in the middle
    context: int
    pooled: int = 0  # width of what is embedded beside the time; 0: nothing

    @property
    def time(self) -> int:
        return 4 * self.widths[0]

    def config(self) -> dict:
        last = len(self.widths) - 1
        down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in self.depths]
        config = {
            "_class_name": "UNet2DConditionModel",
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": self.widths,
            "layers_per_block": 2,
            "down_block_types": down,
            "up_block_types": [name.replace("Down", "Up") for name in reversed(down)],
            "transformer_layers_per_block": [*(max(1, d) for d in self.depths[:last]), self.middle],
            "cross_attention_dim": self.context,
            "attention_head_dim": [width // 64 for width in self.widths],
            "use_linear_projection": True,
            "norm_num_groups": 32,
            "sample_size": 128 if self.pooled else 64,
        }
        if self.pooled:
            config["addition_embed_type"] = "text_time"
            config["addition_time_embed_dim"] = 256
            config["projection_class_embeddings_input_dim"] = self.pooled
        return config


class Text(NamedTuple):
    width: int
    layers: int
    activation: str
    projected: bool = False

    def config(self) -> dict:
        return {
            "architectures": ["CLIPTextModel" + "WithProjection" * self.projected],
            "vocab_size": WORDS,
            "hidden_size": self.width,
            "intermediate_size": 4 * self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.width // 64,
            "max_position_embeddings": TOKENS,
            "hidden_act": self.activation,
            "projection_dim": self.width,
        }


class Model(NamedTuple):
    unet: Unet
    texts: dict[str, Text]
    latent_scale: float
    upcasts: bool = False  # the VAE is not to run in float16


OPEN_CLIP_G = Text(1280, 32, "gelu", projected=True)
MODELS = {
    "sd21": Model(
        Unet([320, 640, 1280, 1280], [1, 1, 1, 0], middle=1, context=1024),
        {"text_encoder": Text(1024, 23, "gelu")},
        latent_scale=0.18215,
    ),
    "sdxl": Model(
        Unet([320, 640, 1280], [0, 2, 10], middle=10, context=2048, pooled=2816),
        {"text_encoder": Text(768, 12, "quick_gelu"), "text_encoder_2": OPEN_CLIP_G},
        latent_scale=0.13025,
        upcasts=True,
    ),
    "sdxl_refiner": Model(
        Unet([384, 768, 1536, 1536], [0, 4, 4, 0], middle=4, context=1280, pooled=2560),
        {"text_encoder_2": OPEN_CLIP_G},
        latent_scale=0.13025,
        upcasts=True,
    ),
}


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    weight = {f"{name}.weight": [outputs, inputs]}
    return weight | ({f"{name}.bias": [outputs]} if bias else {})


def conv(name: str, inputs: int, outputs: int, kernel: int = 3) -> Shapes:
    return {f"{name}.weight": [outputs, inputs, kernel, kernel], f"{name}.bias": [outputs]}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def resnet(name: str, inputs: int, outputs: int, time: int = 0) -> Shapes:
    shapes = norm(f"{name}.norm1", inputs) | conv(f"{name}.conv1", inputs, outputs)
    shapes |= norm(f"{name}.norm2", outputs) | conv(f"{name}.conv2", outputs, outputs)
    if time:
        shapes |= linear(f"{name}.time_emb_proj", time, outputs)
    if inputs != outputs:
        shapes |= conv(f"{name}.conv_shortcut", inputs, outputs, 1)
    return shapes


def transformer(name: str, width: int, context_width: int, depth: int) -> Shapes:
    if depth == 0:
        return {}
    shapes = norm(f"{name}.norm", width)
    shapes |= linear(f"{name}.proj_in", width, width) | linear(f"{name}.proj_out", width, width)
    for block in (f"{name}.transformer_blocks.{i}" for i in range(depth)):
        for i, context in ((1, width), (2, context_width)):
            shapes |= linear(f"{block}.attn{i}.to_q", width, width, False)
            shapes |= linear(f"{block}.attn{i}.to_k", context, width, False)
            shapes |= linear(f"{block}.attn{i}.to_v", context, width, False)
            shapes |= linear(f"{block}.attn{i}.to_out.0", width, width)
        for i in (1, 2, 3):
            shapes |= norm(f"{block}.norm{i}", width)
        shapes |= linear(f"{block}.ff.net.0.proj", width, 8 * width)
        shapes |= linear(f"{block}.ff.net.2", 4 * width, width)
    return shapes


def embedding(name: str, inputs: int, width: int) -> Shapes:
    return linear(f"{name}.linear_1", inputs, width) | linear(f"{name}.linear_2", width, width)


def unet(net: Unet) -> Shapes:
    first, last = net.widths[0], len(net.widths) - 1
    shapes = conv("conv_in", 4, first) | conv("conv_out", first, 4) | norm("conv_norm_out", first)
    shapes |= embedding("time_embedding", first, net.time)
    if net.pooled:
        shapes |= embedding("add_embedding", net.pooled, net.time)
    skips, width = [first], first
    for level, (out, depth) in enumerate(zip(net.widths, net.depths, strict=True)):
        name = f"down_blocks.{level}"
        for layer in range(2):
            shapes |= resnet(f"{name}.resnets.{layer}", width, out, net.time)
            shapes |= transformer(f"{name}.attentions.{layer}", out, net.context, depth)
            width = out
            skips.append(out)
        if level < last:
            shapes |= conv(f"{name}.downsamplers.0.conv", out, out)
            skips.append(out)
    for layer in range(2):
        shapes |= resnet(f"mid_block.resnets.{layer}", width, width, net.time)
    shapes |= transformer("mid_block.attentions.0", width, net.context, net.middle)
    for level, (out, depth) in enumerate(zip(net.widths[::-1], net.depths[::-1], strict=True)):
        name = f"up_blocks.{level}"
        for layer in range(3):
            shapes |= resnet(f"{name}.resnets.{layer}", width + skips.pop(), out, net.time)
            shapes |= transformer(f"{name}.attentions.{layer}", out, net.context, depth)
            width = out
        if level < last:
            shapes |= conv(f"{name}.upsamplers.0.conv", out, out)
    return shapes


def vae_middle(name: str, width: int) -> Shapes:
    shapes = norm(f"{name}.attentions.0.group_norm", width)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        shapes |= linear(f"{name}.attentions.0.{part}", width, width)
    for layer in range(2):
        shapes |= resnet(f"{name}.resnets.{layer}", width, width)
    return shapes


def vae_half(name: str, widths: list[int], layers: int, sampler: str) -> Shapes:
    shapes, width = {}, widths[0]
    for level, out in enumerate(widths):
        for layer in range(layers):
            shapes |= resnet(f"{name}.{level}.resnets.{layer}", width, out)
            width = out
        if level < 3:
            shapes |= conv(f"{name}.{level}.{sampler}.0.conv", out, out)
    return shapes


def vae() -> Shapes:
    first, last = VAE_WIDTHS[0], VAE_WIDTHS[-1]
    shapes = conv("encoder.conv_in", 3, first) | conv("encoder.conv_out", last, 8)
    shapes |= norm("encoder.conv_norm_out", last) | vae_middle("encoder.mid_block", last)
    shapes |= vae_half("encoder.down_blocks", VAE_WIDTHS, 2, "downsamplers")
    shapes |= conv("decoder.conv_in", 4, last) | conv("decoder.conv_out", first, 3)
    shapes |= norm("decoder.conv_norm_out", first) | vae_middle("decoder.mid_block", last)
    shapes |= vae_half("decoder.up_blocks", VAE_WIDTHS[::-1], 3, "upsamplers")
    return shapes | conv("quant_conv", 8, 8, 1) | conv("post_quant_conv", 4, 4, 1)


def vae_config(model: Model) -> dict:
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "block_out_channels": VAE_WIDTHS,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "scaling_factor": model.latent_scale,
        "force_upcast": model.upcasts,
    }


def text_encoder(net: Text) -> Shapes:
    width = net.width
    shapes = {"text_model.embeddings.token_embedding.weight": [WORDS, width]}
    shapes |= {"text_model.embeddings.position_embedding.weight": [TOKENS, width]}
    for name in (f"text_model.encoder.layers.{i}" for i in range(net.layers)):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{name}.self_attn.{part}", width, width)
        shapes |= norm(f"{name}.layer_norm1", width) | norm(f"{name}.layer_norm2", width)
        shapes |= linear(f"{name}.mlp.fc1", width, 4 * width)
        shapes |= linear(f"{name}.mlp.fc2", 4 * width, width)
    if net.projected:
        shapes |= linear("text_projection", width, width, False)
    return shapes | norm("text_model.final_layer_norm", width)


def write_part(folder: Path, file: str, config: dict, shapes: Shapes) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_tensors(folder / file, shapes)


def write_tensors(file: Path, shapes: Shapes) -> None:
    """Float16 tensors one after the other, of which only the header takes room."""
    header, end = {}, 0
    for name, shape in sorted(shapes.items()):
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + end)


def make_lora(name: str, target: Path, rank: int = 16) -> None:
    """A LoRA of the attention in one of MODELS' UNets, in the spelling of kohya's scripts."""
    shapes: Shapes = {}
    for weight, shape in unet(MODELS[name].unet).items():
        if ".attn" in weight and weight.endswith(".weight"):
            outputs, inputs = shape[:2]
            module = "lora_unet_" + weight.removesuffix(".weight").replace(".", "_")
            shapes[f"{module}.lora_down.weight"] = [rank, inputs]
            shapes[f"{module}.lora_up.weight"] = [outputs, rank]
    write_tensors(target, shapes)


def make(name: str, target: Path) -> None:
    """One of MODELS; tokenizers and scheduler are the bundled tiny model's."""
    model, tiny = MODELS[name], EXAMPLES / f"tiny-{name.split('_')[0]}"
    weights = "diffusion_pytorch_model.safetensors"
    write_part(target / "unet", weights, model.unet.config(), unet(model.unet))
    write_part(target / "vae", weights, vae_config(model), vae())
    for part, net in model.texts.items():
        write_part(target / part, "model.safetensors", net.config(), text_encoder(net))
        tokenizer = part.replace("text_encoder", "tokenizer")
        shutil.copytree(tiny / tokenizer, target / tokenizer)
    shutil.copytree(tiny / "scheduler", target / "scheduler")
    shutil.copy(tiny / "model_index.json", target)


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
