"""Dynamic sparse reparameterization in one file: a network, its gradients, SGD and Algorithm 1.

    python one_file.py            tell squares from crosses, drawn here
    python one_file.py FOLDER     read digits: the four files of MNIST are in FOLDER, gzipped or not

A convolutional network is trained with a tenth of its weights. Every few steps the small ones are
pruned everywhere, and as many grow where weights survived (Mostafa & Wang, ICML 2019). So weights
move to the tensors that need them, and their number never changes: it is printed each time.

    θ  theta      what the network computes with: {name: array}, four of them mostly zeros
    φ  values     the free numbers, which training chooses
    ψ  structure  where these four have their free numbers: positions, counted row by row
"""

import gzip
import sys
from functools import partial
from pathlib import Path

import numpy as np

BATCH, STEPS, TEST_IMAGES = 50, 300, 500
RATE, DROPS = 0.1, (0.3, 0.6, 0.8)   # learning rate; it drops to a fifth after 0.3 of training, ...
MOMENTUM, DECAY = 0.9, 5e-4
DENSITY = 0.1                        # up to 0.5, so that there is always room to grow
PERIOD, STOP = 10, 0.95              # a reallocation every 10 steps, until 0.95 of training
FIRST_H, DELTA, SHARE = 1e-3, 0.1, 20_000 / 145_139   # of Algorithm 1, as in the paper

