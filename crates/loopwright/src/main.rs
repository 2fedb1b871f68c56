//! `loopwright`: the command line. Parses, wires, reports; decides nothing.

mod cli;
mod config;
mod demo;
mod explain;
mod files;
mod generate;
mod import;
mod lock;
mod ports;
mod server;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // The shim is a process of its own and must stay small: no runtime, no database.
    if let cli::Command::JobShim { folder } = &cli.command {
        return match platform_jobs::shim::run(folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => cli::fail(&error),
        };
    }
    platform_telemetry::init_logs(cli.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&error),
    };
    match runtime.block_on(cli::run(cli)) {
        Ok(code) => code,
        Err(error) => cli::fail(error.as_ref()),
    }
}
