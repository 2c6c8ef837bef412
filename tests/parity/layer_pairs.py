"""Layers and the same in PyTorch. A new pair is a new line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch_functions import (
    F,
    attention,
    batch_norm,
    conv1d,
    conv2d,
    dense,
    feed_forward,
    first,
    last,
    plain,
    pooled,
    recurrent,
    tied,
    torch,
    transformer_block,
    transposed,
)

from daskpar.nn import (
    GELU,
    GRU,
    LSTM,
    AvgPool,
    BatchNorm,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Crop,
    Dense,
    Embedding,
    FeedForward,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    Layer,
    LayerNorm,
    LearnedPositions,
    MaxPool,
    MultiHeadAttention,
    Pad,
    ReLU,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    SimpleRNN,
    Tanh,
    TiedEmbedding,
    TransformerBlock,
)

NOT_IN_PYTORCH = {
    "dropout": "its draws come from another generator",
    "spatial_dropout": "its draws come from another generator",
    "masking": "PyTorch packs sequences instead; the recurrent pairs compare with that",
    "random_flip": "torchvision has it, with draws of its own",
    "random_shift": "torchvision has it, with draws of its own",
    "random_crop": "torchvision has it, with draws of its own",
    "cutout": "torchvision has it, with draws of its own",
    "normalise": "torchvision has it",
    "repeat": "stands for layers, and is none",
    "embed_columns": "its numbers and categories are columns of one array",
}


class Pair(NamedTuple):
    """`words`: examples are integers below this. `lengths`: how many positions of each row go on."""

    name: str
    ours: Layer
    shape: tuple[int, ...]
    theirs: Callable[[Any, Any, Any], Any]
    words: int | None = None
    lengths: tuple[int, ...] | None = None
    training: bool = True


RESIDUAL = Residual((Conv2d(3, padding="same"), ReLU()), shortcut=(Conv2d(3, kernel=1),))
LENGTHS = (5, 3, 1, 4, 5, 2, 1)

PAIRS = [
    Pair("dense", Dense(5), (7,), dense),
    Pair("dense no bias", Dense(3, bias=False), (4,), dense),
    Pair("dense of a sequence", Dense(3), (4, 2), dense),
    Pair("relu", ReLU(), (40,), plain(F.relu)),
    Pair("tanh", Tanh(), (40,), plain(torch.tanh)),
    Pair("sigmoid", Sigmoid(), (40,), plain(torch.sigmoid)),
    Pair("silu", SiLU(), (40,), plain(F.silu)),
    Pair("gelu", GELU(), (40,), plain(lambda x: F.gelu(x, approximate="tanh"))),
    Pair("flatten", Flatten(), (3, 2, 4), plain(lambda x: torch.flatten(x, 1))),
    Pair("reshape", Reshape((4, -1)), (3, 2, 4), plain(lambda x: x.reshape(-1, 4, 6))),
    Pair("pad", Pad((1, 0), 2), (3, 2, 4), plain(lambda x: F.pad(x, (0, 0, 2, 2, 1, 0)))),
    Pair("crop", Crop((1, 0), 2), (3, 5, 4), plain(lambda x: F.pad(x, (0, 0, -2, -2, -1, 0)))),
    Pair("conv1d", Conv1d(4), (6, 3), conv1d()),
    Pair("conv1d strided", Conv1d(4, kernel=2, stride=3, padding=1), (6, 3), conv1d(stride=3, padding=1)),
    Pair("conv1d causal", Conv1d(3, padding="causal", dilation=2), (5, 2), conv1d((4, 0), dilation=2)),
    Pair("conv1d depthwise", Conv1d(8, groups=4, bias=False), (7, 4), conv1d(groups=4)),
    Pair("conv2d", Conv2d(4), (5, 4, 3), conv2d()),
    Pair("conv2d no bias", Conv2d(4, kernel=1, bias=False), (5, 4, 3), conv2d()),
    Pair("conv2d same", Conv2d(3, kernel=(3, 2), padding="same"), (4, 5, 2), conv2d((0, 1, 1, 1))),
    Pair("conv2d strided", Conv2d(3, stride=2, padding=1), (5, 4, 2), conv2d(stride=2, padding=1)),
    Pair("conv2d stride beyond its kernel", Conv2d(2, kernel=1, stride=3), (5, 4, 2), conv2d(stride=3)),
    Pair("conv2d dilated", Conv2d(2, kernel=(2, 3), dilation=(3, 2)), (5, 6, 2), conv2d(dilation=(3, 2))),
    Pair("conv2d in groups", Conv2d(4, groups=2, padding=(0, 1)), (3, 4, 6), conv2d((1, 1), groups=2)),
    Pair("conv2d depthwise", Conv2d(6, groups=3, padding=1), (1, 3, 3), conv2d(padding=1, groups=3)),
    Pair("conv2d of one pixel", Conv2d(3, padding=1), (1, 1, 1), conv2d(padding=1)),
    Pair("conv2d winograd", Conv2d(32, padding=1), (5, 7, 16), conv2d(padding=1)),
    Pair("conv2d winograd valid", Conv2d(16), (8, 3, 32), conv2d()),
    Pair("conv2d winograd one row", Conv2d(16, padding="same"), (1, 9, 16), conv2d(padding=1)),
    Pair("conv_transpose2d", ConvTranspose2d(2, stride=2), (3, 2, 3), transposed((1, 1), stride=2)),
    Pair(
        "conv_transpose2d padded",
        ConvTranspose2d(3, kernel=4, stride=2, padding=1, bias=False),
        (2, 5, 1),
        transposed(stride=2, padding=1),
    ),
    Pair(
        "conv_transpose2d stride beyond its kernel",
        ConvTranspose2d(2, kernel=2, stride=3),
        (1, 3, 2),
        transposed(stride=3, output_padding=1),
    ),
    Pair(
        "conv_transpose2d dilated",
        ConvTranspose2d(2, kernel=2, dilation=2, padding=0),
        (2, 3, 2),
        transposed(dilation=2),
    ),
    Pair("max_pool", MaxPool(), (4, 7, 16), pooled(F.max_pool2d, kernel_size=2)),
    Pair(
        "max_pool overlapping",
        MaxPool(3, stride=2, padding=1),
        (5, 6, 2),
        pooled(F.max_pool2d, kernel_size=3, stride=2, padding=1),
    ),
    Pair(
        "max_pool strided beyond",
        MaxPool((1, 2), stride=(2, 3)),
        (5, 7, 2),
        pooled(F.max_pool2d, kernel_size=(1, 2), stride=(2, 3)),
    ),
    Pair(
        "max_pool sequence", MaxPool(2, padding="same"), (5, 3), pooled(F.max_pool1d, (0, 1), kernel_size=2)
    ),
    Pair("avg_pool", AvgPool((2, 3)), (4, 5, 3), pooled(F.avg_pool2d, kernel_size=(2, 3))),
    Pair(
        "avg_pool padded",
        AvgPool(3, stride=2, padding=1),
        (5, 4, 2),
        pooled(F.avg_pool2d, kernel_size=3, stride=2, padding=1),
    ),
    Pair(
        "avg_pool sequence",
        AvgPool(2, stride=1, padding="same"),
        (5, 3),
        pooled(F.avg_pool1d, (0, 1), value=0.0, kernel_size=2, stride=1),
    ),
    Pair("global_avg_pool", GlobalAvgPool(), (3, 5, 2), plain(lambda x: x.mean((1, 2)))),
    Pair(
        "global_avg_pool masked",
        GlobalAvgPool(),
        (5, 2),
        lambda p, x, mask: (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True),
        lengths=LENGTHS,
    ),
    Pair("batch_norm", BatchNorm(), (5,), batch_norm),
    Pair("batch_norm images", BatchNorm(), (3, 2, 4), batch_norm),
    Pair(
        "batch_norm not training",
        BatchNorm(),
        (3, 2, 4),
        lambda p, x, mask: batch_norm(p, x, mask, False),
        training=False,
    ),
    *(
        Pair(
            f"layer_norm of {features}",
            LayerNorm(),
            (3, features),
            lambda p, x, mask: F.layer_norm(x, x.shape[-1:], p["scale"], p["shift"]),
        )
        for features in (5, 32)
    ),
    *(
        Pair(
            f"group_norm {shape}",
            GroupNorm(2),
            shape,
            lambda p, x, mask: last(F.group_norm(first(x), 2, p["scale"], p["shift"])),
        )
        for shape in [(6,), (1, 5, 4), (3, 5, 4)]
    ),
    Pair("rms_norm", RMSNorm(), (3, 5), lambda p, x, mask: F.rms_norm(x, (5,), p["scale"], 1e-6)),
    Pair("embedding", Embedding(6, 3), (4,), lambda p, x, mask: F.embedding(x, p["weight"]), words=6),
    Pair("tied_embedding", TiedEmbedding(6, 3, layers=(Residual((Dense(3), Tanh())),)), (4,), tied, words=6),
    Pair("learned_positions", LearnedPositions(), (4, 3), lambda p, x, mask: x + p["weight"]),
    *(
        Pair(f"{kind(1).kind} {extra} {lengths is None}", kind(3, **extra), (5, 2), theirs, lengths=lengths)
        for kind, run in [(SimpleRNN, torch.rnn_tanh), (LSTM, torch.lstm), (GRU, torch.gru)]
        for extra in [{}, {"sequences": True}]
        for lengths in (None, LENGTHS)
        for theirs in [recurrent(run, **extra)]
    ),
    Pair("simple_rnn relu", SimpleRNN(3, activation="relu"), (5, 2), recurrent(torch.rnn_relu)),
    Pair("lstm no bias", LSTM(3, bias=False), (5, 2), recurrent(torch.lstm)),
    Pair("gru reverse", GRU(3, True, reverse=True), (5, 2), recurrent(torch.gru, True, True)),
    *(
        Pair(
            f"multi_head_attention {causal} {lengths is None}",
            MultiHeadAttention(2, causal),
            (5, 6),
            attention(2, causal),
            lengths=lengths,
        )
        for causal in (False, True)
        for lengths in (None, LENGTHS)
    ),
    Pair("multi_head_attention no bias", MultiHeadAttention(1, bias=False), (16, 4), attention(1)),
    Pair("feed_forward", FeedForward(), (3, 4), feed_forward),
    *(
        Pair(
            f"transformer_block {causal} {lengths is None}",
            TransformerBlock(2, causal),
            (5, 6),
            transformer_block(2, causal),
            lengths=lengths,
        )
        for causal in (False, True)
        for lengths in (None, LENGTHS)
    ),
    Pair(
        "residual",
        RESIDUAL,
        (4, 5, 2),
        lambda p, x, mask: F.relu(conv2d(padding=1)(p["0"], x, mask)) + conv2d()(p["2"]["0"], x, mask),
    ),
    Pair(
        "sequential",
        Sequential((Dense(4), Tanh(), Dense(2))),
        (3,),
        lambda p, x, mask: dense(p["2"], torch.tanh(dense(p["0"], x, mask)), mask),
    ),
]
