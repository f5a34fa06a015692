"""im2col: a convolution as one matrix product, as in a textbook (NumPy and CuPy).

    N batch   C channels in   F channels out   H W input size   OH OW output size
    k kernel  s stride  p pad   ky kx row and column of a tap, one weight of a kernel

Each window of the padded image becomes a column, each filter a row. Then y is their product:

    (F, N OH OW) = (F, C k k) · (C k k, N OH OW)

Row (c, ky, kx) of the columns holds what this tap meets at all outputs: channel c, shifted. So the
columns are k k shifted copies of the image, and the way back is a sum of shifted images.
This is the engine `plain`, and the specification of those in fast/.
"""

from ..backend import get_xp
from ..shapes import out_size


def forward(x, w, s, p):
    """Convolution y (N, F, OH, OW) of x (N, C, H, W) with w (F, C, k, k).

    Raises ValueError where the kernel is larger than the padded image.
    """
    F, _, k, _ = w.shape
    y = w.reshape(F, -1) @ columns(x, k, s, p)                          # (F, N*OH*OW)
    OH, OW = (out_size(size, k, s, p) for size in x.shape[2:])
    return get_xp(x).ascontiguousarray(y.reshape(F, len(x), OH, OW).transpose(1, 0, 2, 3))


def backward(x, dy, w, s, p):
    """Gradients (dx, dw) given that of y: dw = dy · columnsᵀ, and dx = images(wᵀ · dy)."""
    F, _, k, _ = w.shape
    rows = dy.transpose(1, 0, 2, 3).reshape(F, -1)                      # (F, N*OH*OW)
    dw = rows @ columns(x, k, s, p).T                                   # (F, C*k*k)
    dx = images(w.reshape(F, -1).T @ rows, x.shape, k, s, p)
    return dx, dw.reshape(w.shape)


def columns(x, k, s, p):
    """x (N, C, H, W) -> (C*k*k, N*OH*OW): a column for each window, a row for each tap."""
    xp, (N, C, H, W) = get_xp(x), x.shape
    OH, OW = out_size(H, k, s, p), out_size(W, k, s, p)
    padded = xp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    cols = xp.empty((C, k, k, N, OH, OW), x.dtype)
    for ky in range(k):
        for kx in range(k):
            tap = padded[:, :, ky:ky + s * OH:s, kx:kx + s * OW:s]      # (N, C, OH, OW)
            cols[:, ky, kx] = tap.transpose(1, 0, 2, 3)
    return cols.reshape(C * k * k, N * OH * OW)


def images(cols, shape, k, s, p):
    """The way back, the transpose of columns(): each number is added to the pixel it came from.

    (C*k*k, N*OH*OW) -> shape (N, C, H, W)
    """
    N, C, H, W = shape
    OH, OW = out_size(H, k, s, p), out_size(W, k, s, p)
    cols = cols.reshape(C, k, k, N, OH, OW)
    padded = get_xp(cols).zeros((N, C, H + 2 * p, W + 2 * p), cols.dtype)
    for ky in range(k):
        for kx in range(k):
            tap = padded[:, :, ky:ky + s * OH:s, kx:kx + s * OW:s]
            tap += cols[:, ky, kx].transpose(1, 0, 2, 3)                # a view: adds to padded
    return padded[:, :, p:p + H, p:p + W]
