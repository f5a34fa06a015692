"""Traces, as trace.load() and verify_trace() meet them.

A damaged trace is refused, or judged. Judged counts as "equal" where the verdicts are those of the
sound trace, for damaged bytes and for what means the same; where the invariant that a change
breaks is named; and, for any other content within the format, where a verdict is reached at all:
there is no simple rule of what it should be.
"""

import io
import warnings

import fuzz
import numpy as np

from minidsr.parameters import Dense, Sparse
from minidsr.proof.reallocation import snapshot
from minidsr.proof.recorder import changes
from minidsr.proof.trace import TraceError, load
from minidsr.reparam import reallocate
from minidsr.run.verify import verify_trace

FORMS = ("mask", "index", "changes")
NAMES = ("conv", "layer.0/weight", "bias")
NUMBERS = [0, 1, -1, 0.5, 3, np.inf, -np.inf, np.nan, 1e-320, 1e300, 10**18, 2**63, -2**63, 2.0**53,
           np.float16(6e4), np.int8(-128), np.uint64(2**64 - 1), True, np.longdouble("1e4000")]
WRONG = ["O", "V4", "V0", "S3", "U2", "c8", "M8[s]", "m8[D]", "i4,f4", "(2,)f4", "f2", "f4", "i1",
         "u8", "?", "g"]


def prepare(folder):
    """Three reallocations of Algorithm 1 in a row, with masks, with indices, and with what changes,
    packed or not."""
    entries = [_recorded(form) for form in FORMS]
    for form, recorded in zip(FORMS, entries, strict=True):
        np.savez(folder / f"{form}.npz", **recorded)
        np.savez_compressed(folder / f"{form}-packed.npz", **recorded)
    verdicts = [_verdicts(folder / f"{form}.npz") for form in FORMS]
    assert verdicts[0] == verdicts[1] == verdicts[2] and not verdicts[0][0]
    return folder, entries, verdicts[0]


def attempt(rng, sound):
    folder, entries, verdicts = sound
    path, form = folder / "damaged.npz", int(rng.integers(3))
    if rng.random() < 0.3:
        source = FORMS[form] + str(rng.choice(["", "-packed"])) + ".npz"
        what, content = fuzz.damaged(rng, (folder / source).read_bytes())
        due, may_be_refused = SAME, True
    else:
        damage = DAMAGE[rng.integers(len(DAMAGE))]
        form = form % 2 if damage is breaks_a_rule else form
        changed = dict(entries[form])
        what, due = damage(rng, changed)
        what, may_be_refused = f"{damage.__name__}, {what}, {FORMS[form]}", due is None
        content = _packed(rng, changed)
    path.write_bytes(content)
    try:
        with fuzz.left_alone(path), warnings.catch_warnings():
            warnings.simplefilter("error")
            found = _verdicts(path)
    except TraceError as error:
        return what, fuzz.refusal(error) if may_be_refused else f"refused: {error}"
    right = due is None or (found == verdicts if due is SAME else due in found[0])
    return what, "equal" if right else f"{due} is due, violated: {found[0]}"


def _recorded(form):
    """The entries of a trace: what a program would write that keeps masks, or indices; or what the
    recorder does."""
    rng = np.random.default_rng(0)
    tensors = [*(Sparse.random(rng.normal(size=shape), count, rng)
                 for shape, count in (((4, 3), 6), ((5, 4), 9))), Dense(rng.normal(size=3))]
    H, entries = 0.25, {}
    for n in range(3):
        for p in tensors:
            p.value = rng.normal(size=p.value.shape).astype(np.float32)
            p.velocity = rng.normal(size=p.value.shape).astype(np.float32)
        before = snapshot(dict(zip(NAMES, tensors, strict=True)))
        used, (H, report) = H, reallocate(tensors[:2], H, 4, 0.1, rng)
        after = snapshot(dict(zip(NAMES, tensors, strict=True)))
        entries |= {f"{n}/H": used, f"{n}/next_H": H, f"{n}/N_p": 4, f"{n}/delta": 0.1,
                    f"{n}/keep_one": True}
        for moment, taken in (("before", before), ("after", after)):
            for t, p in zip(taken, tensors, strict=True):
                entries |= _arrays(f"{n}/{t.name}", moment, t, p.shape, form)
        if form == "changes":
            _leave_what_changes(entries, n)
        for name, k, g in zip(NAMES[:2], report.pruned, report.grown, strict=True):
            entries |= {f"{n}/{name}/pruned": k, f"{n}/{name}/grown": g}
    return {key: np.asarray(value) for key, value in entries.items()}


