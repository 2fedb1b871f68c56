//! Judges of rollouts on the same simulated traffic: `rollout [--runs N] [--looks N]`. Prints a Markdown table for
//! `benches/rollout`. With `--looks` it only asks our judge so many times, once a second, about a candidate that is as good as
//! the champion, and prints how often it was rolled back.

#![allow(clippy::print_stdout)]

mod kayenta;
mod minutes;
mod thresholds;
mod trace;

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use kernel_sequential::{InputError, Judge, Kind, Margins, Metric, Plan, Request, Verdict};

use minutes::{Minute, Minutes};
use trace::{Bad, SHARE, Slower, Trace, Traffic};

const ALPHA: f64 = 0.05;
const HORIZON_S: usize = 3 * 3_600;
/// Seeds of the runs on which peers are tuned begin here.
const TUNING: u64 = 1 << 32;

const CALM: Trace = Trace::no_change("no change, 1 % errors", 0.01, false);

fn traces() -> Vec<Trace> {
    let rare = Trace::no_change("no change, 0.1 % errors", 0.001, false);
    let bursty = Trace::no_change("no change, bursts", 0.01, true);
    vec![
        CALM,
        rare,
        bursty,
        Trace { name: "errors 1 % to 2 %", errors: [0.01, 0.02], ..CALM },
        Trace { name: "errors 1 % to 1.5 %", errors: [0.01, 0.015], ..CALM },
        Trace { name: "errors 0.1 % to 0.5 %", errors: [0.001, 0.005], ..rare },
        Trace { name: "errors 1 % to 2 %, bursts", errors: [0.01, 0.02], ..bursty },
        Trace { name: "latency x1.1", slower: Slower::All(1.1), bad: Bad::Slow, ..CALM },
        Trace { name: "latency x1.3 above p95", slower: Slower::Tail(1.3), bad: Bad::Slow, ..CALM },
        Trace { name: "accuracy -2 points, labels after 1 h", wrong: [0.1, 0.12], bad: Bad::Wrong, ..CALM },
    ]
}

fn judge() -> Result<Judge, InputError> {
    let metric = |name, kind, roll_back, promote| Metric::new(name, kind, Margins { roll_back, promote });
    Judge::new(Plan {
        alpha: ALPHA,
        ..Plan::new(vec![
            metric("errors", Kind::Errors { expected: 0.01 }, 0.0, 0.002),
            metric("latency p99", Kind::Latency { quantile: 0.99 }, 1.0, 1.05),
            metric("accuracy", Kind::Accuracy { expected: 0.1 }, 0.0, 0.01),
        ])
    })
}

/// What the candidate had answered when it was rolled back.
#[derive(Clone, Copy)]
struct Stopped {
    requests: u64,
    bad: u64,
}

/// Asks our judge once a second.
struct Ours {
    judge: Judge,
    stopped: Option<Stopped>,
    promoted: bool,
}

impl Ours {
    fn new() -> Result<Self, InputError> {
        Ok(Self { judge: judge()?, stopped: None, promoted: false })
    }

    fn look(&mut self, second: &trace::Second, seen: &Minutes) -> Result<(), InputError> {
        if self.stopped.is_some() {
            return Ok(());
        }
        for served in &second.requests {
            let latency_ms = Some(served.latency_ms);
            let (arm, failed) = (served.arm, served.failed);
            self.judge.observe(&Request { arm, share: SHARE, failed, latency_ms, rates: &[] })?;
        }
        for (arm, right) in &second.labels {
            self.judge.label(*arm, SHARE, *right)?;
        }
        match self.judge.verdict() {
            Verdict::RollBack { .. } => {
                self.stopped = Some(Stopped { requests: seen.requests, bad: seen.bad });
            }
            Verdict::Promote => self.promoted = true,
            Verdict::NotYet { .. } | Verdict::Reopened { .. } => {}
        }
        Ok(())
    }
}

/// One simulated rollout: what metrics servers keep of it, and what our judge said.
struct Run {
    minutes: Vec<Minute>,
    ours: Option<Ours>,
}

fn simulate(trace: Trace, seed: u64, is_ours_asked: bool) -> Result<Run, InputError> {
    let mut traffic = Traffic::new(trace, seed);
    let mut seen = Minutes::default();
    let mut ours = if is_ours_asked { Some(Ours::new()?) } else { None };
    for _ in 0..HORIZON_S {
        let second = traffic.second();
        seen.add(&second);
        if let Some(ours) = &mut ours {
            ours.look(&second, &seen)?;
        }
    }
    Ok(Run { minutes: seen.minutes, ours })
}

/// Runs with seeds from `first` on, on all processors, in the order of their seeds.
fn all<T: Send>(
    runs: u64,
    first: u64,
    one: impl Fn(u64) -> Result<T, InputError> + Sync,
) -> Result<Vec<T>, InputError> {
    let next = AtomicU64::new(0);
    let found = Mutex::new(Vec::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= runs {
                break;
            }
            let result = one(first + number);
            if let Ok(mut found) = found.lock() {
                found.push((number, result));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, result)| result).collect()
}

/// A peer's settings that roll back the part `ALPHA` of runs without a change.
#[derive(Clone, Copy)]
struct Tuned {
    kayenta_z: f64,
    limits: thresholds::Limits,
}

