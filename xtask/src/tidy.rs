//! Rules of the house that a compiler does not know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A source file of this many lines wants a reason on its first lines: `tidy: long because …`.
const LONG: usize = 800;

const FORBIDDEN_NAMES: [&str; 9] =
    ["Manager", "Handler", "Helper", "Util", "Utils", "Common", "Misc", "Base", "Info"];

/// Storeys, lowest first; a crate leans only on lower ones, and on its own where `within` says so.
const STOREYS: [(&str, &str, bool); 4] = [
    ("kernels", "kernel-", true),
    ("platform", "platform-", true),
    ("groups", "group-", false),
    ("loopwright", "loopwright", false),
];

pub fn run(root: &Path) -> Result<(), String> {
    let mut broken = Vec::new();
    dependencies(root, &mut broken);
    for file in sources(root) {
        source_rules(root, &file, &mut broken);
    }
    group_readmes(root, &mut broken);
    vendored(root, &mut broken);
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

fn read(path: &Path) -> String {
    fs_err::read_to_string(path).unwrap_or_default()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs_err::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Who leans on whom, read from the manifests.
fn dependencies(root: &Path, broken: &mut Vec<String>) {
    for (storey, (folder, prefix, within)) in STOREYS.iter().enumerate() {
        let place = root.join("crates").join(folder);
        let crates = if *folder == "loopwright" { vec![place] } else { folders(&place) };
        for member in crates {
            let manifest = read(&member.join("Cargo.toml"));
            // Tests may lean on the test kit; the product may not.
            let product = manifest.split("[dev-dependencies]").next().unwrap_or_default();
            for line in product.lines() {
                let Some((dependency, _)) = line.split_once(['.', ' ', '=']) else { continue };
                let target = STOREYS.iter().position(|(_, prefix, _)| dependency.starts_with(prefix));
                let Some(target) = target.filter(|_| line.contains("workspace = true")) else { continue };
                let own = dependency.starts_with(prefix);
                if target > storey || (own && !within && *folder != "loopwright") {
                    broken.push(format!("crates/{folder}/{}: may not lean on {dependency}", name(&member)));
                }
            }
            let tokio = product.lines().any(|line| line.starts_with("tokio") || line.starts_with("fs-err"));
            if *folder == "kernels" && tokio {
                broken.push(format!("crates/kernels/{}: kernels know no async and no files", name(&member)));
            }
        }
    }
}

fn sources(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![root.join("crates"), root.join("xtask")];
    while let Some(folder) = queue.pop() {
        for entry in fs_err::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn source_rules(root: &Path, file: &Path, broken: &mut Vec<String>) {
    let text = read(file);
    let shown = file.strip_prefix(root).unwrap_or(file).display().to_string();
    let mut say = |rule: String| broken.push(format!("{shown}: {rule}"));
    let lines = text.lines().count();
    if lines > LONG && !text.lines().take(10).any(|line| line.contains("tidy: long because")) {
        say(format!("{lines} lines, more than {LONG}"));
    }
    let is_test = shown.contains("/tests/");
    let in_groups = shown.starts_with("crates/groups/");
    let in_store = shown.ends_with("/store.rs") || shown.contains("/store/");
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    let sql = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM "];
    let holds_sql = product.lines().any(|line| {
        let code = line.trim_start();
        !code.starts_with("//") && sql.iter().any(|word| code.contains(&format!("\"{word}")))
    });
    if in_groups && !is_test && !in_store && holds_sql {
        say("SQL belongs in store".to_owned());
    }
    let spawns = product.contains("Command::new(");
    let may_spawn = shown.starts_with("crates/platform/jobs/") || shown.starts_with("xtask/");
    if spawns && !may_spawn && !is_test {
        say("processes are started by platform/jobs only".to_owned());
    }
    for keyword in ["struct ", "enum ", "trait "] {
        for declared in product.split(keyword).skip(1) {
            let word: String = declared.chars().take_while(|c| c.is_alphanumeric()).collect();
            let ends_badly = |bad: &&str| word == **bad || word.ends_with(*bad) && word.len() > bad.len();
            if let Some(bad) = FORBIDDEN_NAMES.iter().find(|bad| ends_badly(bad)) {
                say(format!("{keyword}{word}: {bad} is no name for a thing"));
            }
        }
    }
    for line in product.lines().filter(|line| line.contains("TODO") || line.contains("FIXME")) {
        say(format!("left open: {}", line.trim()));
    }
}

/// Each group's README lists exactly the tables of its migrations.
fn group_readmes(root: &Path, broken: &mut Vec<String>) {
    for group in folders(&root.join("crates/groups")) {
        let readme = read(&group.join("README.md"));
        let section = readme.split("## Tables").nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        let listed: BTreeSet<String> = section
            .lines()
            .filter_map(|line| {
                line.trim().strip_prefix("| `")?.split_once('`').map(|(table, _)| table.to_owned())
            })
            .collect();
        let mut created = BTreeSet::new();
        for entry in fs_err::read_dir(group.join("migrations")).into_iter().flatten().filter_map(Result::ok) {
            for statement in read(&entry.path()).split("CREATE TABLE ").skip(1) {
                created.insert(statement.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
        }
        if listed != created {
            let group = name(&group);
            broken.push(format!(
                "crates/groups/{group}/README.md: lists {listed:?}, its migrations create {created:?}"
            ));
        }
    }
}

/// Vendored files are what their list of hashes says, and carry their licence.
fn vendored(root: &Path, broken: &mut Vec<String>) {
    for package in folders(&root.join("crates/platform/ui/assets/vendor")) {
        if !package.join("LICENSE").is_file() {
            broken.push(format!("{}: vendored without its LICENSE", name(&package)));
        }
        let check = crate::tools::command("sha256sum", &["--quiet", "--check", "SHA256SUMS"], &package);
        if !crate::tools::succeeds(check) {
            broken.push(format!("{}: vendored files differ from SHA256SUMS", name(&package)));
        }
    }
}
