"""Steps of a project, in modules of their own."""

from .cleaning import clean
from .loading import LIMIT, load
