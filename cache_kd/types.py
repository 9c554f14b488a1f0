"""The shapes that the wings exchange, declared once; checked while testing only."""

# No `from __future__ import annotations` here: the aliases must be real objects.
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int16, Int32, Int64, UInt8, UInt16, UInt32
from torch import Tensor

# torch, in the loss
Logits = Float[Tensor, "batch classes"]  # raw, before any softmax or temperature
Pull = Float[Tensor, "batch classes"]  # minus the gradient of a loss with respect to the student's logits
ViewedLogits = Float[Tensor, "views samples classes"]  # of each view of each sample, as a file holds them
TeacherLogits = Float[Tensor, "teachers batch classes"]  # of several teachers over the same views
Labels = Int64[Tensor, "batch"]  # class index of each sample, 0 <= label < classes
MixedLabels = Float[Tensor, "batch classes"]  # a probability for each class: labels of mixed or smoothed samples
Probabilities = Float[Tensor, "batch classes"]  # rows that add up to 1
LeftOut = Bool[Tensor, "batch classes"]  # classes that a loss does not look at, sample by sample
PerSample = Float[Tensor, "batch"]  # one loss (or statistic) per sample
Scalar = Float[Tensor, ""]  # one number for a whole batch
Tau = Float[Tensor, "#batch 1"]  # one temperature per sample, or one for the whole batch, > 0
Images = Float[Tensor, "batch channels height width"]  # normalised, what a model takes
AnyImages = Float[Tensor, "_ _ _ _"]  # likewise; those of one list may differ in number and size

# torch, between a recipe and the model's door, on any device
PixelTensor = UInt8[Tensor, "batch height width channels"]  # pictures of one size; the last axis is the channels
ViewTensor = UInt8[Tensor, "batch view_height view_width channels"]  # what a recipe makes of pictures
SampleTensor = Int64[Tensor, "batch"]  # row numbers in a source
WordTensor = Int64[Tensor, "batch words"]  # keyed random words, 0 <= word < 2**32, one row per sample
AnyViews = UInt8[Tensor, "_ _ _ _"]  # views; those of one list may differ in number and size
AllLabels = Int64[Tensor, "samples"]  # the labels of a whole source
KnobTensor = Int64[Tensor, "batch knobs"]  # resolved parameters, one view per row
PerRow = Int64[Tensor, "batch"]  # one whole number per row
FixedPoint = Int64[Tensor, "batch"]  # one number per row, in 1/65536
MatrixTensor = Int64[Tensor, "batch 2 3"]  # takes (column, row, 1) to column and row, in 1/65536
BoxTensor = Int64[Tensor, "batch 4"]  # top, left, height, width; may reach beyond the picture
ByteMask = UInt8[Tensor, "batch height width channels"]  # 255 where something is done, else 0
PlanarTensor = Int32[Tensor, "batch channels height width"]  # pixels with room for products
LumaTensor = Int32[Tensor, "batch height width"]  # grey values, 0 … 255
PlaceTensor = Int32[Tensor, "batch height width"]  # a column or row for each pixel

# numpy, between disk and model
Samples = Int64[np.ndarray, "batch"]  # row numbers in a source, never positions in a shuffled stream
BatchOfSamples = Int64[np.ndarray, " _"]  # row numbers of one batch of several, which may differ in length
Rows = Int64[np.ndarray, "picked"]  # positions in a batch
LabelArray = Int64[np.ndarray, "samples"]  # the labels of a whole source
Pixels = UInt8[np.ndarray, "batch height width channels"]  # rendered or stored pictures, RGB or grey
Picture = UInt8[np.ndarray, "height width channels"]  # one picture of a source whose sizes differ
AnyPicture = UInt8[np.ndarray, "_ _ _"]  # height, width, channels; those of one list may differ
Pictures = Pixels | list[AnyPicture]  # what a source gives: one array where all have one size
View = UInt8[np.ndarray, "view_height view_width channels"]  # a rendered picture, of another size perhaps
Views = UInt8[np.ndarray, "batch view_height view_width channels"]  # what a recipe makes of pictures
Sizes = Int64[np.ndarray, "batch 2"]  # height and width of each picture
BoxTries = Int64[np.ndarray, "batch tries 4"]  # top, left, height, width of several boxes for each picture
Boxes = Int64[np.ndarray, "batch 4"]  # top, left, height, width
Fits = Bool[np.ndarray, "batch tries"]  # which of the tries may be taken
Knobs = Int64[np.ndarray, "batch knobs"]  # resolved parameters, one view per row; who draws them names the columns
KnobRows = Float32[np.ndarray, "batch knobs"]  # what a store keeps for each view; its recipe names the columns
Recorded = Float32[np.ndarray, "batch 5"]  # top, left, height, width as shares of the picture; 1 where mirrored
TopRanks = Int64[np.ndarray, "batch top"]  # the classes of the largest probabilities of each row
TopProbabilities = Float32[np.ndarray, "batch top"]  # the largest probabilities of each row
RecordedTable = Float32[np.ndarray, "views samples 5"]  # `Recorded` of every view
ViewedRanks = Int64[np.ndarray, "views samples top"]  # `TopRanks` of every view
ViewedTop = Float32[np.ndarray, "views samples top"]  # `TopProbabilities` of every view
Digests = UInt32[np.ndarray, "batch"]  # crc32 of the pixels of one view each
Words = UInt32[np.ndarray, "batch words"]  # keyed random words, one row per sample
Shares = Float64[np.ndarray, "batch"]  # of a whole, 0 <= share <= 1
LogitArray = Float32[np.ndarray, "batch classes"]  # logits as a store decodes them

# torch, what a codec keeps of logits
Codes = UInt8[Tensor, "batch classes"]  # levels of a row, 0 stands for its largest logit
PackedCodes = UInt8[Tensor, "batch packed"]  # the same as bytes that hold several, or parts of several
Extremes = Float[Tensor, "batch 1"]  # the smallest, or the largest, logit of each row
TopLogits = Float[Tensor, "batch top"]  # the largest logits of each row
TopClasses = Int64[Tensor, "batch top"]  # the classes of those
Features = Float[Tensor, "batch features"]  # what a model's last layer is given
HeadWeight = Float[Tensor, "classes features"]  # of that layer
HeadBias = Float[Tensor, "classes"]
ClassMean = Float[Tensor, "classes"]  # the mean logit of each class
Basis = Float[Tensor, "rank classes"]  # orthonormal directions of rows of logits
SortedLogits = Float[Tensor, "batch rest"]  # the other logits of each row, falling
RunNumbers = UInt16[Tensor, "batch numbers"]  # what is kept of those
Ticks = Float[Tensor, "batch classes"]  # whole numbers: by how much a large logit is above the others; they have 0
ClassScores = Int16[Tensor, "batch classes"]  # the larger, the larger the logit ought to be
ClassOrder = Int64[Tensor, "batch classes"]  # all classes, from the largest logit to the smallest
