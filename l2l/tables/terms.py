"""What is measured and what rows are called, in the words that stand beside the tables."""

TOP1 = ("top-1", "share of the videos whose highest-scoring class is theirs, in percent")
MAP = ("mAP", "mean over the classes with positives of the average precision of their scores, in percent")
GMACS = ("GMACs", "10⁹ multiply-adds a video, counted per layer, mean over the test videos; decoding is not counted")
SPREAD = ("±", "sample standard deviation over the seeds")
HARD = ("hard", "only the positions that were picked are read: the honest number")
SOFT = ("soft", "attention-weighted sums over all positions are read, as the paper trains")
STRAIGHT = ("straight-through", "trained with hard selection whose gradient is that of the soft sum")
START = ("start counted", "the mean feature of the video is the first of the T looks, as in the paper")
HELD = (
    "held here",
    "yes or no by the mean difference over the seeds, both sides with the same seed; not certain where its 95 % "
    "interval (Student's t) does not lie wholly on that side",
)
COSTS = (
    ("indexing", "GMACs for what is computed at every position that is taken, to choose by it"),
    ("skimming", "GMACs of the skimmer itself"),
    ("recognition", "GMACs for what is computed at the looks alone"),
)

FEATURES = {"both": "image-audio", "image": "image", "audio": "audio"}
RECOGNISERS = {"r2plus1d": "R(2+1)D", "i3d": "I3D", "student": "another student"}
MODELS = {"lstm": "LSTM over all positions", "nonrecurrent": "non-recurrent, one query"}
SELECTIONS = {
    "random": "random",
    "uniform": "uniform",
    "front": "front",
    "centre": "centre",
    "end": "end",
    "confident": "most confident (SCSampler's idea)",
    "dense": "dense, all positions",
    "oracle": "oracle, best by the true class",
}
BLIND = ("random", "uniform", "front", "centre", "end", "confident", "dense")  # do not learn, do not know the truth
