"""Gradients whose squares are beyond float32: clipped to the right norm, or told."""

import numpy as np
import pytest

from daskpar import Clip, InputError, Layout, NotFiniteError, Trainer
from daskpar.nn import Context
from daskpar.nn.layers.group_norm import GroupNorm
from daskpar.nn.layers.layer_norm import LayerNorm
from daskpar.nn.layers.rms_norm import RMSNorm
from daskpar.optim.layerwise import LAMB, LARS
from daskpar.optim.optimizer import Tensors

BASE = np.random.default_rng(0).uniform(0.5, 1.5, (64, 3))
LAYOUTS = {
    "step": Layout(),
    "layer": Layout(grain="layer"),
    "window": Layout(grain="window"),
    "lanes": Layout(data=4),
    "shards": Layout(data=2, shards=2),
    "micro-batches": Layout(microbatches=4),
    "servers": Layout(data=2, update="stale"),
    "stage": Layout(grain="stage"),
}


def weights(scale, **how):
    """The weights after training from zero, and the mean gradient of the first step."""
    model = [{"dense": {"units": 1, "bias": False, "init_weight": "zeros"}}]
    x = (BASE * scale).astype("float32")
    how = {"optimizer": {"sgd": 0.1}, "batch": 64, "steps": 1, "client": "threaded-scheduler", **how}
    trained = Trainer(model, loss="mean_absolute_error", **how).fit(x, np.ones(64, "float32"))
    return trained.parameters_["0.weight"][:, 0], x.astype("float64").mean(0)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("scale", [1, 3e19, 1e30, 1e-25])
def test_clipped_to_the_norm(scale, layout):
    norm = min(1.0, scale)  # small ones are clipped, too
    moved, mean = weights(scale, clip=Clip(norm=norm), layout=layout)
    np.testing.assert_allclose(moved, 0.1 * norm * mean / np.linalg.norm(mean), rtol=1e-4)


@pytest.mark.parametrize("norm", [1e-5, 1e-8, 1e-15])
def test_clipped_to_a_small_norm(norm):
    """The factor itself is below what float32 has."""
    moved, mean = weights(1e36, clip=Clip(norm=norm))
    np.testing.assert_allclose(moved, 0.1 * norm * mean / np.linalg.norm(mean), rtol=1e-4)


@pytest.mark.parametrize("value", [1e20, 1e35])
def test_each_element_and_then_the_norm(value):
    moved, _ = weights(1e36, clip=Clip(value=value, norm=2.0))
    np.testing.assert_allclose(moved, np.full(3, 0.1 * 2 / np.sqrt(3)), rtol=1e-4)


SIZES = [("float32", (-20, 0, 20, 37)), ("float64", (-40, -20, 0, 20, 37, 200))]


@pytest.mark.parametrize("precision, exponent", [(p, e) for p, exponents in SIZES for e in exponents])
def test_size_of_a_gradient(precision, exponent):
    gradient = np.array([3, 0, -4], precision) * np.array(10.0**exponent, precision)
    assert Clip(norm=1.0).size(gradient) == pytest.approx(5 * 10.0**exponent, rel=1e-6)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(stages=2, microbatches=2),
        Layout(stages=2, shards=2, data=2),
        Layout(width=2),
        Layout(data=2, grain="window"),
        Layout(data=2, shards=2, grain="layer"),
        Layout(stages=2, microbatches=4, recompute=True),
    ],
    ids=["stages", "stages and shards", "width", "window", "layers and shards", "recompute"],
)
@pytest.mark.parametrize("scale", [1e20, 1e30])
def test_a_norm_of_several_parts(layout, scale):
    """With targets of 0 a gradient is in proportion to the examples, so that clipping gives one step."""
    model = [{"dense": {"units": 4, "bias": False}}, "relu", {"dense": {"units": 1, "bias": False}}]
    how = {"optimizer": {"sgd": 1.0}, "batch": 64, "steps": 1, "client": "threaded-scheduler"}
    ends = []
    for factor, cut in ((1, Layout()), (scale, layout)):
        trained = Trainer(model, loss="mean_absolute_error", clip=Clip(norm=0.01), layout=cut, **how)
        parameters = trained.fit((BASE * factor).astype("float32"), np.zeros(64, "float32")).parameters_
        ends.append(np.concatenate([value.ravel() for value in parameters.values()]))
    np.testing.assert_allclose(*ends, atol=1e-6)


