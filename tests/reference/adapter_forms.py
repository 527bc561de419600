"""The formulas of adapters' forms in float64, for what neither peft nor diffusers merges.

Names are LyCORIS'.  `pieces` are the tensors of one module by the ends of their names, `base` is
its weight; the result is the weight at strength 1 unless a strength is given.
"""

import torch

Pieces = dict[str, torch.Tensor]


def wide(pieces: Pieces) -> Pieces:
    return {name: piece.double() for name, piece in pieces.items()}


def scale(pieces: Pieces, rank: int) -> float:
    return float(pieces["alpha"]) / rank if "alpha" in pieces else 1.0


def low_rank(pieces: Pieces) -> torch.Tensor:
    """Also of a convolution between two of 1x1."""
    up, down = pieces["lora_up.weight"].flatten(1), pieces["lora_down.weight"]
    factor = scale(pieces, len(down))
    if "lora_mid.weight" not in pieces:
        return factor * (up @ down.flatten(1))
    core = pieces["lora_mid.weight"]
    return factor * torch.einsum("oi,ijhw,jc->ochw", up, core, down.flatten(1))


def hadamard(pieces: Pieces) -> torch.Tensor:
    first = pieces["hada_w1_a"] @ pieces["hada_w1_b"]
    second = pieces["hada_w2_a"] @ pieces["hada_w2_b"]
    return scale(pieces, len(pieces["hada_w1_b"])) * first * second


def added(base: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    if "diff" in pieces:
        return base + pieces["diff"]
    if "w_norm" in pieces:
        return base + pieces["w_norm"]
    change = hadamard(pieces) if "hada_w1_a" in pieces else low_rank(pieces)
    return base + change.reshape(base.shape)


def decomposed(base: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """DoRA with a norm for each row, or for each column."""
    weight, norms = added(base, pieces), pieces["dora_scale"]
    kept = 0 if norms.shape[0] > 1 else 1
    axes = [axis for axis in range(base.dim()) if axis != kept]
    return weight * norms / torch.linalg.vector_norm(weight, dim=axes, keepdim=True)


def generalized(base: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """GLoRA; LyCORIS' first files have each pair the other way round."""
    a1, a2, b1, b2 = (pieces[f"{name}.weight"] for name in ("a1", "a2", "b1", "b2"))
    if len(a1) != base.shape[1]:
        a1, a2, b1, b2 = a2, a1, b2, b1
    mixed = torch.einsum("oi...,ir,rj->oj...", base, a1.flatten(1), a2.flatten(1))
    if "bm.weight" in pieces:
        core = pieces["bm.weight"]
        added = torch.einsum("or,rshw,si->oihw", b1.flatten(1), core, b2.flatten(1))
    else:
        added = (b1.flatten(1) @ b2.flatten(1)).reshape(base.shape)
    return base + scale(pieces, len(a2)) * (mixed + added)


def rotations(pieces: Pieces, rows: int) -> torch.Tensor:
    blocks = pieces["oft_blocks"]
    skew = blocks - blocks.transpose(-1, -2)
    constraint = float(pieces.get("alpha", 0)) * rows
    if 0 < constraint < float(skew.norm()):
        skew = skew * constraint / skew.norm()
    identity = torch.eye(blocks.shape[-1], dtype=blocks.dtype)
    return (identity + skew) @ torch.linalg.inv(identity - skew)


def rescaled(weight: torch.Tensor, pieces: Pieces, strength: float) -> torch.Tensor:
    return weight * (1 + strength * (pieces["rescale"] - 1)) if "rescale" in pieces else weight


def rotated(base: torch.Tensor, pieces: Pieces, strength: float) -> torch.Tensor:
    """As kohya's scripts and LyCORIS have it: each block of rows by the transposed rotation."""
    rotation = rotations(pieces, len(base))
    rotation = strength * rotation + (1 - strength) * torch.eye(rotation.shape[-1])
    whole = torch.block_diag(*rotation)
    return rescaled((whole.T @ base.flatten(1)).reshape(base.shape), pieces, strength)


def butterfly(base: torch.Tensor, pieces: Pieces, strength: float) -> torch.Tensor:
    """BOFT: stage i mixes rows that are b / 2 * 2^i apart."""
    rotation = rotations(pieces, len(base))
    rotation = strength * rotation + (1 - strength) * torch.eye(rotation.shape[-1])
    size, weight = rotation.shape[-1], base.flatten(1)
    for stage, blocks in enumerate(rotation):
        apart = size // 2 * 2**stage
        order = torch.arange(len(base)).reshape(-1, 2, apart).transpose(1, 2).flatten()
        mixed = torch.empty_like(weight)
        mixed[order] = torch.block_diag(*blocks) @ weight[order]
        weight = mixed
    return rescaled(weight.reshape(base.shape), pieces, strength)


def with_factors(base: torch.Tensor, pieces: Pieces, strength: float) -> torch.Tensor:
    """IA3, whose factors are of the columns where `on_input` says so."""
    factors = 1 + strength * pieces["weight"].flatten()
    shape = [1] * base.dim()
    shape[1 if pieces["on_input"] else 0] = -1
    return base * factors.reshape(shape)


def merged(base: torch.Tensor, pieces: Pieces, strength: float) -> torch.Tensor:
    base, pieces = base.double(), wide(pieces)
    if "oft_blocks" in pieces:
        turn = rotated if pieces["oft_blocks"].dim() == 3 else butterfly
        return turn(base, pieces, strength)
    if "on_input" in pieces:
        return with_factors(base, pieces, strength)
    if "a1.weight" in pieces:
        return base + strength * (generalized(base, pieces) - base)
    whole = decomposed(base, pieces) if "dora_scale" in pieces else added(base, pieces)
    return base + strength * (whole - base)
