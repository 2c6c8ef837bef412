"""Other names of blocks, one table a contract."""

from __future__ import annotations

from daskpar.aliases.table import SHAPES, Advice, Entry, block_table

_NO_SOFTMAX = Advice(
    "leave it out: softmax_cross_entropy expects the outputs before softmax, and "
    "predict(kind='probabilities') applies it"
)
_NORMALISE = Advice("use standardise (mean 0, variance 1) or scale (from 0 to 1)")

BLOCKS: dict[str, dict[str, Entry]] = {
    "layer": block_table(
        """
        dense: linear fc fully_connected affine
        conv1d: convolution1d
        conv2d: conv convolution convolution2d
        conv_transpose2d: conv2d_transpose conv_transpose deconv deconvolution deconv2d
        max_pool: max_pool1d max_pool2d max_pooling max_pooling1d max_pooling2d
        avg_pool: avg_pool1d avg_pool2d average_pool average_pooling average_pooling1d average_pooling2d
        global_avg_pool: global_average_pool global_average_pooling global_average_pooling1d
        global_avg_pool: global_average_pooling2d global_avg_pool1d global_avg_pool2d
        batch_norm: batch_norm1d batch_norm2d batch_normalization batch_normalisation bn
        layer_norm: layer_normalization layer_normalisation ln
        group_norm: group_normalization group_normalisation gn
        rms_norm: rms_normalization rms_normalisation
        simple_rnn: rnn
        embedding: embed
        learned_positions: positional_embedding position_embedding
        multi_head_attention: attention self_attention mha
        feed_forward: ffn
        transformer_block: transformer transformer_layer transformer_encoder_layer
        spatial_dropout: dropout1d dropout2d spatial_dropout1d spatial_dropout2d
        silu: swish
        pad: zero_padding zero_pad2d zero_padding2d padding
        crop: cropping cropping2d
        reshape: view
        residual: skip
        normalise: normalize normalization
        """,
        softmax=_NO_SOFTMAX,
        log_softmax=_NO_SOFTMAX,
        activation=Advice("an activation is a layer by its own name, e.g. relu"),
        input=SHAPES,
        input_layer=SHAPES,
        random_horizontal_flip={"random_flip": {"horizontal": True, "vertical": False}},
        random_vertical_flip={"random_flip": {"horizontal": False, "vertical": True}},
        time_distributed=Advice("leave it out: dense is applied to each position of a sequence"),
        bidirectional=Advice("a layer runs in one direction; `reverse: true` is the other"),
    ),
    "loss": block_table(
        """
        mean_squared_error: mse l2 squared_error
        mean_absolute_error: mae l1 absolute_error
        huber: smooth_l1
        softmax_cross_entropy: cross_entropy categorical_cross_entropy
        softmax_cross_entropy: sparse_categorical_cross_entropy nll
        softmax_cross_entropy: negative_log_likelihood log_loss ce
        binary_cross_entropy: bce bce_with_logits sigmoid_cross_entropy
        binary_cross_entropy: binary_cross_entropy_with_logits
        """
    ),
    "metric": block_table(
        """
        accuracy: acc accuracy_score categorical_accuracy sparse_categorical_accuracy binary_accuracy
        rmse: root_mean_squared_error
        r2: r2_score r_squared
        top_k: top_k_accuracy top_k_categorical_accuracy
        confusion: confusion_matrix
        """,
        exact_accuracy={"accuracy": {"exact": True}},
        subset_accuracy={"accuracy": {"exact": True}},
        top1="accuracy",
        top3={"top_k": {"k": 3}},
        top5={"top_k": {"k": 5}},
        loss=Advice("leave it out: the loss is always reported"),
        mse=Advice(
            "use rmse, its square root; or loss: mean_squared_error, because the loss is always reported"
        ),
        mae=Advice(
            "use loss: mean_absolute_error, because the loss is always reported; or a function as metric"
        ),
    ),
    "optimizer": block_table(
        """
        sgd: gradient_descent stochastic_gradient_descent
        adam: adam_optimizer
        """,
        momentum=Advice("use sgd: {momentum: 0.9}"),
        nesterov=Advice("use sgd: {momentum: 0.9, nesterov: true}"),
    ),
    "schedule": block_table(
        """
        constant: none const constant_lr
        linear: linear_lr linear_decay
        step: step_lr staircase step_decay
        exponential: exponential_lr exponential_decay
        cosine: cosine_annealing cosine_annealing_lr cosine_decay
        one_cycle: one_cycle_lr
        reduce_on_plateau: reduce_lr_on_plateau plateau
        """
    ),
    "transform": block_table(
        """
        standardise: standardize standard_scaler zscore
        scale: minmax min_max min_max_scaler rescale
        one_hot: one_hot_encoder onehot_encode to_categorical
        labels: label_encoder label
        inputs: input x
        """,
        normalize=_NORMALISE,
        normalise=_NORMALISE,
        normalization=_NORMALISE,
        normalizer=_NORMALISE,
    ),
}

VALUES: dict[str, dict[str, Entry]] = {
    "initialiser": block_table(
        """
        glorot: glorot_uniform xavier xavier_uniform
        he: he_normal kaiming kaiming_normal
        lecun: lecun_normal
        zeros: zero
        """,
        glorot_normal=Advice("use glorot: uniform, with the same variance"),
        xavier_normal=Advice("use glorot: uniform, with the same variance"),
        he_uniform=Advice("use he: normal, with the same variance"),
        kaiming_uniform=Advice("use he: normal, with the same variance"),
        lecun_uniform=Advice("use lecun: normal, with the same variance"),
    ),
    "kind of prediction": block_table(
        """
        probabilities: proba probability probs prob predict_proba softmax
        classes: class labels label
        outputs: logits raw scores decision_function
        """
    ),
}
"""Other names of values that are not blocks."""
