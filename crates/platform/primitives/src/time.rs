//! Points in time as milliseconds since the Unix epoch, UTC.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

pub const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Clone, thiserror::Error)]
#[error("{value:?} is not a time: {rule}")]
pub struct InvalidTime {
    pub value: String,
    pub rule: String,
}

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    pub const fn plus_days(self, days: i64) -> Self {
        self.plus_millis(days.saturating_mul(DAY_MS))
    }

    /// Milliseconds from `earlier` to `self`.
    pub const fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads an RFC 3339 time, a date or a month; a form without zone is UTC.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        let invalid = |rule: &str| InvalidTime { value: text.to_owned(), rule: rule.to_owned() };
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(instant.as_millisecond()));
        }
        let full = if text.len() == 7 { format!("{text}-01") } else { text.to_owned() };
        let civil: jiff::civil::DateTime = match full.parse::<jiff::civil::DateTime>() {
            Ok(civil) => civil,
            Err(_) => full
                .parse::<jiff::civil::Date>()
                .map_err(|_| invalid("expected RFC 3339, YYYY-MM-DD or YYYY-MM"))?
                .to_datetime(jiff::civil::Time::midnight()),
        };
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| invalid("out of range"))?;
        Ok(Self(zoned.timestamp().as_millisecond()))
    }

    fn civil(self) -> jiff::civil::DateTime {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        jiff::tz::TimeZone::UTC.to_datetime(instant)
    }

    /// `2019-02-01`
    pub fn date(self) -> String {
        self.civil().date().to_string()
    }

    /// `2019-02`
    pub fn month(self) -> String {
        let civil = self.civil();
        format!("{:04}-{:02}", civil.year(), civil.month())
    }

    /// Midnight UTC of the first day of the month this lies in.
    pub fn month_start(self) -> Self {
        Self::parse(&self.month()).expect("a month printed by us is a month")
    }

    pub fn next_month_start(self) -> Self {
        Self::from_millis(self.month_start().0 + 32 * DAY_MS).month_start()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = self.civil();
        write!(
            f,
            "{}T{:02}:{:02}:{:02}.{:03}Z",
            civil.date(),
            civil.hour(),
            civil.minute(),
            civil.second(),
            civil.millisecond()
        )
    }
}

/// Where "now" comes from, so that tests can say when it is.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    pub fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_times() {
        for (text, printed) in [
            ("2019-02-01", "2019-02-01T00:00:00.000Z"),
            ("2019-02", "2019-02-01T00:00:00.000Z"),
            ("2019-02-01T10:30:00", "2019-02-01T10:30:00.000Z"),
            ("2019-02-01T10:30:00.250+01:00", "2019-02-01T09:30:00.250Z"),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), printed, "{text}");
        }
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn months_follow_each_other() {
        let january = Timestamp::parse("2019-01-31T23:59:59").unwrap();
        assert_eq!(january.month_start().date(), "2019-01-01");
        assert_eq!(january.next_month_start().date(), "2019-02-01");
        assert_eq!(Timestamp::parse("2020-12-05").unwrap().next_month_start().date(), "2021-01-01");
    }
}