def _arrays(name, moment, t, shape, form):
    arrays = {"value": t.value, "velocity": t.velocity}
    if t.index is None:
        return {f"{name}/{moment}/{key}": array.reshape(shape) for key, array in arrays.items()}
    if form != "mask":
        arrays |= {"index": t.index, "masked": np.zeros(())}
        return {f"{name}/{moment}/{key}": array for key, array in arrays.items()} | {
            f"{name}/size": t.size}
    found = {"mask": np.zeros(t.size, np.uint8)}
    found["mask"][t.index] = 1
    for key, array in arrays.items():
        found[key] = np.zeros(t.size, np.float32)
        found[key][t.index] = array
    return {f"{name}/{moment}/{key}": array.reshape(shape) for key, array in found.items()}


def _leave_what_changes(entries, n):
    """Of what is there after, keep what recorder.py would write."""
    for name in NAMES:
        a, b = ({key: entries[f"{n}/{name}/{moment}/{key}"].reshape(-1)
                 for key in ("index", "value", "velocity")
                 if f"{n}/{name}/{moment}/{key}" in entries} for moment in ("before", "after"))
        for key in b:
            del entries[f"{n}/{name}/after/{key}"]
        entries |= {f"{n}/{name}/after/{key}": x for key, x in changes(a, b).items()}


def _verdicts(path):
    """What is violated, what is checked how often. All is also put in words."""
    tally = verify_trace(load(path), method="dsr")
    assert str(tally) and tally.summary
    return set(tally.violated), dict(tally.checked)


def _packed(rng, entries):
    """An archive of these entries, by numpy.savez or savez_compressed."""
    file = io.BytesIO()
    (np.savez, np.savez_compressed)[rng.integers(2)](file, **entries)
    return file.getvalue()


# --- damage: each changes the entries, and returns what it did and the verdict that is due: SAME,
# the name of an invariant that must be named, or None, where there is no rule

SAME = "the sound trace's verdicts"


def _pick(rng, entries, part=""):
    return str(rng.choice([key for key in entries if part in key]))


def another_type(rng, entries):
    key, dtype = _pick(rng, entries), np.dtype(str(rng.choice(WRONG)))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # complex to real, bytes that are no time
        try:
            entries[key] = entries[key].astype(dtype)
        except (TypeError, ValueError):
            entries[key] = np.zeros(entries[key].shape, dtype)
    return f"{key} as {dtype}", None


def another_shape(rng, entries):
    key = _pick(rng, entries)
    array, how = entries[key], int(rng.integers(8))
    entries[key] = (
        array.reshape(1, -1), array.reshape(-1, 1), array.reshape(-1)[:-1], array.reshape(-1)[:0],
        np.append(array, array), np.zeros((0, 10**18), array.dtype.char if array.itemsize < 4
                                          else "i1"), array.reshape(-1)[:1].sum(),
        np.broadcast_to(array, (2, *array.shape)))[how]
    return f"{key} from {array.shape} to {entries[key].shape}", None


def another_number(rng, entries):
    key, number = _pick(rng, entries), NUMBERS[rng.integers(len(NUMBERS))]
    array = entries[key]
    with np.errstate(all="ignore"):
        if not array.ndim or not array.size or rng.random() < 0.2:
            entries[key] = np.full(array.shape, number)
        else:
            wide = array.astype(rng.choice([array.dtype, "f8"]))
            try:
                wide.reshape(-1)[rng.integers(wide.size)] = number
            except (ValueError, OverflowError):  # NaN as a whole number; one too large
                wide = wide.astype(float) * float(number)
            entries[key] = wide
    return f"{number!r} in {key}", None


