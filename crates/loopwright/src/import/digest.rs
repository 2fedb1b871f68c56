//! Sums over the points of a series, the same in whatever order they come: source and target are read once each, page by page.

use kernel_series::Point;
use sha2::{Digest, Sha256};

/// How many points, and the sum of their SHA-256, cut to 128 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeriesDigest {
    pub points: u64,
    sum: u128,
}

impl SeriesDigest {
    /// Every NaN is the same one, and so are the zeros: MLflow's tables tell neither apart.
    pub fn add(&mut self, point: &Point) {
        let value = if point.value.is_nan() { f64::NAN } else { point.value + 0.0 };
        let mut bytes = [0u8; 24];
        bytes[..8].copy_from_slice(&point.at_ms.to_be_bytes());
        bytes[8..16].copy_from_slice(&point.step.to_be_bytes());
        bytes[16..].copy_from_slice(&value.to_bits().to_be_bytes());
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let mut half = [0u8; 16];
        half.copy_from_slice(&hash[..16]);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
        self.points += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_matter_and_every_field_does() {
        let point = |at_ms, step, value| Point { at_ms, step, value };
        let digest = |points: &[Point]| {
            let mut digest = SeriesDigest::default();
            points.iter().for_each(|point| digest.add(point));
            digest
        };
        let (a, b) = (point(1, 2, 0.5), point(2, 1, f64::NAN));
        assert_eq!(digest(&[a, b]), digest(&[b, a]));
        assert_eq!(digest(&[point(1, 1, 0.0)]), digest(&[point(1, 1, -0.0)]));
        for other in [point(0, 2, 0.5), point(1, 3, 0.5), point(1, 2, 0.25), point(1, 2, f64::NAN)] {
            assert_ne!(digest(&[a]), digest(&[other]));
        }
        assert_ne!(digest(&[a]), digest(&[a, a]));
    }
}
