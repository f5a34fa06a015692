"""Lesson 12: conv_anywhere. A device array is no data: the stand-in for CuPy runs beside the
learner's function."""

import linecache
import traceback

import numpy as np

from lessons.solutions import ex12 as solved
from minidsr.backend import get_xp
from minidsr.proof import naive

from .ex01_conv import as_forward, cases, level
from .exercise import Exercise, Plug
from .grids import SMALL, WINDOW_LEVELS, drawn, whole
from .plug import DENSE


def inside(f, x, w, s, p):
    """What f gives on the host, and on the stand-in; for what the host waited there, how many
    arrays it sent, how many kernels there were, and how many when all was larger."""
    from lessons.grader.strict_cupy import counted, in_the_place_of_cupy

    answer = {"host": f(x.copy(), w.copy(), s, p)}
    with in_the_place_of_cupy() as cupy:
        there = [cupy.asarray(a) for a in (x, w)]
        larger = [cupy.asarray(np.pad(a, [(0, n) for n in more], mode="wrap")) for a, more in (
            (x, (len(x), x.shape[1], 3, 3)), (w, (len(w), w.shape[1], 0, 0)))]
        try:
            with counted() as found:
                y = f(*there, s, p)
            with counted() as more:
                f(*larger, s, p)
        except Exception as error:
            return answer | {"refused": f"{type(error).__name__}: {error}",
                             "where": _line(error, f)}
        answer |= {"waits": found.reads.total(), "sends": found.uploads.total(),
                   "kernels": found.launches.total(), "of larger": more.launches.total()}
        if isinstance(y, cupy.ndarray):
            return answer | {"device": y.get(), "type": str(y.dtype)}
    return answer | {"device": None}


def _line(error, f):
    """Where in the file of f it was raised."""
    path = f.__code__.co_filename if hasattr(f, "__code__") else None
    lines = [x.lineno for x in traceback.extract_tb(error.__traceback__) if x.filename == path]
    return f"line {lines[-1]}: {linecache.getline(path, lines[-1]).strip()}" if lines else ""


def small():
    for seed, (N, C, F, H, W, k, s, p) in enumerate(SMALL):
        if seed % 3 == 0:
            x, w = whole(seed, (N, C, H, W), (F, C, k, k))
            yield x.astype(np.float32), w.astype(np.float32), s, p


def right_on_the_host(g, *case):
    """with arrays of NumPy each pixel is what plain loops compute"""
    return _right(g["host"], *case)


def not_refused(g, *case):
    """with arrays of CuPy it comes to its end"""
    return f"{g['refused']}. {g['where']}" if "refused" in g else True


def stays_there(g, *case):
    """what comes out of arrays of CuPy is one of them"""
    return g["device"] is not None


def right_there(g, *case):
    """with arrays of CuPy each pixel is what plain loops compute"""
    return _right(g["device"], *case)


def type_of_x(g, x, w, s, p):
    """y has the type of x"""
    return g["type"] == str(x.dtype) or f"x is {x.dtype}, y {g['type']}"


def nothing_is_sent(g, *case):
    """no array is sent from the host to the device"""
    return g["sends"] == 0 or f"yours sends {g['sends']}"


def nobody_waits(g, *case):
    """the host waits for no number of the device"""
    return g["waits"] == 0 or f"yours waits {g['waits']} times"


def no_more_kernels(g, *case):
    """there are no more kernels where images are larger, and images, channels and filters twice as
    many"""
    return g["of larger"] <= g["kernels"] or f"yours has {g['kernels']}, and then {g['of larger']}"


def _right(y, *case):
    y, loops = np.array(y), naive.conv2d(*case)
    if y.shape != loops.shape:
        return f"the shape must be {loops.shape}, yours is {y.shape}"
    wrong = np.argwhere(y != loops)
    return not len(wrong) or f"not so at y[{', '.join(map(str, wrong[0]))}]"


def picture(g, x, w, s, p):
    lines = [f"s = {s}, p = {p}, x and w {x.dtype}", drawn({"x": x, "w": w}),
             drawn({"y": naive.conv2d(x, w, s, p)})]
    if g is not None:
        ys = {f"yours, {place}": g[key] for key, place in (
            ("host", "NumPy"), ("device", "CuPy")) if g.get(key) is not None}
        lines.append(drawn(ys))
    return "\n\n".join(lines)


def but_for_the_line(g):
    return {key: x for key, x in g.items() if key != "where"}


# --- mistakes


def as_on_the_host(x, w, s, p):
    """All is called by the name np, as on the host. np.pad knows the arrays of NumPy: whose pad
    knows those of x? get_xp(x) says."""
    F, _, k, _ = w.shape
    OH, OW = (naive.out_size(size, k, s, p) for size in x.shape[2:])
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y = np.zeros((len(x), F, OH, OW), x.dtype)
    for ky, kx in naive.taps(k):
        y += np.einsum("fc,nchw->nfhw", w[:, :, ky, kx], _tap(padded, ky, kx, s, OH, OW))
    return y


