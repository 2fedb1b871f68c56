"""Turn the trip sample into the three tables the price model needs.

build/training.parquet   what the first model is trained on
build/holdout.parquet    the month after it, never trained on
build/stream.parquet     everything later, in time order, dirty rows included
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FIRST, LAST = pd.Timestamp("2018-01-01"), pd.Timestamp("2021-01-01")

# A row is good enough to learn from, or to be judged on, when both hold.
DISTANCE_RANGE = (0.1, 50.0)
PRICE_RANGE = (3.0, 200.0)

SCHEMA = pa.schema(
    [
        ("trip_id", pa.string()),
        ("pickup_time", pa.timestamp("ms")),
        ("dropoff_time", pa.timestamp("ms")),
        ("trip_distance", pa.float64()),
        ("hour", pa.int64()),
        ("weekday", pa.int64()),
        ("passenger_count", pa.float64()),
        ("vendor_id", pa.float64()),
        ("rate_code_id", pa.float64()),
        ("pickup_zone", pa.int64()),
        ("dropoff_zone", pa.int64()),
        ("price", pa.float64()),
    ]
)


def month(text):
    try:
        return pd.Timestamp(pd.Period(text, freq="M").start_time)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a month such as 2018-06")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trips", type=Path, default=Path("data/trips.parquet"))
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--train-from", type=month, default=month("2018-01"))
    parser.add_argument("--holdout-from", type=month, default=month("2018-06"))
    parser.add_argument("--stream-from", type=month, default=month("2018-07"))
    args = parser.parse_args()
    if not FIRST <= args.train_from < args.holdout_from < args.stream_from < LAST:
        parser.error("the three months must be in order, and between 2018-01 and 2020-12")
    return args


def to_cents(column):
    """The sample holds 32-bit floats; two decimals is what the meter wrote."""
    return column.astype("float64").round(2)


def load(path):
    raw = pq.read_table(path).to_pandas()
    pickup = raw["pickup_datetime"].astype("datetime64[ms]")
    dropoff = raw["dropoff_datetime"].astype("datetime64[ms]")
    # A drop-off before the pick-up, or a day after it, is a broken meter clock.
    broken = (dropoff < pickup) | (dropoff > pickup + pd.Timedelta(hours=24))
    dropoff = dropoff.mask(broken, pickup + pd.Timedelta(hours=1))
    price = to_cents(raw["total_amount"]) - to_cents(raw["tip_amount"]) - to_cents(raw["tolls_amount"])
    trips = pd.DataFrame(
        {
            "trip_id": [f"trip-{row:07d}" for row in range(len(raw))],
            "pickup_time": pickup,
            "dropoff_time": dropoff,
            "trip_distance": to_cents(raw["trip_distance"]),
            "hour": pickup.dt.hour.astype("int64"),
            "weekday": pickup.dt.day_of_week.astype("int64"),
            "passenger_count": raw["passenger_count"].astype("float64"),
            "vendor_id": raw["vendor_id"].astype("float64"),
            "rate_code_id": raw["rate_code_id"].astype("float64"),
            "pickup_zone": raw["pickup_location_id"].astype("int64"),
            "dropoff_zone": raw["dropoff_location_id"].astype("int64"),
            "price": price.round(2),
        }
    )
    inside = (pickup >= FIRST) & (pickup < LAST)
    print(
        f"{path}: {len(trips)} trips, {int((~inside).sum())} dropped (picked up outside 2018-2020), "
        f"{int((broken & inside).sum())} drop-off times replaced"
    )
    # Ties keep the order of the sample, so the result never changes.
    return trips[inside].sort_values(["pickup_time", "trip_id"], kind="stable")


def passes_quality(trips):
    return trips["trip_distance"].between(*DISTANCE_RANGE) & trips["price"].between(*PRICE_RANGE)


def write(rows, path, note):
    table = pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False)
    table = table.replace_schema_metadata(None)
    pq.write_table(table, path, compression="zstd", row_group_size=50_000)
    first, last = rows["pickup_time"].iloc[[0, -1]].dt.strftime("%Y-%m-%d")
    print(f"{path}: {len(rows)} rows, {first} to {last}, {note}")


def main():
    args = arguments()
    trips = load(args.trips)
    good = passes_quality(trips)
    when = trips["pickup_time"]
    args.out.mkdir(parents=True, exist_ok=True)
    for name, start, end in [
        ("training", args.train_from, args.holdout_from),
        ("holdout", args.holdout_from, args.stream_from),
    ]:
        span = (when >= start) & (when < end)
        dropped = int((span & ~good).sum())
        write(trips[span & good], args.out / f"{name}.parquet", f"{dropped} left out by the quality rules")
    span = when >= args.stream_from
    failing = int((span & ~good).sum())
    write(trips[span], args.out / "stream.parquet", f"{failing} of them fail the quality rules and stay in")


if __name__ == "__main__":
    sys.exit(main())
