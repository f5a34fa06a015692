"""Are all numbers finite? If not, where is the first that is not?"""

from itertools import chain

from ..backend import get_xp


def all_finite(model):
    """Are all free numbers and running statistics of `model`? A 0-d array, not read from a GPU."""
    arrays = [*_free_numbers(model).values(), *_statistics(model).values()]
    xp = get_xp(arrays[0])
    return xp.isfinite(xp.concatenate([array.reshape(-1) for array in arrays])).all()


def first_not_finite(model, batches=(), *, train=False):
    """Where a number is first not finite: a weight, else a running statistic, else the output of a
    layer for one of the batches. In training, outputs come before statistics, which follow them."""
    outputs = ((f"the output of {name}", y) for x in batches
               for name, y in model.outputs(x, train=train))
    statistics = _statistics(model).items()
    places = chain(_free_numbers(model).items(),
                   *((outputs, statistics) if train else (statistics, outputs)))
    return next((name for name, array in places if not _finite(array)), "the loss itself")


def _free_numbers(model):
    return {name: p.value for name, p in model.named_params().items()}


def _statistics(model):
    return {f"{name}.{key}": getattr(layer, key)
            for name, layer in model.walk() for key in layer.statistics}


def _finite(x):
    return bool(get_xp(x).isfinite(x).all())
