//! Every test, in one run, with one count at the end.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::postgres::{self, Cluster};
use crate::{tidy, tools};

#[derive(Default)]
struct Count {
    passed: u64,
    failed: u64,
    /// What a test program printed about its failures, told again at the end of a long run.
    failures: Vec<String>,
}

impl Count {
    /// One check that either holds or not.
    fn check(&mut self, name: &str, holds: bool) {
        println!("{name}: {}", if holds { "ok" } else { "FAILED" });
        if holds {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.failures.push(format!("{name}: FAILED"));
        }
    }

    /// Runs a test program, shows what it prints, and adds the counts of its closing lines.
    fn run(&mut self, name: &str, mut command: Command, counts: fn(&str) -> Option<(u64, u64)>) {
        println!("== {name}");
        command.stdout(Stdio::piped());
        let before = (self.passed, self.failed);
        let ended = match command.spawn() {
            Ok(mut child) => {
                let lines = child.stdout.take().map(BufReader::new);
                let mut failing = false;
                for line in lines.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
                    println!("{line}");
                    if let Some((passed, failed)) = counts(&line) {
                        self.passed += passed;
                        self.failed += failed;
                    }
                    // Both report their failures between such a heading and their closing line.
                    failing |= line == "failures:" || line.trim_matches(['=', ' ']) == "FAILURES";
                    if failing {
                        failing = counts(&line).is_none();
                        self.failures.push(line);
                    }
                }
                child.wait().is_ok_and(|status| status.success())
            }
            Err(error) => {
                println!("{error}");
                false
            }
        };
        if !ended && self.failed == before.1 {
            // It broke before it could count.
            self.check(name, false);
        } else if (self.passed, self.failed) == before {
            self.check(&format!("{name} ran no test"), false);
        }
    }
}

/// `test result: ok. 6 passed; 0 failed; …`
fn cargo_counts(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| {
        let end = rest.find(word)?;
        rest[..end].split_whitespace().last()?.parse().ok()
    };
    Some((number(" passed")?, number(" failed")?))
}

/// pytest's last line: `3 failed, 220 passed in 60.12s`, bare or between `=`.
fn pytest_counts(line: &str) -> Option<(u64, u64)> {
    let line = line.trim_matches(['=', ' ']);
    if !line.contains(" in ") || !line.ends_with(['s', ')']) {
        return None;
    }
    let (mut passed, mut failed, mut seen) = (0, 0, false);
    for part in line.split(" in ").next()?.split(", ") {
        let (number, word) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match word {
            "passed" => passed = number,
            "failed" | "error" | "errors" => failed += number,
            _ => {}
        }
        seen = true;
    }
    seen.then_some((passed, failed))
}

pub fn run(root: &Path) -> Result<(), String> {
    tools::ensure_uv(root)?;
    tools::ensure_packages(root, &["postgresql"], || postgres::programs().is_some())?;
    let browser = || tools::on_path("chromium").is_some() && tools::on_path("chromedriver").is_some();
    tools::ensure_packages(root, &["chromium", "chromium-driver"], browser)?;
    let mut count = Count::default();
    let cargo = |arguments: &[&str]| tools::command("cargo", arguments, root);
    count.check("format", tools::succeeds(cargo(&["fmt", "--check"])));
    let clippy = ["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];
    count.check("lints", tools::succeeds(cargo(&clippy)));
    count.check("tidy", tidy::run(root).map_err(|message| println!("{message}")).is_ok());
    let cluster = Cluster::start(root)?;
    let mut tests = cargo(&["test", "--release", "--workspace", "--no-fail-fast"]);
    tests.env("LOOPWRIGHT_TEST_POSTGRES", &cluster.url);
    count.run("Rust", tests, cargo_counts);
    let program = binary(root)?;
    for command in printed_commands(root)? {
        let arguments: Vec<&str> = command.split(' ').skip(1).chain(["--help"]).collect();
        count.check(&format!("`{command}` of the README and guides"), tools::succeeds(cargo(&arguments)));
    }
    for project in ["clients/python", "tests/clients", "tests/codegen", "tests/loop", "tests/browser"] {
        let mut command =
            tools::command("uv", &["run", "--frozen", "--project", project, "pytest", "-q", project], root);
        command.env("LOOPWRIGHT_BIN", &program).env("LOOPWRIGHT_TEST_POSTGRES", &cluster.url);
        // Each suite has its own environment; one that is active here would only be in the way.
        command.env_remove("VIRTUAL_ENV");
        count.run(project, command, pytest_counts);
    }
    drop(cluster);
    if !count.failures.is_empty() {
        println!("== what failed\n{}", count.failures.join("\n"));
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed == 0 && count.passed > 0 { Ok(()) } else { Err(String::new()) }
}

/// `cargo run --release -- COMMAND` as the README and the guides print it, each once.
fn printed_commands(root: &Path) -> Result<BTreeSet<String>, String> {
    const START: &str = "cargo run --release -- ";
    let mut files = vec![root.join("README.md")];
    for entry in fs_err::read_dir(root.join("docs/guides")).map_err(|error| error.to_string())? {
        files.push(entry.map_err(|error| error.to_string())?.path());
    }
    let mut commands = BTreeSet::new();
    for file in files {
        let text = fs_err::read_to_string(file).map_err(|error| error.to_string())?;
        for rest in text.split(START).skip(1) {
            let command = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
            commands.insert(format!("{START}{command}"));
        }
    }
    match commands.contains("cargo run --release -- demo") {
        true => Ok(commands),
        false => Err("the README does not print the command of the demo".to_owned()),
    }
}

/// The binary under test, built.
fn binary(root: &Path) -> Result<String, String> {
    let arguments =
        ["build", "--release", "--package", "loopwright", "--message-format", "json-render-diagnostics"];
    let mut build = tools::command("cargo", &arguments, root);
    build.stderr(Stdio::inherit());
    let output = tools::output(build)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let marker = "\"executable\":\"";
    text.lines()
        .filter_map(|line| line.split_once(marker)?.1.split_once('"').map(|(path, _)| path.to_owned()))
        .find(|path| path.ends_with("/loopwright"))
        .ok_or_else(|| "cargo did not say where the binary is".to_owned())
}

pub fn write_schema(root: &Path) -> Result<(), String> {
    let program = binary(root)?;
    let output = tools::output(tools::command(&program, &["schema"], root))?;
    let path = root.join("docs/reference/loopwright.schema.json");
    fs_err::write(path, output.stdout).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        assert_eq!(cargo_counts("test result: ok. 6 passed; 0 failed; 0 ignored; 0 measured"), Some((6, 0)));
        assert_eq!(cargo_counts("test result: FAILED. 2 passed; 3 failed; 1 ignored"), Some((2, 3)));
        assert_eq!(cargo_counts("test tests::x ... ok"), None);
        assert_eq!(pytest_counts("3 failed, 220 passed in 60.12s"), Some((220, 3)));
        assert_eq!(pytest_counts("===== 12 passed, 1 skipped in 1.02s (0:01:02) ====="), Some((12, 0)));
        assert_eq!(pytest_counts("1 passed, 2 errors in 3.0s"), Some((1, 2)));
        assert_eq!(pytest_counts("no tests ran in 0.01s"), None);
        assert_eq!(pytest_counts("logged in as x"), None);
    }
}
