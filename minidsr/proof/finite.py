"""Are all numbers finite? If not, where is the first that is not?"""

from ..backend import get_xp


def all_finite(params):
    """Is every value of these parameterizations finite? A 0-d array, not read from a GPU."""
    xp = get_xp(params[0].value)
    return xp.isfinite(xp.concatenate([p.value.reshape(-1) for p in params])).all()


def first_not_finite(model, x=None):
    """Where a number is first not finite: a weight of `model`, else a layer's output for x."""
    for name, p in model.named_params().items():
        if not _finite(p.value):
            return name
    return next((f"the output of {name}" for name, y in model.outputs(x) if not _finite(y)),
                "the loss itself")


def _finite(x):
    return bool(get_xp(x).isfinite(x).all())
