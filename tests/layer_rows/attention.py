"""Embeddings, attention, and the blocks of transformers."""

from daskpar.nn import Dense, Residual, Tanh
from daskpar.nn.layers.attention import MultiHeadAttention
from daskpar.nn.layers.embedding import Embedding
from daskpar.nn.layers.layer_norm import LayerNorm
from daskpar.nn.layers.learned_positions import LearnedPositions
from daskpar.nn.layers.tied_embedding import TiedEmbedding
from daskpar.nn.layers.transformer import FeedForward, TransformerBlock
from layer_rows.row import Row

TIED = TiedEmbedding(5, 4, layers=(LearnedPositions(), TransformerBlock(2), LayerNorm()))

ROWS = [
    Row("dense of a sequence", Dense(3), (4, 2)),
    Row("layer_norm", LayerNorm(), (6,)),
    Row("layer_norm sequence", LayerNorm(1e-3), (3, 5)),
    Row("layer_norm image", LayerNorm(), (2, 3, 4)),
    Row("embedding", Embedding(6, 3), (4,), words=6),
    Row("embedding of numbers", Embedding(3, 2, padding=0), (), words=3),
    Row("embedding of images", Embedding(4, 2, init_weight="lecun"), (2, 3), words=4),
    Row("tied_embedding", TiedEmbedding(6, 3, layers=(Residual((Dense(3), Tanh())),)), (4,), words=6),
    Row("tied_embedding language model", TIED, (3,), words=5),
    Row("tied_embedding padded", TiedEmbedding(5, 4, 0, layers=(TransformerBlock(2),)), (3,), words=5),
    Row("learned_positions", LearnedPositions(), (4, 3)),
    Row("multi_head_attention", MultiHeadAttention(2), (4, 6)),
    Row("multi_head_attention causal", MultiHeadAttention(2, causal=True), (5, 4)),
    Row("multi_head_attention rotary", MultiHeadAttention(2, causal=True, rotary=True), (4, 8)),
    Row("multi_head_attention dropout", MultiHeadAttention(1, dropout=0.3), (4, 3)),
    Row("multi_head_attention no bias", MultiHeadAttention(3, bias=False, init_weight="glorot"), (1, 3)),
    Row("feed_forward", FeedForward(), (3, 4)),
    Row("feed_forward relu", FeedForward(2, "relu", "he"), (5,)),
    Row("transformer_block", TransformerBlock(2, dropout=0.2), (4, 6)),
    Row(
        "transformer_block rms", TransformerBlock(2, False, True, norm="rms_norm", activation="silu"), (3, 4)
    ),
    Row("transformer_block remat", TransformerBlock(2, dropout=0.2, remat=True), (4, 6)),
]