# --- Layers take x, images (N, C, height, width) or vectors (N, C), and their tensors. They return
# --- y and a function: dy -> dx, gradients of the tensors. dx is the gradient of the loss by x.
def windows(x, size, stride):
    """A window of size x size pixels slides over x in steps of `stride`. For each of its pixels:
    what it meets on the way, (N, C, height, width). These are views: to add to them adds to x."""
    height, width = ((length - size) // stride + 1 for length in x.shape[2:])
    return [x[:, :, i:i + stride * height:stride, j:j + stride * width:stride]
            for i in range(size) for j in range(size)]

def conv(x, weight, stride=1):
    """F filters (C, 3, 3) slide over x, in a frame of zeros. This is a product of two matrices: a
    row of the first is a filter, a column of the second is what it meets at one place."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    met = np.stack([pixel.transpose(1, 0, 2, 3) for pixel in windows(padded, 3, stride)], axis=1)
    columns = met.reshape(-1, met[0, 0].size)                       # (C 9, N height width)
    filters = weight.reshape(-1, len(columns))                      # (F, C 9)
    y = (filters @ columns).reshape(-1, *met.shape[2:])             # (F, N, height, width)

    def backward(dy):
        dy = dy.transpose(1, 0, 2, 3).reshape(len(filters), -1)     # (F, N height width)
        dmet = (filters.T @ dy).reshape(met.shape)                  # (C, 9, N, height, width)
        dpadded = np.zeros_like(padded)
        for i, dpixel in enumerate(windows(dpadded, 3, stride)):
            dpixel += dmet[:, i].transpose(1, 0, 2, 3)              # windows overlap: sums
        return dpadded[:, :, 1:-1, 1:-1], (dy @ columns.T).reshape(weight.shape)

    return np.ascontiguousarray(y.transpose(1, 0, 2, 3)), backward

def norm(x, weight, bias):
    """Batch norm: each channel of the batch gets mean 0 and variance 1, then is scaled and shifted.
    (To classify one image, not a batch, one would keep running means: left out here.)"""
    mean_of = partial(np.mean, axis=(0, 2, 3), keepdims=True)       # of each channel
    centred = x - mean_of(x)
    scale = 1 / np.sqrt(mean_of(centred ** 2) + 1e-5)
    normal = scale * centred

    def backward(dy):
        dnormal, count = weight * dy, dy.size // dy.shape[1]  # x moves mean and variance, too:
        dx = scale * (dnormal - mean_of(dnormal) - normal * mean_of(dnormal * normal))
        return dx, count * mean_of(dy * normal), count * mean_of(dy)

    return weight * normal + bias, backward

def relu(x):
    return np.maximum(x, 0), lambda dy: [dy * (x > 0)]

def max_pool(x):
    """The largest of each 2 x 2 pixels; of equal ones, the first."""
    four = np.array(windows(x, 2, 2))
    winner = four.argmax(0)

    def backward(dy):
        dx = np.zeros_like(x)
        for i, dpixel in enumerate(windows(dx, 2, 2)):
            dpixel += dy * (winner == i)
        return [dx]

    return four.max(0), backward

def mean_pool(x):
    """The mean of each channel of each image: (N, C, height, width) -> (N, C)."""
    return x.mean((2, 3)), lambda dy: [np.zeros_like(x) + dy[:, :, None, None] / x[0, 0].size]

def linear(x, weight, bias):
    """A weighted sum for each class: (N, C) -> (N, classes)."""
    return x @ weight.T + bias, lambda dy: (dy @ weight, dy.T @ x, dy.sum(0))

def cross_entropy(logits, labels):
    """The mean of -log p(label), with p in proportion to exp(logits); and its gradient."""
    image = np.arange(len(labels))
    shifted = logits - logits.max(1, keepdims=True)                 # changes no p, keeps exp finite
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    dlogits = np.exp(log_p)
    dlogits[image, labels] -= 1
    return -log_p[image, labels].mean(), dlogits / len(labels)

# --- The network: its layers, with the names of their tensors. Four convolutions are sparse.
SPARSE = {"conv2.weight": (32, 16, 3, 3), "conv3.weight": (32, 32, 3, 3),
          "conv4.weight": (64, 32, 3, 3), "conv5.weight": (64, 64, 3, 3)}
LAYERS = [
    (partial(conv, stride=2), "conv1.weight"), (norm, "bn1.weight bn1.bias"), (relu, ""),
    (conv, "conv2.weight"), (norm, "bn2.weight bn2.bias"), (relu, ""), (max_pool, ""),
    (conv, "conv3.weight"), (norm, "bn3.weight bn3.bias"), (relu, ""),
    (conv, "conv4.weight"), (norm, "bn4.weight bn4.bias"), (relu, ""), (max_pool, ""),
    (conv, "conv5.weight"), (norm, "bn5.weight bn5.bias"), (relu, ""), (mean_pool, ""),
    (linear, "fc.weight fc.bias")]

def network(theta, x):
    """All layers, one after the other: the logits, and a function: dlogits -> {name: gradient}."""
    tape = []
    for layer, names in LAYERS:
        x, backward = layer(x, *[theta[name] for name in names.split()])
        tape.append((backward, names.split()))

    def gradients(dy):
        dtheta = {}
        for backward, names in reversed(tape):
            dy, *dtensors = backward(dy)
            dtheta.update(zip(names, dtensors, strict=True))
        return dtheta

    return x, gradients

# --- Algorithm 1.
def reallocate(values, velocity, structure, H, N_p, draws):
    """Prune the weights below H everywhere, K of them; grow as many, at 0, where weights survived.
    Changes the three dicts. Returns H for the next time, so that K comes near N_p, and K."""
    before = dict(structure)
    for name in before:                                             # 1  prune
        stays = abs(values[name]) >= H
        stays[abs(values[name]).argmax()] = True                    #    the largest, always
        for arrays in values, velocity, structure:
            arrays[name] = arrays[name][stays]
    l = {name: len(structure[name]) for name in before}             # 2  count the survivors
    K = sum(len(before[name]) - l[name] for name in before)
    if K < (1 - DELTA) * N_p:                                       # 3  adjust H
        H = 2 * H
    elif K > (1 + DELTA) * N_p:
        H = H / 2
    empty = {name: np.setdiff1d(range(np.prod(SPARSE[name])), before[name]) for name in before}
    room = {name: len(empty[name]) for name in before}              # empty before pruning
    grown = shares(K, l, room)                                      # 4  share
    for name in before:                                             # 5  grow
        structure[name] = np.append(structure[name], draws(empty[name], grown[name]))
        for arrays in values, velocity:
            arrays[name] = np.append(arrays[name], np.zeros(grown[name]))
    return H, K

def shares(K, l, room):
    """K in proportion to survivors l, but none above its room: whole numbers, with the sum K."""
    L = sum(l.values())
    full = {name: room[name] for name in l if K * l[name] >= room[name] * L}
    if full:                                                        # the others share the rest
        others = {name: l[name] for name in l if name not in full}
        return full | shares(K - sum(full.values()), others, room)
    whole = {name: K * l[name] // L for name in l}                  # one more where most is cut off
    by_remainder = sorted(l, key=lambda name: K * l[name] % L, reverse=True)
    for name in by_remainder[:K - sum(whole.values())]:
        whole[name] += 1
    return whole

# --- Training.
def start(rng):
    """Values and structure, at random."""
    values, structure = {}, {}
    for i, (C, F) in enumerate([(1, 16), (16, 32), (32, 32), (32, 64), (64, 64)], start=1):
        values[f"conv{i}.weight"] = rng.normal(0, (2 / (9 * F)) ** 0.5, (F, C, 3, 3))
        values |= {f"bn{i}.weight": np.ones((1, F, 1, 1)), f"bn{i}.bias": np.zeros((1, F, 1, 1))}
    values |= {"fc.weight": rng.uniform(-1 / 8, 1 / 8, (10, 64)), "fc.bias": np.zeros(10)}
    for name in SPARSE:
        size = values[name].size
        structure[name] = rng.choice(size, int(DENSITY * size), replace=False)
        values[name] = values[name].take(structure[name])
    return values, structure

def dense(values, structure):
    """θ = g(φ; ψ): a sparse tensor has its free numbers at their positions, and zeros elsewhere."""
    theta = dict(values)
    for name, positions in structure.items():
        theta[name] = np.zeros(SPARSE[name])
        theta[name].put(positions, values[name])
    return theta

def train(values, structure, batches, draws):
    """Train once on each of the batches, a list of (images, labels). Changes values and structure.
    draws(positions, n) picks n of them for new weights. Returns the loss of each batch."""
    velocity = {name: np.zeros_like(value) for name, value in values.items()}
    H, N_p = FIRST_H, round(SHARE * sum(map(len, structure.values())))
    losses = []
    for t, (x, labels) in enumerate(batches):
        logits, gradients = network(dense(values, structure), x)
        loss, dlogits = cross_entropy(logits, labels)
        losses.append(loss)
        rate = RATE * 0.2 ** sum(t >= share * len(batches) for share in DROPS)
        for name, g in gradients(dlogits).items():                  # SGD, with Nesterov's momentum
            if name in structure:
                g = g.take(structure[name])                         # of the free numbers only
            g = g + DECAY * values[name]
            velocity[name] = MOMENTUM * velocity[name] + g
            values[name] -= rate * (g + MOMENTUM * velocity[name])
        if 0 < t < STOP * len(batches) and t % PERIOD == 0:
            H, K = reallocate(values, velocity, structure, H, N_p, draws)
            counts = [len(positions) for positions in structure.values()]
            free = sum(value.size for value in values.values())
            print(f"step {t}: loss {loss:.2f}, K {K}, H {H}, {counts} of {free} free parameters")
    return losses

# --- Data.
def mnist(folder, part, n):
    """The first n images of a part, train or t10k, and their labels."""
    def read(name, header):
        path = Path(folder, f"{part}-{name}-ubyte")
        zipped = path.with_suffix(".gz")
        data = gzip.decompress(zipped.read_bytes()) if zipped.exists() else path.read_bytes()
        return np.frombuffer(data, np.uint8, offset=header)
    images = read("images-idx3", 16).reshape(-1, 1, 28, 28)[:n]
    return (images - 33.3) / 78.6, read("labels-idx1", 8)[:n]       # mean 0, variance 1

def draw(n, rng):
    """n noisy images, and labels: 0 is a square, 1 a cross, of any size, anywhere."""
    images, labels = rng.normal(0, 1, (n, 1, 28, 28)), rng.integers(0, 2, n)
    for image, label in zip(images[:, 0], labels, strict=True):
        size = rng.integers(5, 15)
        i, j = rng.integers(0, 29 - size, 2)
        u = abs(2 * np.arange(size) - size + 1)                     # twice the way to the middle
        shape = u[:, None] == u if label else np.maximum(u[:, None], u) == size - 1
        image[i:i + size, j:j + size] += 1.5 * shape
    return images, labels

def main(folder=None):
    rng = np.random.default_rng(0)
    x, labels = mnist(folder, "train", BATCH * STEPS) if folder else draw(BATCH * STEPS, rng)
    test_x, test_labels = mnist(folder, "t10k", TEST_IMAGES) if folder else draw(TEST_IMAGES, rng)
    batches = [(x[i:i + BATCH], labels[i:i + BATCH]) for i in range(0, len(x), BATCH)]
    values, structure = start(rng)
    losses = train(values, structure, batches, partial(rng.choice, replace=False))
    logits, _ = network(dense(values, structure), test_x)           # all of them one batch
    print(f"loss {np.mean(losses[-50:]):.3f} over the last 50 steps, "
          f"accuracy {100 * np.mean(logits.argmax(1) == test_labels):.1f} % of {len(test_x)}")

if __name__ == "__main__":
    main(*sys.argv[1:])