fn tune(trace: Trace, runs: u64) -> Result<Tuned, InputError> {
    let quiet: Vec<Vec<Minute>> = all(runs, TUNING, |seed| Ok(simulate(trace, seed, false)?.minutes))?;
    let mut strongest: Vec<f64> = quiet.iter().map(|minutes| kayenta::strongest(minutes)).collect();
    strongest.sort_by(|a, b| b.total_cmp(a));
    // Only what is above it alarms.
    let place = (ALPHA * runs as f64) as usize;
    let kayenta_z = strongest.get(place).copied().unwrap_or(f64::INFINITY);
    Ok(Tuned { kayenta_z, limits: thresholds::tuned(&quiet, ALPHA) })
}

/// The middle of what the runs had served, where those that went on for ever are the largest.
fn median(stopped: &[Option<Stopped>], part: impl Fn(&Stopped) -> u64) -> Option<u64> {
    let mut values: Vec<u64> = stopped.iter().map(|one| one.as_ref().map_or(u64::MAX, &part)).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().filter(|value| *value < u64::MAX)
}

/// One row of the table. `ours`: the median of bad requests that our judge let pass.
fn print_row(trace: &Trace, name: &str, stopped: &[Option<Stopped>], ours: Option<u64>) {
    let percent = |count: usize| format!("{:.0} %", 100.0 * count as f64 / stopped.len() as f64);
    let rolled_back = percent(stopped.iter().flatten().count());
    let shown = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
    if trace.is_no_change() {
        println!("| {} | {name} | {rolled_back} | | | | |", trace.name);
        return;
    }
    let bad = median(stopped, |one| one.bad);
    let ratio = match (bad, ours) {
        (Some(bad), Some(ours)) if ours > 0 => format!("{:.1}", bad as f64 / ours as f64),
        _ => "–".to_owned(),
    };
    let requests = shown(median(stopped, |one| one.requests));
    println!("| {} | {name} | | {rolled_back} | {requests} | {} | {ratio} |", trace.name, shown(bad));
}

fn table(runs: u64) -> Result<(), InputError> {
    println!(
        "| trace | judge | false roll-backs | detected | requests before | bad before | bad, times ours |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut tuned: Vec<(Trace, Tuned)> = Vec::new();
    let mut promoted = Vec::new();
    for trace in traces() {
        let is_tuned_on =
            |other: &Trace| other.errors[0] == trace.errors[0] && other.has_bursts == trace.has_bursts;
        let known = tuned.iter().find(|(other, _)| is_tuned_on(other)).map(|(_, known)| *known);
        let settings = match known {
            Some(settings) => settings,
            None => {
                let settings = tune(trace.unchanged(), runs)?;
                tuned.push((trace, settings));
                settings
            }
        };
        let found = all(runs, 0, |seed| simulate(trace, seed, true))?;
        let ours: Vec<Option<Stopped>> =
            found.iter().map(|run| run.ours.as_ref().and_then(|ours| ours.stopped)).collect();
        let count = found.iter().flat_map(|run| &run.ours).filter(|ours| ours.promoted).count();
        promoted.push(format!("{count} ({})", trace.name));
        let by_minute = |alarm: &dyn Fn(&[Minute]) -> Option<usize>| -> Vec<Option<Stopped>> {
            let stopped = |minutes: &[Minute]| {
                let Minute { requests, bad, .. } = minutes[alarm(minutes)?];
                Some(Stopped { requests, bad })
            };
            found.iter().map(|run| stopped(&run.minutes)).collect()
        };
        let least = median(&ours, |one| one.bad);
        print_row(&trace, "ours, every second", &ours, least);
        let ranks = by_minute(&|minutes| kayenta::first_alarm(minutes, kayenta::DEFAULT_Z));
        print_row(&trace, "Mann-Whitney, defaults", &ranks, least);
        let ranks = by_minute(&|minutes| kayenta::first_alarm(minutes, settings.kayenta_z));
        print_row(&trace, "Mann-Whitney, tuned", &ranks, least);
        let limits = by_minute(&|minutes| thresholds::first_alarm(minutes, &thresholds::DOCUMENTED));
        print_row(&trace, "thresholds, documented", &limits, least);
        let limits = by_minute(&|minutes| thresholds::first_alarm(minutes, &settings.limits));
        print_row(&trace, "thresholds, tuned", &limits, least);
    }
    println!();
    println!("{runs} runs of {HORIZON_S} s each. Promoted by ours: {}.", promoted.join(", "));
    Ok(())
}

fn many_looks(runs: u64, looks: u64) -> Result<(), InputError> {
    let rolled_back = all(runs, 0, |seed| {
        let (mut traffic, mut ours, seen) = (Traffic::new(CALM, seed), Ours::new()?, Minutes::default());
        for _ in 0..looks {
            ours.look(&traffic.second(), &seen)?;
            if ours.stopped.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    let count = rolled_back.iter().filter(|is_rolled_back| **is_rolled_back).count();
    println!("{count} of {runs} equal candidates rolled back within {looks} looks; alpha {ALPHA}");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut runs, mut looks) = (100, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} wants a number"))?;
        let number = value.parse::<u64>().map_err(|error| format!("{argument} {value:?}: {error}"))?;
        match argument.as_str() {
            "--runs" if number > 0 => runs = number,
            "--looks" => looks = Some(number),
            _ => return Err(format!("{argument} {value} is none of --runs N (at least 1), --looks N").into()),
        }
    }
    match looks {
        Some(looks) => many_looks(runs, looks)?,
        None => table(runs)?,
    }
    Ok(())
}
