//! What the person at the terminal sees. A bar only on a terminal; lines everywhere.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::note;

/// Without a terminal there is a line this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

pub struct Screen {
    bar: ProgressBar,
    terminal: bool,
    state: Mutex<State>,
}

struct State {
    place: String,
    runs: u64,
    points: u64,
    bytes: u64,
    told: Instant,
}

impl Screen {
    pub fn new(bars: bool) -> Self {
        let terminal = bars && std::io::IsTerminal::is_terminal(&std::io::stderr());
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        let state = State { place: String::new(), runs: 0, points: 0, bytes: 0, told: Instant::now() };
        Self { bar, terminal, state: Mutex::new(state) }
    }

    pub fn say(&self, line: &str) {
        self.bar.suspend(|| note(line));
    }

    /// Where the import is.
    pub fn at(&self, place: &str) {
        self.change(|state| place.clone_into(&mut state.place));
    }

    pub fn runs(&self, more: u64) {
        self.change(|state| state.runs += more);
    }

    pub fn points(&self, more: u64) {
        self.change(|state| state.points += more);
    }

    pub fn bytes(&self, more: u64) {
        self.change(|state| state.bytes += more);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let Ok(mut state) = self.state.lock() else { return };
        change(&mut state);
        let due = !self.terminal && state.told.elapsed() >= TELL_EVERY;
        if !self.terminal && !due {
            return;
        }
        let State { place, runs, points, bytes, .. } = &*state;
        let text =
            format!("{place}: {runs} runs, {points} points, {} MB of artifacts so far", bytes / 1_000_000);
        if due {
            note(&format!("  {text}"));
            state.told = Instant::now();
        } else {
            self.bar.set_message(text);
            self.bar.tick();
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
