"""Algorithm 1 with masks on dense arrays, in PyTorch and in JAX. Both are correct.

Each stands alone in its function, so that a test can write its text to a file.
"""


def in_torch(values, masks, velocities, H, N_p, delta, rng, keep_one=True):
    """The tensors change in place; positions are drawn by PyTorch's own generator."""
    import torch

    from minidsr import adjust_pruning_threshold, apportion

    empty = [~m for m in masks]
    dead = [m & (w.abs() < H) for w, m in zip(values, masks, strict=True)]
    for w, m, d in zip(values, masks, dead, strict=True):
        if keep_one and d.any() and (d == m).all():
            d.view(-1)[torch.where(m, w.abs(), -1.0).argmax()] = False
    for w, m, v, d in zip(values, masks, velocities, dead, strict=True):
        w[d], v[d], m[d] = 0, 0, False
    k, l, room = ([int(m.sum()) for m in each] for each in (dead, masks, empty))
    g = apportion(min(sum(k), sum(room)), l, room)
    again = apportion(sum(k) - sum(g), l, k)
    for m, e, d, counts in zip(masks, empty, dead, zip(g, again, strict=True), strict=True):
        for where, n in zip((e, d), counts, strict=True):
            places = where.view(-1).nonzero().view(-1)
            m.view(-1)[places[torch.randperm(len(places))[:n]]] = True
    return adjust_pruning_threshold(H, sum(k), N_p, delta)


def in_jax(values, masks, velocities, H, N_p, delta, rng, keep_one=True):
    """Arrays do not change; new ones are returned."""
    import jax
    import jax.numpy as jnp

    from minidsr import adjust_pruning_threshold, apportion

    def pruned(w, m):
        d = m & (abs(w) < H)
        keep = keep_one and d.any() and (d == m).all()
        return d & (jnp.arange(d.size).reshape(d.shape) != jnp.where(m, abs(w), -1).argmax()
                    ) if keep else d

    empty, dead = [~m for m in masks], [pruned(w, m) for w, m in zip(values, masks, strict=True)]
    alive = [m & ~d for m, d in zip(masks, dead, strict=True)]
    k, l, room = ([int(m.sum()) for m in each] for each in (dead, alive, empty))
    g = apportion(min(sum(k), sum(room)), l, room)
    again = apportion(sum(k) - sum(g), l, k)
    keys, masks = jax.random.split(jax.random.key(int(rng.integers(2**31))), len(masks)), []
    for key, m, e, d, n, n_again in zip(keys, alive, empty, dead, g, again, strict=True):
        drawn = jax.random.uniform(key, m.shape)
        for where, count in ((e, n), (d, n_again)):
            order = jnp.argsort(jnp.where(where, drawn, 2).reshape(-1))
            m = m.reshape(-1).at[order[:count]].set(True).reshape(m.shape)
        masks.append(m)
    values, velocities = ([jnp.where(m, x, 0) for m, x in zip(alive, xs, strict=True)]
                          for xs in (values, velocities))
    return adjust_pruning_threshold(H, sum(k), N_p, delta), values, masks, velocities
