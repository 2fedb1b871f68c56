//! MLflow's tracing protocol and OTLP, over HTTP, on both engines.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod assessments;
mod metrics;
mod otlp;
mod search;
mod server;
mod traces;
