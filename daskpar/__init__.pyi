"""The public names, each imported from its module when it is first used."""

from . import callbacks as callbacks, data as data, nn as nn, optim as optim
from .callbacks import (
    Callback as Callback,
    EarlyStopping as EarlyStopping,
    progress as progress,
)
from .cluster import (
    ClusterKind as ClusterKind,
    open_client as open_client,
)
from .data import (
    Arrow as Arrow,
    Csv as Csv,
    Digits as Digits,
    Images as Images,
    Inputs as Inputs,
    Mnist as Mnist,
    Npy as Npy,
    Npz as Npz,
    OneHot as OneHot,
    Parquet as Parquet,
    Scale as Scale,
    Source as Source,
    Standardise as Standardise,
    Text as Text,
    Zarr as Zarr,
)
from .data.categories import (
    NumberLabels as NumberLabels,
)
from .data.encode import (
    Encode as Encode,
)
from .data.fitted import (
    Fitted as Fitted,
    Transform as Transform,
)
from .data.impute import (
    Impute as Impute,
)
from .errors import (
    ClusterLostError as ClusterLostError,
    ClusterStartError as ClusterStartError,
    InputError as InputError,
    NotFiniteError as NotFiniteError,
)
from .estimators import (
    NeuralClassifier as NeuralClassifier,
    NeuralRegressor as NeuralRegressor,
)
from .layout.layout import (
    Layout as Layout,
)
from .nn import (
    AUC as AUC,
    F1 as F1,
    GELU as GELU,
    GRU as GRU,
    LSTM as LSTM,
    R2 as R2,
    RMSE as RMSE,
    Accuracy as Accuracy,
    AvgPool as AvgPool,
    BatchNorm as BatchNorm,
    BinaryCrossEntropy as BinaryCrossEntropy,
    Confusion as Confusion,
    Context as Context,
    Conv1d as Conv1d,
    Conv2d as Conv2d,
    ConvTranspose2d as ConvTranspose2d,
    Crop as Crop,
    Cutout as Cutout,
    Dense as Dense,
    Dropout as Dropout,
    EmbedColumns as EmbedColumns,
    Embedding as Embedding,
    FeedForward as FeedForward,
    Flatten as Flatten,
    FunctionLoss as FunctionLoss,
    FunctionMetric as FunctionMetric,
    GlobalAvgPool as GlobalAvgPool,
    GroupNorm as GroupNorm,
    Huber as Huber,
    Layer as Layer,
    LayerNorm as LayerNorm,
    LearnedPositions as LearnedPositions,
    LogLoss as LogLoss,
    Loss as Loss,
    Masking as Masking,
    MaxPool as MaxPool,
    MeanAbsoluteError as MeanAbsoluteError,
    MeanSquaredError as MeanSquaredError,
    Metric as Metric,
    MultiHeadAttention as MultiHeadAttention,
    Normalise as Normalise,
    Pad as Pad,
    ParameterTable as ParameterTable,
    Perplexity as Perplexity,
    Precision as Precision,
    RandomCrop as RandomCrop,
    RandomFlip as RandomFlip,
    RandomShift as RandomShift,
    Recall as Recall,
    ReLU as ReLU,
    Repeat as Repeat,
    Reshape as Reshape,
    Residual as Residual,
    RMSNorm as RMSNorm,
    Sequential as Sequential,
    Sigmoid as Sigmoid,
    SiLU as SiLU,
    SimpleRNN as SimpleRNN,
    SoftmaxCrossEntropy as SoftmaxCrossEntropy,
    SpatialDropout as SpatialDropout,
    Tanh as Tanh,
    TiedEmbedding as TiedEmbedding,
    TopK as TopK,
    TransformerBlock as TransformerBlock,
    check_layer as check_layer,
    check_loss as check_loss,
)
from .optim import (
    LAMB as LAMB,
    LARS as LARS,
    SGD as SGD,
    Adagrad as Adagrad,
    Adam as Adam,
    AdamW as AdamW,
    Clip as Clip,
    Constant as Constant,
    Cosine as Cosine,
    Exponential as Exponential,
    Linear as Linear,
    OneCycle as OneCycle,
    Optimizer as Optimizer,
    Penalty as Penalty,
    ReduceOnPlateau as ReduceOnPlateau,
    RMSProp as RMSProp,
    Schedule as Schedule,
    Step as Step,
    Tensors as Tensors,
)
from .registry import (
    register as register,
)
from .train import (
    Ensemble as Ensemble,
    Trainer as Trainer,
    load as load,
)
from .train.history_list import (
    History as History,
)
from .train.learning_rate import (
    find_learning_rate as find_learning_rate,
)

__version__: str
