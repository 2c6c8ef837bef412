"""Other names of arguments of blocks, and of keywords of a Trainer."""

from __future__ import annotations

from daskpar.aliases.table import SHAPES, Advice, argument_table

_ARGUMENTS = """
units: out_features output_dim out_dim output_size hidden_size hidden_units num_units n_units neurons nodes
channels: filters out_channels num_filters
kernel: kernel_size filter_size
size: pool_size kernel_size
stride: strides
rate: p drop drop_rate dropout_rate dropout prob probability
words: num_embeddings vocab_size vocabulary_size input_dim num_tokens
features: embedding_dim output_dim embed_dim dim
heads: num_heads n_heads nhead
groups: num_groups
bias: use_bias
epsilon: eps
sequences: return_sequences
remat: checkpoint gradient_checkpointing
init_weight: kernel_initializer weight_init initializer initialiser init
init_bias: bias_initializer bias_init
times: n repeat count
lr: learning_rate eta step_size
beta1: beta_1
beta2: beta_2
weight_decay: decay l2 wd
momentum: mu
decay: alpha rho
label_smoothing: smoothing
class_weights: weight weights class_weight
delta: beta threshold
k: n top
warmup: warmup_steps num_warmup_steps n_warmup
every: step_size decay_steps interval
factor_each: gamma factor decay_rate
floor: eta_min min_lr end_lr alpha
peak_at: pct_start
monitor: metric watch
restore: restore_best_weights restore_best
min_delta: threshold tolerance tol
data: data_parallel dp workers n_workers num_workers
stages: pipeline_parallel pp
width: tensor_parallel tp model_parallel
sequence: context_parallel sequence_parallel cp
tiles: spatial_parallel
shards: zero fsdp
microbatches: micro_batches num_microbatches
norm: max_norm clip_norm
value: clip_value max_value
"""

_SETTINGS = """
model: layers module net network estimator
loss: criterion loss_fn loss_function objective
optimizer: optim optimiser
metrics: metric scoring
schedule: scheduler lr_scheduler lr_schedule learning_rate_schedule
batch: batch_size batchsize bs minibatch rows
epochs: max_epochs n_epochs num_epochs nb_epochs epoch
steps: max_steps n_steps num_steps max_iter iterations
learning_rate: lr eta learning_rate_init
seed: random_state random_seed rng
precision: dtype
callbacks: callback
folder: dir path log_dir checkpoint_dir output_dir run_dir
transforms: transform preprocessing scaler
targets: target_transforms target_transform
clip: gradient_clip clip_grad grad_clip clip_norm gradient_clip_val
penalty: regularisation regularization regularizer regulariser
accumulate: accumulate_grad_batches gradient_accumulation_steps
layout: parallelism strategy parallel
client: cluster dask_client
blas_threads: num_threads threads n_jobs
validation: validation_data validation_split val_data eval_set X_val
"""


_AFTER = Advice('an activation is a layer; write it after this one, e.g. {"dense": 64}, "relu"')
_MEANS = Advice("leave it out: losses are means over the examples of a batch")
_BETAS = Advice("write beta1 and beta2")
_SHUFFLE = Advice('write distribution="random" (shuffled) or distribution="uniform" (as the rows are)')
_DEVICE = Advice('it depends on the workers; open a cluster with GPUs: open_client("cuda")')
_VALIDATION = Advice("it belongs to fit: fit(X, y, validation=(X_val, y_val)), or a share, validation=0.1")

ARGUMENTS = argument_table(
    _ARGUMENTS,
    activation=_AFTER,
    nonlinearity=_AFTER,
    in_features=SHAPES,
    in_channels=SHAPES,
    input_shape=SHAPES,
    input_size=SHAPES,
    num_features=SHAPES,
    normalized_shape=SHAPES,
    betas=_BETAS,
    reduction=_MEANS,
    from_logits=Advice("leave it out: losses expect the outputs before softmax or sigmoid"),
)
"""Arguments of blocks."""

SETTINGS = argument_table(
    _SETTINGS,
    shuffle=_SHUFFLE,
    device=_DEVICE,
    momentum=Advice('it belongs to the optimizer: optimizer={"sgd": {"momentum": 0.9}}'),
    weight_decay=Advice('it belongs to the optimizer: optimizer={"adamw": {"weight_decay": 0.01}}'),
    early_stopping=Advice("write callbacks=EarlyStopping(), or in a config train.early_stopping"),
    patience=Advice("it belongs to a callback: callbacks=EarlyStopping(patience=5)"),
    validation=_VALIDATION,
    validation_data=_VALIDATION,
    validation_split=_VALIDATION,
    val_data=_VALIDATION,
    eval_set=_VALIDATION,
)
"""Keywords of a Trainer and arguments of its methods."""
