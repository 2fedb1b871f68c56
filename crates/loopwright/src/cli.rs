//! Commands and their flags. Standard output is data; everything else goes to standard error.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use platform_auth::Role;
use platform_loopfile::LoopFile;
use platform_primitives::Fault;

use crate::config::Config;
use crate::{demo, explain, generate, import, server};

pub type CommandError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(
    name = "loopwright",
    version,
    about = "The MLOps loop in one binary: develop, deploy, monitor, retrain"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Log what requests and jobs do
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Serve: tracking, registry, endpoints, monitors, loops and pages on one port
    Up {
        #[command(flatten)]
        place: Place,
        /// Print the address on standard output once the server answers
        #[arg(long)]
        print_url: bool,
    },
    /// Turn the whole loop on real data and report
    Demo {
        #[command(flatten)]
        place: Place,
        /// The user's repository with its loopwright.yaml
        #[arg(long, default_value = "examples/taxi")]
        example: PathBuf,
        /// Who approves versions that pass the gate
        #[arg(long, value_enum, default_value_t = Approve::Prompt)]
        approve: Approve,
        /// Go on where a killed demo stopped
        #[arg(long)]
        resume: bool,
        /// Print the report as JSON on standard output
        #[arg(long)]
        json: bool,
        /// Replay at most this many requests a second; 0 is as fast as it goes
        #[arg(long, default_value_t = 0)]
        rate: u64,
        /// Keep serving the pages after the report, until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
    /// Take over what another server holds
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Explain the rows of a file by a model file: exact Shapley values, without a server
    Explain {
        #[command(flatten)]
        options: explain::Options,
    },
    /// Write source code that predicts what a model file predicts: C, Rust, Go, Java, TypeScript, Python or SQL
    Generate {
        #[command(flatten)]
        options: generate::Options,
    },
    /// Check a loop file
    Validate {
        /// A loopwright.yaml
        file: PathBuf,
    },
    /// Print the JSON Schema of loopwright.yaml
    Schema,
    /// The audit log
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Access tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Supervise one job; started by the server
    #[command(hide = true)]
    JobShim { folder: PathBuf },
}

#[derive(Subcommand)]
pub enum ImportCommand {
    /// Move an MLflow tracking server in; the same command again goes on where a killed one stopped
    Mlflow {
        #[command(flatten)]
        place: Place,
        /// The server's address, or its database: sqlite:///PATH, a .db file or postgresql://…
        #[arg(long)]
        from: String,
        /// The folder of the artifacts, when --from is a database
        #[arg(long)]
        artifact_root: Option<PathBuf>,
        /// Only this experiment and the versions that its runs made; may be given again
        #[arg(long = "experiment")]
        experiments: Vec<String>,
        /// How an artifact that is here already is compared with the source
        #[arg(long, value_enum, default_value_t = import::Verify::Size)]
        verify: import::Verify,
        /// Count what there is and name what would be refused; write nothing
        #[arg(long)]
        dry_run: bool,
        /// Print the report as JSON on standard output
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Recompute the hash chain over all events
    Verify {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Create a token and print it, once
    Create {
        #[command(flatten)]
        place: Place,
        /// Whose token it is
        #[arg(long)]
        name: String,
        /// owner, business, data_engineer, ai_engineer, developer, operator, approver, job or application
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Durability {
    Process,
    Full,
}

impl From<Durability> for platform_db::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Process => Self::Process,
            Durability::Full => Self::Full,
        }
    }
}

/// Where data lives and where to listen.
#[derive(clap::Args, Clone)]
pub struct Place {
    /// Database, blobs, environments and jobs
    #[arg(long, env = "LOOPWRIGHT_DATA_DIR", default_value = "loopwright-data")]
    pub data_dir: PathBuf,
    /// A PostgreSQL address instead of SQLite in the data directory
    #[arg(long, env = "LOOPWRIGHT_DATABASE")]
    pub database: Option<String>,
    /// What an acknowledged write survives on SQLite: death of the process, or loss of power too
    #[arg(long, env = "LOOPWRIGHT_DURABILITY", value_enum, default_value_t = Durability::Process)]
    pub durability: Durability,
    /// Address to listen on; any but loopback demands tokens
    #[arg(long, env = "LOOPWRIGHT_LISTEN", default_value = "127.0.0.1:8600")]
    pub listen: SocketAddr,
    /// Host names this server answers to besides loopback
    #[arg(long = "host")]
    pub hosts: Vec<String>,
    /// Hosts that webhooks may reach although their address is not public
    #[arg(long = "webhook-host", env = "LOOPWRIGHT_WEBHOOK_ALLOW_HOSTS", value_delimiter = ',')]
    pub webhook_hosts: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Approve {
    /// Ask on this terminal; a click on the page counts too
    Prompt,
    /// Approve by itself, for scripts
    Auto,
    /// Wait for the page or the API
    Page,
}

pub async fn run(cli: Cli) -> Result<ExitCode, CommandError> {
    match cli.command {
        Command::Up { place, print_url } => {
            let running = server::start(Config::from_place(&place)?).await?;
            if print_url {
                say(&format!("loopwright listening on {}", running.url))?;
            } else {
                note(&format!("Loopwright is at {}", running.url));
            }
            running.until_stopped().await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo { place, example, approve, resume, json, rate, keep } => {
            let options = demo::Options { place, example, approve, resume, json, rate, keep };
            demo::run(options).await
        }
        Command::Import {
            command: ImportCommand::Mlflow { place, from, artifact_root, experiments, verify, dry_run, json },
        } => {
            let options = import::Options { place, from, artifact_root, experiments, verify, dry_run, json };
            import::mlflow(options).await
        }
        Command::Explain { options } => explain::run(&options),
        Command::Generate { options } => generate::run(&options),
        Command::Validate { file } => {
            let text = fs_err::read_to_string(&file)?;
            LoopFile::parse(&text)?;
            note(&format!("{} is valid", file.display()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema => {
            say(LoopFile::schema().trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Audit { command: AuditCommand::Verify { place } } => {
            let events = server::open_events(&Config::from_place(&place)?).await?;
            match events.verify().await? {
                Ok(count) => {
                    say(&format!("{count} events, the chain holds"))?;
                    Ok(ExitCode::SUCCESS)
                }
                Err(broken) => Err(format!("the audit log was changed: {broken}").into()),
            }
        }
        Command::Token { command: TokenCommand::Create { place, name, roles } } => {
            let mut parsed = Vec::new();
            for role in &roles {
                parsed.push(Role::parse(role).ok_or_else(|| format!("{role:?} is not a role"))?);
            }
            let token = server::create_token(&Config::from_place(&place)?, &name, &parsed).await?;
            say(&token)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::JobShim { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// A line of data.
pub fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A line for the person at the terminal.
pub fn note(line: &str) {
    // A closed terminal is no reason to stop serving.
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(&format!(": {cause_text}"));
        }
        source = cause.source();
    }
    note(&format!("error: {text}"));
    if let Some(hint) = hint_of(error) {
        note(&format!("hint: {hint}"));
    }
    ExitCode::FAILURE
}

/// Hints of the faults that a command line meets.
fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<platform_web::ServeError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<platform_loopfile::InvalidLoopFile>() {
        return error.hint();
    }
    error.downcast_ref::<platform_primitives::Failure>().and_then(Fault::hint)
}
