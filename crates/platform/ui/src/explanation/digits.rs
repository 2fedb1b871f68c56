//! Numbers of one chart, written alike so that they can be added and compared.

use crate::format::fixed;

/// Beyond these, a number with an exponent is shorter and says more.
const DECIMALS_MAX: i32 = 6;
const WHOLE_MAX: f64 = 1e12;

#[derive(Clone, Copy, Debug)]
pub(super) struct Digits {
    decimals: i32,
}

impl Digits {
    /// Three figures of `span`: 0.35 is written 0.350, and 42,000 without decimals.
    pub(super) fn of_span(span: f64) -> Self {
        Self { decimals: 2 - power_of_ten(span) }
    }

    /// Enough for multiples of `step`, which is 1, 2 or 5 times a power of ten.
    pub(super) fn of_step(step: f64) -> Self {
        Self { decimals: -power_of_ten(step) }
    }

    pub(super) fn plain(self, value: f64) -> String {
        if !value.is_finite() {
            return "missing".to_owned();
        }
        let precise = self.decimals > DECIMALS_MAX && value != 0.0;
        if precise || value.abs() >= WHOLE_MAX {
            return format!("{value:.2e}");
        }
        fixed(value, self.decimals.clamp(0, DECIMALS_MAX) as usize)
    }

    /// With a plus where there is no minus; zero has neither.
    pub(super) fn signed(self, value: f64) -> String {
        let text = self.plain(value);
        let sign = value > 0.0 && text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        if sign { format!("+{text}") } else { text }
    }

    pub(super) fn rounds_to_nothing(self, value: f64) -> bool {
        value.abs() < 0.5 * 10f64.powi(-self.decimals)
    }
}

fn power_of_ten(value: f64) -> i32 {
    // A hair above, so that 0.1 + 0.2 - 0.2 is still a tenth.
    let exponent = (value.abs().log10() + 1e-9).floor();
    if exponent.is_finite() { exponent as i32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_chart_have_the_same_decimals() {
        for (span, value, plain, signed) in [
            (0.35, 0.5, "0.500", "+0.500"),
            (0.35, -0.0001, "0.000", "0.000"),
            (42_000.0, 1234.5, "1,234", "+1,234"),
            (5.0, -3.456, "-3.46", "-3.46"),
            (0.0, 1.0, "1.00", "+1.00"),
            (1e-9, 2.5e-9, "2.50e-9", "+2.50e-9"),
            (1e-9, 0.0, "0.000000", "0.000000"),
            (1.0, 3e15, "3.00e15", "+3.00e15"),
            (1.0, f64::NAN, "missing", "missing"),
            (f64::NAN, 1.0, "1.00", "+1.00"),
        ] {
            let digits = Digits::of_span(span);
            assert_eq!(
                (digits.plain(value).as_str(), digits.signed(value).as_str()),
                (plain, signed),
                "{span}"
            );
        }
        assert_eq!(Digits::of_step(0.05).plain(0.1 + 0.2), "0.30");
        assert_eq!(Digits::of_step(2000.0).plain(4000.0), "4,000");
    }
}
