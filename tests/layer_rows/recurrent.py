"""Recurrent layers and masking."""

from daskpar.nn import Dense, Flatten, Sequential
from daskpar.nn.layers.gru import GRU
from daskpar.nn.layers.lstm import LSTM
from daskpar.nn.layers.masking import Masking
from daskpar.nn.layers.simple_rnn import SimpleRNN
from layer_rows.row import Row

DEEP = (LSTM(3, sequences=True), GRU(4, sequences=True, reverse=True), SimpleRNN(2), Dense(2))

ROWS = [
    Row("simple rnn", SimpleRNN(3), (4, 2)),
    Row("simple rnn relu", SimpleRNN(3, activation="relu"), (3, 2)),
    Row("simple rnn sequences", SimpleRNN(3, sequences=True), (4, 2)),
    Row("simple rnn reverse", SimpleRNN(3, reverse=True), (4, 2)),
    Row("simple rnn reverse relu", SimpleRNN(2, sequences=True, reverse=True, activation="relu"), (3, 3)),
    Row("simple rnn no bias", SimpleRNN(3, bias=False), (3, 2)),
    Row("simple rnn one position", SimpleRNN(3), (1, 2)),
    Row("simple rnn one of each", SimpleRNN(1, sequences=True), (1, 1)),
    Row("lstm", LSTM(3), (4, 2)),
    Row("lstm sequences", LSTM(3, sequences=True), (4, 2)),
    Row("lstm reverse", LSTM(3, reverse=True), (4, 2)),
    Row("lstm reverse sequences", LSTM(2, sequences=True, reverse=True), (5, 1)),
    Row("lstm no bias", LSTM(2, bias=False), (3, 3)),
    Row("lstm forgetful", LSTM(2, forget_bias=-2.0), (3, 2)),
    Row("lstm one position", LSTM(3), (1, 2)),
    Row("lstm one of each", LSTM(1, sequences=True), (1, 1)),
    Row("lstm one unit", LSTM(1), (7, 5)),
    Row("gru", GRU(3), (4, 2)),
    Row("gru sequences", GRU(3, sequences=True), (4, 2)),
    Row("gru reverse", GRU(3, reverse=True), (4, 2)),
    Row("gru reverse sequences", GRU(2, sequences=True, reverse=True), (5, 1)),
    Row("gru no bias", GRU(2, bias=False), (3, 3)),
    Row("gru one position", GRU(3), (1, 2)),
    Row("gru one of each", GRU(1, sequences=True), (1, 1)),
    Row("gru one unit", GRU(1), (7, 5)),
    Row("masking", Masking(), (4, 3)),
    Row("masking before lstm", Sequential((Masking(0.5), LSTM(2))), (3, 2)),
    Row("recurrent layers deep", Sequential(DEEP), (4, 3)),
    Row("recurrent states side by side", Sequential((GRU(2, sequences=True), Flatten(), Dense(2))), (3, 2)),
]
