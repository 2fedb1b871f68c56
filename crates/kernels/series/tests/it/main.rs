#![allow(clippy::unwrap_used)]

use kernel_series::{
    Point, Series, Summaries, bands, batch_keys, decode_batch, decode_chunk, encode_batch, encode_chunk,
    points_of_key, sort_points,
};
use proptest::prelude::*;

fn bits(points: &[Point]) -> Vec<(i64, i64, u64)> {
    points.iter().map(|p| (p.at_ms, p.step, p.value.to_bits())).collect()
}

fn any_point() -> impl Strategy<Value = Point> {
    let value = prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        (0..1000).prop_map(|n| f64::from(n) * 0.001),
        any::<f32>().prop_map(f64::from),
    ];
    let at = prop_oneof![any::<i64>(), 1_700_000_000_000..1_700_000_100_000i64];
    (at, prop_oneof![any::<i64>(), -5..5_000i64], value).prop_map(|(at_ms, step, value)| Point {
        at_ms,
        step,
        value,
    })
}

proptest! {
    #[test]
    fn a_batch_comes_back_as_it_was(points in prop::collection::vec(("[a-d]{0,2}", any_point()), 0..200)) {
        let bytes = encode_batch(points.iter().map(|(key, point)| (key.as_str(), *point)));
        let mut back: Vec<(String, Point)> = Vec::new();
        decode_batch(&bytes, |key, point| back.push((key.to_owned(), point))).unwrap();
        prop_assert_eq!(back.len(), points.len());
        for ((key, point), (own, other)) in points.iter().zip(&back) {
            prop_assert_eq!(key, own);
            prop_assert_eq!(bits(&[*point]), bits(&[*other]));
        }
        let mut keys: Vec<&str> = batch_keys(&bytes).unwrap();
        keys.sort_unstable();
        let mut expected: Vec<&str> = points.iter().map(|(key, _)| key.as_str()).collect();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(keys, expected);
    }

    #[test]
    fn a_chunk_comes_back_as_it_was(lists in prop::collection::btree_map("[a-z/]{1,6}", prop::collection::vec(any_point(), 1..300), 0..6)) {
        let series: Vec<Series> = lists
            .into_iter()
            .map(|(key, mut points)| { sort_points(&mut points); Series { key, points } })
            .collect();
        let bytes = encode_chunk(&series);
        let back = decode_chunk(&bytes).unwrap();
        prop_assert_eq!(back.len(), series.len());
        for (one, other) in series.iter().zip(&back) {
            prop_assert_eq!(&one.key, &other.key);
            prop_assert_eq!(bits(&one.points), bits(&other.points));
            prop_assert_eq!(bits(&points_of_key(&bytes, &one.key).unwrap()), bits(&one.points));
        }
        prop_assert!(points_of_key(&bytes, "ZZ").unwrap().is_empty());
    }

    #[test]
    fn short_columns_that_share_come_back_as_they_were(lists in prop::collection::btree_map("[a-z/]{1,6}", prop::collection::vec((0..50i64, any::<f32>()), 2..300), 2..6)) {
        let series: Vec<Series> = lists.into_iter().map(|(key, values)| {
            let point = |(n, (late, value)): (usize, (i64, f32))| Point { at_ms: n as i64 * 1_000 + late, step: n as i64, value: f64::from(value) };
            Series { key, points: values.into_iter().enumerate().map(point).collect() }
        }).collect();
        let bytes = encode_chunk(&series);
        for (one, other) in series.iter().zip(decode_chunk(&bytes).unwrap()) {
            prop_assert_eq!(bits(&one.points), bits(&other.points));
            prop_assert_eq!(bits(&points_of_key(&bytes, &one.key).unwrap()), bits(&one.points));
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_and_no_panic(cut in 0usize..400, flip in 0usize..400, with in any::<u8>()) {
        let points: Vec<Point> = (0..50).map(|n| Point { at_ms: n * n, step: n, value: (n as f64).sin() }).collect();
        let series = [Series { key: "a".to_owned(), points: points.clone() }, Series { key: "b".to_owned(), points }];
        let float = |n: i64, key: i64| Point { at_ms: n * 1_000 + (n * key) % 7, step: n, value: f64::from((n as f32 + key as f32).sin()) };
        let shared = [5i64, 9].map(|key| Series { key: key.to_string(), points: (0..50).map(|n| float(n, key)).collect() });
        for mut bytes in [encode_chunk(&series), encode_chunk(&shared), encode_batch(series[0].points.iter().map(|p| ("a", *p)))] {
            let place = flip % bytes.len();
            bytes[place] ^= with;
            bytes.truncate(bytes.len() - cut % bytes.len());
            let _ = decode_chunk(&bytes);
            let _ = decode_batch(&bytes, |_, _| {});
            let _ = Summaries::decode(&bytes);
        }
    }

    #[test]
    fn no_spike_is_lost(values in prop::collection::vec(-1e6..1e6f64, 1..3000), width in 1usize..400) {
        let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(n, v)| (n as f64, *v)).collect();
        let found = bands(&points, |point| *point, width);
        prop_assert!(found.len() <= width.max(1) || found.len() == points.len() && points.len() <= width);
        let low = found.iter().map(|band| band.min).fold(f64::INFINITY, f64::min);
        let high = found.iter().map(|band| band.max).fold(f64::NEG_INFINITY, f64::max);
        prop_assert_eq!(low, values.iter().copied().fold(f64::INFINITY, f64::min));
        prop_assert_eq!(high, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        prop_assert_eq!(found.iter().map(|band| band.points).sum::<usize>(), points.len());
        prop_assert!(found.windows(2).all(|pair| pair[0].to <= pair[1].from));
    }

    #[test]
    fn merged_summaries_equal_one_summary_of_all(points in prop::collection::vec(("[ab]", any_point()), 0..60), cut in 0usize..60) {
        let summarise = |part: &[(String, Point)]| {
            let mut all = Summaries::default();
            part.iter().for_each(|(key, point)| all.add(key, *point));
            all
        };
        let cut = cut.min(points.len());
        let mut merged = summarise(&points[..cut]);
        merged.merge(&summarise(&points[cut..]));
        let whole = summarise(&points);
        prop_assert_eq!(merged.iter().len(), whole.iter().len());
        let back = Summaries::decode(&merged.encode()).unwrap();
        for ((key, one), (own, other)) in whole.iter().zip(back.iter()) {
            prop_assert_eq!(key, own);
            prop_assert_eq!(one.points, other.points);
            prop_assert_eq!((one.latest.step, one.latest.at_ms), (other.latest.step, other.latest.at_ms));
            prop_assert!(one.min.to_bits() == other.min.to_bits() || one.min == other.min || one.min.is_nan() && other.min.is_nan());
            prop_assert!(one.max.to_bits() == other.max.to_bits() || one.max == other.max || one.max.is_nan() && other.max.is_nan());
        }
    }
}

#[test]
fn no_chunk_claims_more_points_than_are_ever_written() {
    let point = |n: i64| Point { at_ms: n, step: n, value: 1.0 };
    let whole = encode_chunk(&[Series { key: "a".to_owned(), points: (0..1 << 20).map(point).collect() }]);
    assert_eq!(decode_chunk(&whole).unwrap()[0].points.len(), 1 << 20);
    let more = encode_chunk(&[Series { key: "a".to_owned(), points: (0..=1 << 20).map(point).collect() }]);
    assert!(more.len() < 100, "a progression takes no room");
    assert!(decode_chunk(&more).is_err());
}

#[test]
fn what_people_log_is_small() {
    // Fifty metrics logged together every 1.2 s, with the four to six digits of a training log.
    let series: Vec<Series> = (0..50)
        .map(|key| {
            let points = (0..200i64)
                .map(|n| {
                    let noise = ((n * 7_919 + key * 104_729) % 1_000) as f64 / 1e5;
                    let value = ((1.0 / (1.0 + n as f64 / 20.0) + noise) * 1e4).round() / 1e4;
                    Point { at_ms: 1_700_000_000_000 + n * 1_200 + (n * 31 % 17), step: n, value }
                })
                .collect();
            Series { key: format!("metric_{key:02}"), points }
        })
        .collect();
    let bytes = encode_chunk(&series);
    let each = bytes.len() as f64 / 10_000.0;
    assert!(each < 3.0, "{each} bytes a point");
}
