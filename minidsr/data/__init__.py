"""Data sets as plain arrays: CIFAR-10, MNIST, and drawn shapes that need no download."""