@pytest.mark.parametrize("scale", [1, 1e20, 1e30, 1e-30])
def test_clipped_to_the_norm_in_half_precision(scale):
    """Between lanes, where each half has ten bits."""
    norm = min(1.0, scale)
    moved, mean = weights(scale, clip=Clip(norm=norm), layout=Layout(data=2, compression="float16"))
    np.testing.assert_allclose(moved, 0.1 * norm * mean / np.linalg.norm(mean), rtol=2e-3)


@pytest.mark.parametrize("limits", [{"norm": 1.0}, {"value": 1.0}, {"value": 1.0, "norm": 1.0}], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_told(bad, limits):
    gradient = np.array([1, bad], "float32")
    with pytest.raises(NotFiniteError, match="gradient is"):
        Clip(**limits).apply(gradient)
    np.testing.assert_array_equal(gradient, np.array([1, bad], "float32"))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("limits", [{"norm": 1.0}, {"value": 1.0}], ids=str)
def test_the_step_and_the_parameter_are_named(layout, limits):
    """The sum of 64 gradients of 1e38 is beyond float32, though their mean is not."""
    with pytest.raises(NotFiniteError, match=r"step 0: .* that of parameter 0\.weight is not finite; lower"):
        weights(1e38, clip=Clip(**limits), layout=layout)


def test_nothing_to_clip():
    gradient = np.zeros(3, "float32")
    Clip(norm=1.0).apply(gradient)
    assert not gradient.any() and Clip(norm=1.0).size(gradient) == 0.0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adagrad", "rmsprop"])
@pytest.mark.parametrize("layout", [Layout(), Layout(data=2, shards=2), Layout(grain="window")])
def test_slots_that_overflow_are_told(optimizer, layout):
    with pytest.raises(NotFiniteError, match=r"step 3: the optimizer's \w+ of 0\.weight is not finite"):
        weights(1e20, optimizer={optimizer: 0.1}, steps=3, layout=layout)


@pytest.mark.parametrize("layout", [Layout(data=2, update=kind) for kind in ("stale", "async")])
def test_slots_of_servers_are_told(layout):
    with pytest.raises(NotFiniteError, match=r"the optimizer's square_mean of 0\.weight is not finite"):
        weights(1e20, optimizer={"adam": 0.1}, steps=3, layout=layout)


@pytest.mark.parametrize(
    "rule, scale",
    [(LARS(weight_decay=0.0), scale) for scale in (1e-35, 1e-25, 1e17, 1e20, 1e30)]
    + [(LAMB(weight_decay=0.0), scale) for scale in (1.0, 1e17, 1e20, 1e30)],  # smaller ones meet epsilon
    ids=lambda value: getattr(value, "kind", value),
)
def test_rates_of_tensors_do_not_depend_on_the_scale_of_gradients(rule, scale):
    """LARS and LAMB divide it out: a step as at another scale, or for the slots of LAMB a line."""
    tensors, lamb = Tensors(((0, 4),), ((0, 4),)), isinstance(rule, LAMB)
    params, gradient = np.array([1, -2, 3, 0.5], "float32"), np.array([3, 1, -2, 5], "float32")
    moved = []
    for factor in (1e10, scale):
        slots = rule.init(params)
        with np.errstate(over="ignore"):
            after, slots = rule.update(params, gradient * np.float32(factor), slots, 0, 0.1, tensors)
        moved.append(after - params)
    if not lamb or np.isfinite(slots["square_mean"]).all():
        np.testing.assert_allclose(*moved, rtol=1e-3)


NORMS = {"layer_norm": LayerNorm(), "group_norm": GroupNorm(2), "rms_norm": RMSNorm()}


@pytest.mark.parametrize("features", [6, 16], ids=["plain", "vectorised"])
@pytest.mark.parametrize("scale", [1e19, 1e20, 1e30, 1e37])
@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_norms_of_large_values(norm, scale, features):
    """A norm does not change with the scale of an example; those beside it stay as they are."""
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((2, 3, features)).astype("float32"), rng.standard_normal((3, features))
    params = {k: v.astype("float32") for k, v in norm.init(rng, (features,))[0].items()}
    x = x[0]
    large, dy, ctx = x.copy(), dy.astype("float32"), Context(training=True)
    large[1] *= np.float32(scale)
    with np.errstate(over="ignore", invalid="ignore"):
        (y, saved), (wanted, other) = (norm.forward(params, rows, ctx) for rows in (large, x))
    np.testing.assert_allclose(y, wanted, rtol=1e-3, atol=1e-4)
    dx, wanted_dx = norm.backward(params, saved, dy, ctx)[0], norm.backward(params, other, dy, ctx)[0]
    wanted_dx[1] /= np.float32(scale)
    np.testing.assert_allclose(dx, wanted_dx, rtol=1e-2, atol=0 if scale < 1e30 else 1e-44)


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_norms_of_large_constants(norm):
    params = {k: v.astype("float32") for k, v in norm.init(np.random.default_rng(0), (16,))[0].items()}
    with np.errstate(over="ignore", invalid="ignore"):
        y, _ = norm.forward(params, np.full((2, 16), 3e38, "float32"), Context())
    np.testing.assert_allclose(y, 1.0 if isinstance(norm, RMSNorm) else 0.0, atol=1e-3)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("scale", [1e20, 1e30])
def test_batch_norm_of_large_values_is_told(scale, symmetric):
    """Its running variance is a number of float32."""
    x = (BASE * scale).astype("float32")
    x = np.concatenate([x, -x]) if symmetric else x
    how = {"loss": "mean_squared_error", "batch": len(x), "steps": 1, "client": "threaded-scheduler"}
    with pytest.raises(NotFiniteError, match=r"step 0: .* layer 0 \(batch_norm\)"):
        Trainer(["batch_norm", {"dense": 1}], **how).fit(x, np.ones(len(x)))


@pytest.mark.parametrize("kind", ["adam", "adamw", "adagrad", "rmsprop", "lamb"])
@pytest.mark.parametrize("scale", [1e-15, 1e-20, 1e-25, 1e-30])
def test_small_gradients_make_no_large_step(kind, scale):
    """Their squares vanish in float32: never beyond the step of a gradient at scale 1."""
    ends = [weights(s, optimizer={kind: {"lr": 0.1, "epsilon": 1e-17}})[0] for s in (1, scale)]
    assert (np.abs(ends[1]) <= 1.01 * np.abs(ends[0])).all() and ends[1].any()


@pytest.mark.parametrize("kind", ["adam", "adamw", "adagrad", "rmsprop", "lamb"])
@pytest.mark.parametrize("precision, epsilon", [("float32", 1e-30), ("float32", 1e-50), ("float64", 1e-200)])
def test_an_epsilon_below_such_squares_is_refused(kind, precision, epsilon):
    optimizer = {kind: {"lr": 0.1, "epsilon": epsilon}}
    with pytest.raises(InputError, match=f"{kind}.epsilon={epsilon} is too small for precision {precision}"):
        weights(1.0, optimizer=optimizer, precision=precision)


@pytest.mark.parametrize("norm", ["layer_norm", "group_norm", "rms_norm", "batch_norm"])
def test_an_epsilon_of_a_norm_that_is_no_number_of_float32_is_refused(norm):
    arguments = {"epsilon": 1e-50} | ({"groups": 1} if norm == "group_norm" else {})
    model = [{"residual": [{norm: arguments}]}, {"dense": 1}]
    trainer = Trainer(model, loss="mean_squared_error", client="threaded-scheduler")
    with pytest.raises(InputError, match=rf"{norm}.epsilon=1e-50 is too small for .* float32; use 1e-37"):
        trainer.fit(np.ones((32, 16)), np.ones(32))


def test_an_epsilon_of_the_outer_optimizer_is_refused():
    outer = {"adam": {"lr": 0.1, "epsilon": 1e-30}}
    with pytest.raises(InputError, match=r"adam\.epsilon=1e-30 is too small"):
        weights(1.0, layout=Layout(replicas=2, outer=outer))