def another_key(rng, entries):
    key = _pick(rng, entries)
    odd = str(rng.choice(list("\n\r\x1b\u2028/0aé ")))
    i = int(rng.integers(len(key) + 1))
    new = (key[:i] + odd + key[i:], key[:i] + key[i + 1:], key[2:], "9" * 25 + key[1:],
           "\u0663" + key[1:], f"7{key[1:]}")[rng.integers(6)]
    entries[new or "x"] = entries.pop(key) if rng.random() < 0.5 else entries[key]
    return f"{key} is {new!r}", None


def missing(rng, entries):
    keys = [_pick(rng, entries) for _ in range(rng.integers(1, 4))]
    for key in keys:
        entries.pop(key, None)
    return f"without {keys}", None


def means_the_same(rng, entries):
    key = _pick(rng, entries)
    array = entries[key]
    dtype = array.dtype
    choices = [array.astype(dtype.newbyteorder()), np.asfortranarray(array)]
    if key.endswith("mask"):
        choices += [array.astype(bool), array.astype(float), array.astype(np.int16)]
    if key.endswith("index"):
        choices += [array.astype(np.uint8), array.astype(np.uint64), array.astype(">i2")]
    if not array.ndim:
        choices += [array.reshape(1), array.reshape(1, 1)]
    if key.endswith(("size", "pruned", "grown", "N_p")):
        choices += [array.astype(float), array.astype(np.int8)]
    entries[key] = choices[rng.integers(len(choices))]
    return f"{key} as {entries[key].dtype} {entries[key].shape}", SAME


def breaks_a_rule(rng, entries):
    n, name = rng.integers(3), str(rng.choice(NAMES[:2]))
    at, after = f"{n}/{name}/", f"{n}/{name}/after/"
    index, value = entries.get(after + "index"), entries[after + "value"].copy()
    held = value != 0 if index is not None else (value != 0) & (entries[after + "mask"] != 0)
    survivors = np.flatnonzero(held)
    how = str(rng.choice(["survivor", "grown", "nan", "H", "H inf", "claim", "dense", "lost",
                          "unsorted", "outside"]))
    if how in ("lost", "unsorted", "outside") and index is None:
        how = "survivor"
    due = {"survivor": "survivors_keep_value", "grown": "grown_at_zero", "nan": "finite",
           "H": "threshold_rule", "H inf": "finite", "claim": "balance", "dense": "dense_unchanged",
           "lost": "budget", "unsorted": "positions", "outside": "positions"}[how]
    if how == "survivor":
        value.reshape(-1)[rng.choice(survivors)] += 1
    elif how == "grown":
        used = np.flatnonzero(entries[after + "mask"]) if index is None else np.arange(value.size)
        grown = [i for i in used if i not in survivors]
        if not grown:
            return "nothing was grown", SAME
        value.reshape(-1)[grown[0]] = 0.5
    elif how == "nan":
        value.reshape(-1)[rng.choice(survivors)] = np.nan
    entries[after + "value"] = value
    if how == "H":
        entries[f"{n}/next_H"] = entries[f"{n}/next_H"] * 8
    elif how == "H inf":
        entries[f"{n}/H"] = np.array(np.inf)
    elif how == "claim":
        entries[at + "grown"] = entries[at + "grown"] + 1
    elif how == "dense":
        entries[f"{n}/bias/after/value"] = entries[f"{n}/bias/after/value"] + 1
    elif how == "lost":
        for key in ("index", "value", "velocity"):
            entries[after + key] = entries[after + key][:-1]
    elif how == "unsorted":
        entries[after + "index"] = index[::-1]
    elif how == "outside":
        entries[after + "index"] = np.append(index[:-1], rng.choice([-1, 10**6, int(
            entries[at + "size"])]))
    return f"{how} in {at}", due


DAMAGE = [another_type, another_shape, another_number, another_key, missing, means_the_same,
          breaks_a_rule]
