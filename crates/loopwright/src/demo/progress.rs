//! What the person at the terminal sees. Bars only on a terminal; lines everywhere.

use std::sync::{Arc, Mutex};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use platform_jobs::LogLine;
use platform_primitives::Timestamp;
use serde_json::Value;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::oneshot;

use crate::cli::note;

#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    /// What a job says while the world stands still.
    job: Arc<Mutex<Option<ProgressBar>>>,
    terminal: bool,
}

impl Screen {
    pub fn new(bars: bool) -> Self {
        let terminal = bars && std::io::IsTerminal::is_terminal(&std::io::stderr());
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), job: Arc::default(), terminal }
    }

    pub fn say(&self, line: &str) {
        self.bars.suspend(|| note(line));
    }

    /// An entry of the loop's time line.
    pub fn event(&self, entry: &Value) {
        let at = entry["at"].as_i64().map_or(String::new(), |at| Timestamp::from_millis(at).date());
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        self.say(&format!("  {at}  {}: {}", text("title"), text("detail")));
    }

    pub fn bar(&self, rows: u64) -> ReplayBar {
        let style =
            ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} requests, {per_sec}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.bars.add(ProgressBar::new(rows).with_style(style));
        ReplayBar { bar, screen: self.clone(), last_month: Mutex::new(String::new()) }
    }

    /// One line of a running job.
    fn job_line(&self, line: &LogLine) {
        let text = format!("{}: {}", line.name, line.text);
        if !self.terminal {
            note(&format!("    {text}"));
            return;
        }
        if let Ok(mut job) = self.job.lock() {
            let bar = job.get_or_insert_with(|| {
                let style = ProgressStyle::with_template("    {spinner} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner());
                self.bars.add(ProgressBar::new_spinner().with_style(style))
            });
            bar.set_message(text.chars().take(100).collect::<String>());
            bar.tick();
        }
    }

    /// No job speaks any more.
    pub fn quiet(&self) {
        if let Ok(mut job) = self.job.lock()
            && let Some(bar) = job.take()
        {
            bar.finish_and_clear();
        }
    }

    /// Asks on the terminal without holding up anything else; `None` at the end of input.
    pub fn ask(&self, question: &str) -> oneshot::Receiver<Option<String>> {
        self.quiet();
        self.say(question);
        let (answer, line) = oneshot::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = std::io::stdin().read_line(&mut text);
            // The page may have decided; then nobody waits for this line.
            let _ = answer.send(match read {
                Ok(0) | Err(_) => None,
                Ok(_) => Some(text),
            });
        });
        line
    }
}

pub struct ReplayBar {
    bar: ProgressBar,
    screen: Screen,
    last_month: Mutex<String>,
}

impl ReplayBar {
    pub fn set(&self, rows: u64, date: &str) {
        self.bar.set_position(rows);
        self.bar.set_message(format!("replaying {date}"));
        if self.screen.terminal {
            return;
        }
        // Without a terminal: a line a month.
        if let Ok(mut last) = self.last_month.lock() {
            let month = date.get(..7).unwrap_or(date);
            if *last != month {
                *last = month.to_owned();
                note(&format!("  replaying {month}, {rows} requests so far"));
            }
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows what jobs print until it is aborted.
pub async fn follow_jobs(mut lines: Receiver<LogLine>, screen: Screen) {
    loop {
        match lines.recv().await {
            Ok(line) => screen.job_line(&line),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
