"""A small taxi project whose prices jump, so that the loop asks for two decisions within seconds."""

import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FIRST, LAST = pd.Timestamp("2018-04-01"), pd.Timestamp("2018-09-01")
JUMP, FACTOR = pd.Timestamp("2018-07-10"), 1.5
SETTINGS = {"train_from: 2018-01": "train_from: 2018-04", "trees: 200": "trees: 60"}


def make(source, folder):
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("data", "build", ".venv", "__pycache__"))
    text = (folder / "loopwright.yaml").read_text()
    for old, new in SETTINGS.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "loopwright.yaml").write_text(text)

    table = pq.read_table(source / "data" / "trips.parquet")
    trips = table.to_pandas()
    trips = trips[trips["pickup_datetime"].between(FIRST, LAST, inclusive="left")]
    later = trips["pickup_datetime"] >= JUMP
    trips["total_amount"] = trips["total_amount"].where(~later, trips["total_amount"] * FACTOR)
    (folder / "data").mkdir()
    small = pa.Table.from_pandas(trips, schema=table.schema, preserve_index=False)
    pq.write_table(small, folder / "data" / "trips.parquet")
    return folder
