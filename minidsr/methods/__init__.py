"""The methods, by the name that `--method` takes."""

from .base import Method
from .dsr import DSR
from .static import Static

METHODS = {"dense": Method, "static": Static, "dsr": DSR}
