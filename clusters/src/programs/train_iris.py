"""Trains the iris classifier that the scenarios serve and writes it to the directory given as argument."""

import pathlib
import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

directory = pathlib.Path(sys.argv[1])
directory.mkdir(parents=True)
features, classes = load_iris(return_X_y=True)
joblib.dump(LogisticRegression(max_iter=500).fit(features, classes), directory / "model.joblib")