def _conv(x, w, s, p, *, zeros=None, of_tap=lambda w, tap, xp: xp.einsum(
        "fc,nchw->nfhw", w, tap)):
    xp, (F, _, k, _) = get_xp(x), w.shape
    OH, OW = (naive.out_size(size, k, s, p) for size in x.shape[2:])
    padded = xp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y = (zeros or xp.zeros)((len(x), F, OH, OW), x.dtype)
    for ky, kx in naive.taps(k):
        more = of_tap(w[:, :, ky, kx], _tap(padded, ky, kx, s, OH, OW), xp)
        if more is not None:
            y += more
    return y


def _tap(padded, ky, kx, s, OH, OW):
    return padded[:, :, ky:ky + s * OH:s, kx:kx + s * OW:s]


def zeros_on_the_host(x, w, s, p):
    """y is made by np.zeros: on the host. Can something on the device be added to it?"""
    return _conv(x, w, s, p, zeros=np.zeros)


def there_and_back(x, w, s, p):
    """Arrays are fetched, what comes out is sent back. Then the GPU has nothing to do, and the way
    takes longer than the work."""
    if get_xp(x) is np:
        return solved.conv_anywhere(x, w, s, p)
    return get_xp(x).asarray(solved.conv_anywhere(x.get(), w.get(), s, p))


def stays_on_the_host(x, w, s, p):
    """Arrays are fetched, and y is on the host. Who goes on with it, on the GPU?"""
    return solved.conv_anywhere(*(a if get_xp(a) is np else a.get() for a in (x, w)), s, p)


def asks_each_tap(x, w, s, p):
    """Each tap is asked whether it has a weight. To know, the host must wait until the device has
    answered, each time. What does it cost to add nothing?"""
    return _conv(x, w, s, p, of_tap=lambda w, tap, xp: xp.einsum("fc,nchw->nfhw", w, tap)
                 if w.any() else None)


def image_by_image(x, w, s, p):
    """Images are taken one after another. A hundred small kernels take longer than one that does
    all: can one operation have all images?"""
    parts = [solved.conv_anywhere(image, w, s, p) for image in (x[i:i + 1] for i in range(len(x)))]
    return get_xp(x).concatenate(parts)


def channel_by_channel(x, w, s, p):
    """Channels are taken one after another. One operation can sum over all of them: which one was
    it in NumPy?"""
    y = solved.conv_anywhere(x[:, :1], w[:, :1], s, p)
    for c in range(1, x.shape[1]):
        y += solved.conv_anywhere(x[:, c:c + 1], w[:, c:c + 1], s, p)
    return y


def of_float64(x, w, s, p):
    """y is of float64, whatever x is: zeros() makes that if it is told nothing else. Many GPUs
    compute it at a 32nd of the speed."""
    return _conv(x, w, s, p, zeros=lambda shape, dtype: get_xp(x).zeros(shape))


def counts_on_the_host(x, w, s, p):
    """Right, but which pixels a tap sees is counted out on the host, and sent."""
    xp = get_xp(x)
    if xp is np:
        return solved.conv_anywhere(x, w, s, p)
    return solved.conv_anywhere(x, w, s, p) + xp.asarray(np.zeros(1, x.dtype))


conv_anywhere = Exercise(
    name="conv_anywhere", stars=2, minutes=20,
    needs=("cupy", "CuPy, which needs no GPU for this: pip install cupy-cuda13x, on Linux or "
           "Windows"),
    small=small, cases=cases(), inside=inside, gist=but_for_the_line, seconds=20.0,
    levels=WINDOW_LEVELS, level=level,
    properties=(right_on_the_host, not_refused, stays_there, right_there, type_of_x,
                nothing_is_sent, nobody_waits, no_more_kernels),
    picture=picture,
    mistakes=(as_on_the_host, zeros_on_the_host, there_and_back, stays_on_the_host, asks_each_tap,
              image_by_image, channel_by_channel, of_float64),
    lazy=(counts_on_the_host,),
    hints=(
        "Copy what is right in NumPy. Which of its lines make a new array, and where is that?",
        "xp = get_xp(x), and xp in place of np wherever an array comes out. Does a device array "
        "need np.asarray?",
        "An `if` about numbers of the device has the host wait for them: adding zeros costs less. "
        "A loop over the taps is short; there should be no other."),
    plug=Plug(("minidsr.nn.layers.Conv2d.forward",), as_forward, DENSE, 20),
    hidden=("minidsr.nn.im2col.forward", "minidsr.proof.naive.conv2d"))
