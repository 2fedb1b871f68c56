//! Logs and metrics of the server itself.

use std::sync::{Arc, Mutex};

use prometheus_client::registry::Registry;

/// The metrics of this process, shared by all groups.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// Adds a metric; names carry their unit.
    pub fn register(&self, name: &str, help: &str, metric: impl prometheus_client::registry::Metric) {
        if let Ok(mut registry) = self.registry.lock() {
            registry.register(format!("loopwright_{name}"), help, metric);
        }
    }

    /// All metrics as OpenMetrics text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Ok(registry) = self.registry.lock() {
            prometheus_client::encoding::text::encode(&mut text, &registry)
                .expect("writing to a String cannot fail");
        }
        text
    }
}

/// Logs to standard error; `verbose` adds what requests and jobs do.
pub fn init_logs(verbose: bool) {
    let level = if verbose { tracing::Level::DEBUG } else { tracing::Level::WARN };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    // A second call (tests) keeps the first subscriber.
    let _ = subscriber.try_init();
}
